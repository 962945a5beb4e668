"""Decides whether new tasks are accepted, for the API, the page and the health check."""

import enum

import attrs

from mp4gen.server.config import ServerConfig
from mp4gen.server.data_dir import DataDirectory

from .scheduler import RenderScheduler


class RejectReason(enum.Enum):
    """Why no new task is accepted."""

    MAINTENANCE = "maintenance"
    DISK_FULL = "disk full"
    QUEUE_FULL = "queue full"


@attrs.frozen
class Admission:
    """The admission of one server."""

    _config: ServerConfig
    _data: DataDirectory
    _scheduler: RenderScheduler

    @property
    def maintenance(self) -> bool:
        """Whether every call is refused."""
        return self._config.maintenance or self._data.has_maintenance_file()

    @property
    def reject_reason(self) -> RejectReason | None:
        """Why no new task is accepted now; None if it is."""
        if self.maintenance:
            return RejectReason.MAINTENANCE
        if self._data.free_bytes() < self._config.min_free_bytes:
            return RejectReason.DISK_FULL
        if self._scheduler.queued >= self._config.queue_limit:
            return RejectReason.QUEUE_FULL
        return None

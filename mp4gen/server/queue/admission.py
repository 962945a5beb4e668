"""Whether new work is taken now, and why not: one answer for the API, the page and the health."""

from __future__ import annotations

import enum

from mp4gen.server.config import ServerConfig
from mp4gen.server.data_dir import DataDirectory

from .scheduler import RenderScheduler


class RejectReason(enum.Enum):
    """Why no new work is taken."""

    MAINTENANCE = "maintenance"
    DISK_FULL = "disk full"
    QUEUE_FULL = "queue full"


class Admission:
    """The gate of one server.

    Args:
        config: the limits.
        data: how much room there is, and whether its owner put a `maintenance` file there.
        scheduler: how much there is to do.
    """

    def __init__(
        self, config: ServerConfig, data: DataDirectory, scheduler: RenderScheduler
    ) -> None:
        self._config, self._data, self._scheduler = config, data, scheduler

    @property
    def maintenance(self) -> bool:
        """Whether callers are to come back later, whatever they want."""
        return self._config.maintenance or self._data.has_maintenance_file()

    @property
    def reject_reason(self) -> RejectReason | None:
        """Why no new work is taken now; None while it is."""
        if self.maintenance:
            return RejectReason.MAINTENANCE
        if self._data.free_bytes() < self._config.min_free_bytes:
            return RejectReason.DISK_FULL
        if self._scheduler.queued >= self._config.queue_limit:
            return RejectReason.QUEUE_FULL
        return None

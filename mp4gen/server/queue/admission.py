"""Decides whether new tasks are accepted, for the API, the page and the health check.

It also stores and queues an accepted task, and queues a task again whose video file is gone.
"""

import enum
import logging
from collections.abc import Callable, Collection
from pathlib import Path

import attrs

from mp4gen.errors import AlreadyExistsError
from mp4gen.server.config import ServerConfig
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.videos.video_store import VideoStore

from .fingerprint import Fingerprints
from .scheduler import RenderScheduler
from .store import Store
from .task import Task, TaskState

log = logging.getLogger("mp4gen.server")


class RejectReason(enum.Enum):
    """Why no new task is accepted."""

    MAINTENANCE = "maintenance"
    DISK_FULL = "disk full"
    QUEUE_FULL = "queue full"


@attrs.frozen
class Admission:
    """The admission of one server.

    Half of the queue is open to all accounts, and each has an equal share of the other half for
    itself: the tasks of one account can never keep out those of another.
    """

    _config: ServerConfig
    _data: DataDirectory
    _videos: VideoStore
    _store: Store
    _scheduler: RenderScheduler
    _fingerprints: Fingerprints
    _library: LibraryReader
    _account_names: Callable[[], Collection[str]]

    @property
    def maintenance(self) -> bool:
        """Whether every call is refused."""
        return self._config.maintenance or self._data.has_maintenance_file()

    @property
    def reject_reason(self) -> RejectReason | None:
        """Why no new task is accepted now; None if it is."""
        if self.maintenance:
            return RejectReason.MAINTENANCE
        if self._data.space_trouble(self._config.min_free_bytes):
            return RejectReason.DISK_FULL
        if self._scheduler.queued >= self._config.queue_limit:
            return RejectReason.QUEUE_FULL
        return None

    def reject_reason_for(self, account: str) -> RejectReason | None:
        """Return why no new task of this account is accepted now; None if it is."""
        if self.reject_reason is None and self.room_for(account) <= 0:
            return RejectReason.QUEUE_FULL
        return self.reject_reason

    def room_for(self, account: str) -> int:
        """Return how many more tasks of this account the queue has room for."""
        names, limit = self._account_names(), self._config.queue_limit
        reserved = limit // (2 * len(names)) if names else 0
        free_for_others = sum(
            max(0, reserved - self._scheduler.queued_of(name)) for name in names if name != account
        )
        return limit - self._scheduler.queued - free_for_others

    async def accept(self, task: Task, audio: Path) -> Task:
        """Store and queue a new task whose music is in the file `audio`.

        Returns:
            The task, or an earlier one of the same video that is made again: its file was gone.

        Raises:
            AlreadyExistsError: An earlier task makes or made the same video; carries its id.
            MusicUnavailableError: The music cannot be read now.
        """
        fingerprint = await self._library.read(self._fingerprints.of, task, audio)
        task = attrs.evolve(task, fingerprint=fingerprint)
        try:
            await self._store.add(task)
        except AlreadyExistsError as error:
            earlier = self._store.get(error.existing_task_id or "")
            if earlier is None or not self.is_lost(earlier):
                raise
            if not await self._revive(earlier, task):
                raise
            return self._store.get(earlier.task_id) or earlier
        self._scheduler.submit(task)
        return task

    async def recover(self, task: Task) -> Task:
        """Return the task; if it is done and its file is gone, after it was queued again."""
        if not self.is_lost(task):
            return task
        await self._revive(task, task)
        return self._store.get(task.task_id) or task

    def is_lost(self, task: Task) -> bool:
        """Return whether the task is done and its file is gone."""
        return task.state is TaskState.DONE and self._videos.is_lost(task.filename)

    async def _revive(self, task: Task, caller: Task) -> bool:
        """Queue `task` again for the caller of another one; return whether it was still done."""
        contact = {name: getattr(caller, name) for name in ("callback_url", "base_url", "callback")}
        revived = await self._store.revive(task.task_id, **contact)
        if revived:
            log.warning("task=%s is rendered again: %s is gone", task.task_id, task.filename)
            self._scheduler.submit(task)
        return revived

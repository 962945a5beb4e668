"""Turns one task into a published video, once; knows no queue, and retries nothing."""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mp4gen.server.config import ServerConfig
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.rendering import worker
from mp4gen.server.rendering.aspect_ratio import style_for
from mp4gen.server.rendering.supervisor import (
    NO_AUDIO,
    RENDER_FAILED,
    RenderFailedError,
    SupervisedRender,
)
from mp4gen.server.troubles import TransientError

from .fingerprint import Fingerprints
from .recovery import encode_record
from .retries import MAX_ATTEMPTS
from .store import Store
from .task import Task

# Seconds beyond its maximum duration for which a render has its task for itself.
_LEASE_MARGIN = 60.0


class TaskRenderer:
    """The way from a task to its video.

    It calls `on_change` when the task was recorded as rendering.
    """

    def __init__(
        self,
        config: ServerConfig,
        store: Store,
        library: LibraryReader,
        data: DataDirectory,
        fingerprints: Fingerprints,
        *,
        on_change: Callable[[], None],
    ) -> None:
        self._fingerprints = fingerprints
        self._config, self._store, self._library, self._data = config, store, library, data
        self._on_change = on_change
        # Videos that could not be published wait in their folders, and are not rendered again.
        self._unpublished: dict[str, tuple[worker.RenderJob, worker.RenderedVideo]] = {}

    def forget(self, task_id: str) -> None:
        """Delete the unpublished video of a deleted task."""
        if unpublished := self._unpublished.pop(task_id, None):
            shutil.rmtree(unpublished[0].folder, ignore_errors=True)

    async def render(
        self, task: Task, render: SupervisedRender, *, workers: int
    ) -> worker.RenderedVideo | None:
        """Render a task in up to `workers` processes, publish its video and record it.

        Returns:
            The video; None if it was published before, and only not recorded.

        Raises:
            RenderFailedError: The song cannot be rendered.
            RenderCrashedError: The worker died, or hung.
            RenderInterruptedError: The server stops, or the task was deleted.
            TransientError: Something else failed, as with `OSError` and `sqlite3.Error`.
        """
        kept = self._unpublished.pop(task.task_id, None)
        if await asyncio.to_thread((self._data.videos / task.filename).is_file):
            await self._finish(task, None, kept[1] if kept else None)
            return None
        if kept is None:
            if task.attempts >= MAX_ATTEMPTS:
                text = f"The render, or its server, crashed {task.attempts} times."
                raise RenderFailedError(RENDER_FAILED, text)
            kept = await self._render(task, render, workers)
        job, video = kept
        try:
            await self._finish(task, job.video, video)
        except Exception:
            self._unpublished[task.task_id] = kept
            raise
        return video

    async def _render(
        self, task: Task, render: SupervisedRender, workers: int
    ) -> tuple[worker.RenderJob, worker.RenderedVideo]:
        folder = self._data.render_folder(task.filename)
        try:
            job = await self._prepare(task, render, folder, workers)
            video = await self._render_job(task, job, render)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        return job, video

    async def _render_job(
        self, task: Task, job: worker.RenderJob, render: SupervisedRender
    ) -> worker.RenderedVideo:
        # The music may have changed since the task was accepted.
        fingerprint = await render.wait_for(self._fingerprint(task, job))
        await self._mark_started(task, fingerprint)
        try:
            video = await render.run(job)
        except RenderFailedError:
            # This raises an error of its own if the folder lost its rights, or its disk.
            await self._library.find(task.music_task_id, task.audio_id)
            raise
        # The renderer notices changes while it runs; this also covers the moment before.
        if await render.wait_for(self._fingerprint(task, job)) != fingerprint:
            raise TransientError("The music changed while it was rendered.")
        return video

    async def _fingerprint(self, task: Task, job: worker.RenderJob) -> str:
        return await self._library.read(self._fingerprints.of, task, job.audio)

    async def _prepare(
        self, task: Task, render: SupervisedRender, folder: Path, workers: int
    ) -> worker.RenderJob:
        track = await render.wait_for(self._library.find(task.music_task_id, task.audio_id))
        if track is None:
            message = "The music file is not in the music folder any more."
            raise RenderFailedError(NO_AUDIO, message)
        await asyncio.to_thread(_make_empty, folder)
        return worker.RenderJob(
            audio=track.path,
            root=self._library.root,
            folder=folder,
            author=task.author,
            domain_name=task.domain_name,
            style=style_for(self._config.style, task.aspect_ratio),
            audio_mode=task.audio_mode,
            max_duration=self._config.max_duration,
            cpu_seconds=self._config.scaled_render_timeout * self._config.workers,
            workers=workers,
        )

    async def _mark_started(self, task: Task, fingerprint: str) -> None:
        now = time.time()
        lease_until = now + self._config.scaled_render_timeout + _LEASE_MARGIN
        await self._store.mark_started(task, now, fingerprint, lease_until=lease_until)
        self._on_change()

    async def _finish(
        self, task: Task, rendered: Path | None, video: worker.RenderedVideo | None
    ) -> None:
        now = time.time()
        stored = self._store.get(task.task_id) or task
        known = {"duration": video.duration, "warnings": video.warnings} if video else {}
        record = encode_record(stored, **known, completed_at=now)

        def publish() -> dict[str, Any]:
            if rendered is not None:
                size = self._data.publish(rendered, task.filename, record)
                # Before the end is reported: the user may stop the server right after it.
                shutil.rmtree(rendered.parent, ignore_errors=True)
            else:
                size = (self._data.videos / task.filename).stat().st_size
            return {"size": size, "error_code": None, "error_message": None, **known}

        if not await self._store.finish(task.task_id, publish, now):
            if rendered is not None:
                await asyncio.to_thread(shutil.rmtree, rendered.parent, ignore_errors=True)
            await asyncio.to_thread(self._data.remove_video, task.filename)


def _make_empty(folder: Path) -> None:
    # An earlier try may have left it.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)

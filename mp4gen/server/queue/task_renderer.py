"""Turns one task into a published video, once; knows no queue, and retries nothing."""

import asyncio
import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from mp4gen.server.config import ServerConfig
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.rendering import worker
from mp4gen.server.rendering.supervisor import (
    NO_AUDIO,
    RENDER_FAILED,
    RenderFailedError,
    SupervisedRender,
)
from mp4gen.server.rendering.video_options import style_for
from mp4gen.server.troubles import TransientError
from mp4gen.server.videos.video_store import VideoStore

from .fingerprint import Fingerprints
from .recovery import encode_record, read_record
from .retention import delete_videos
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
        videos: VideoStore,
        *,
        fingerprints: Fingerprints,
        on_change: Callable[[], None],
    ) -> None:
        self._videos, self._fingerprints = videos, fingerprints
        self._config, self._store, self._library, self._data = config, store, library, data
        self._on_change = on_change
        # Videos that could not be published or recorded wait, and are not rendered again.
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
        self._videos.in_use.add(task.filename)
        try:
            return await self._render_once(task, render, workers)
        finally:
            self._videos.in_use.discard(task.filename)
            # If the task was deleted meanwhile, its video goes now; on an error, with a sweep.
            with contextlib.suppress(sqlite3.Error, OSError):
                if self._store.get(task.task_id) is None:
                    self.forget(task.task_id)
                    await delete_videos(self._store, self._videos, [task.filename])

    async def _render_once(
        self, task: Task, render: SupervisedRender, workers: int
    ) -> worker.RenderedVideo | None:
        kept = self._unpublished.pop(task.task_id, None)
        try:
            if await self._finish(task, render, None, kept[1] if kept else None):
                return None
            kept = kept or await self._render(task, render, workers)
            await self._finish(task, render, kept[0].video, kept[1])
        except Exception:
            if kept is not None:
                self._unpublished[task.task_id] = kept
            raise
        return kept[1]

    async def _render(
        self, task: Task, render: SupervisedRender, workers: int
    ) -> tuple[worker.RenderJob, worker.RenderedVideo]:
        if task.attempts >= MAX_ATTEMPTS:
            text = f"The render, or its server, crashed {task.attempts} times."
            raise RenderFailedError(RENDER_FAILED, text)
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
        pictures = [self._data.pictures / name for name in task.options.picture_names]
        if not all(await asyncio.to_thread(lambda: [path.is_file() for path in pictures])):
            raise RenderFailedError(RENDER_FAILED, "A picture of this video was deleted.")
        await asyncio.to_thread(_make_empty, folder)
        cover = task.options.cover
        return worker.RenderJob(
            audio=track.path,
            root=self._library.root,
            folder=folder,
            author=task.author,
            domain_name=task.domain_name,
            style=style_for(
                self._config.style, task.aspect_ratio, task.options, self._data.pictures
            ),
            options=task.options,
            cover=self._data.pictures / cover if cover else None,
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
        self,
        task: Task,
        render: SupervisedRender,
        rendered: Path | None,
        video: worker.RenderedVideo | None,
    ) -> bool:
        """Publish a video and record that its task is done.

        Args:
            task: The task.
            render: Its render.
            rendered: The finished file; None for one that was published before.
            video: What is known about the file.

        Returns:
            False if `rendered` is None and nothing was published before.
        """
        now = time.time()
        known = {"duration": video.duration, "warnings": video.warnings} if video else {}
        record = encode_record(self._store.get(task.task_id) or task, **known, completed_at=now)
        size = await self._publish(task, render, rendered, record)
        if size is None:
            return False
        if not video and (found := await read_record(self._videos, task.filename)):
            known = {"duration": found.duration, "warnings": found.warnings}
        no_error = {"error_code": None, "error_message": None}
        await self._store.finish(task.task_id, now, size=size, **no_error, **known)
        return True

    async def _publish(
        self, task: Task, render: SupervisedRender, rendered: Path | None, record: bytes
    ) -> int | None:
        """Publish a video, unless the render is stopped before; return its size."""
        publishing = asyncio.create_task(self._videos.publish(rendered, task.filename, record))

        async def wait() -> int | None:
            return await publishing

        try:
            size = await render.wait_for(wait())
        finally:
            publishing.cancel()
            await asyncio.wait({publishing})
        if rendered is not None:
            # Before the end is reported: the user may stop the server right after it.
            await asyncio.to_thread(shutil.rmtree, rendered.parent, ignore_errors=True)
        return size


def _make_empty(folder: Path) -> None:
    # An earlier try may have left it.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)

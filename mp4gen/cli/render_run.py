"""Renders many files side by side, each in a process; finds no file."""

import asyncio
import os
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from mp4gen.errors import Mp4GenError, RenderCancelledError, RenderError
from mp4gen.render import RenderResult
from mp4gen.render.pipeline import MAX_WORKERS

from .exit_codes import DONE, FAILED, UsageError
from .output import Output
from .progress_bars import ProgressDisplay, show_counts
from .render_jobs import RenderJob
from .render_progress import RenderProgress
from .render_report import report_done, report_failed, report_skipped, report_unreadable
from .render_worker import NoWorkerError, RenderWorker
from .runner import in_background, resume_command

# Seconds for the renders to clean up after a second interrupt; they need a fraction of a second.
KILL_AFTER = 1.0


@attrs.define
class RenderRun:
    """One `mp4gen render` of many files.

    Attributes:
        output: Where it reports.
        jobs: What it renders.
        arguments: Arguments of `render_video` that all files share.
        processes: Maximum number of processes: one for each file, several for the last ones.
        overwrite: Whether to render again what exists.
        unreadable: The folders that could not be searched.
    """

    output: Output
    jobs: Sequence[RenderJob]
    arguments: Mapping[str, Any]
    processes: int
    overwrite: bool = False
    unreadable: Sequence[OSError] = ()
    _pending: deque[RenderJob] = attrs.field(factory=deque, init=False)
    _progress: RenderProgress = attrs.field(factory=RenderProgress, init=False)
    _workers: list[RenderWorker] = attrs.field(factory=list, init=False)
    # One whose process did start.
    _proven: RenderWorker | None = attrs.field(default=None, init=False)

    async def run(self) -> int:
        """Render all files and return the exit code.

        A cancel drops the videos in progress and waits for the clean-up; a second does not wait.
        """
        for error in self.unreadable:
            report_unreadable(self.output, error)
        self._progress.failed = len(self.unreadable)
        self._progress.total = len(self.unreadable) + len(self.jobs)
        self._skip_existing()
        # A process shares the analysis and the audio among the videos of a song.
        count = min(self.processes, len({job.audio for job in self._pending}))
        self._workers = [RenderWorker() for _ in range(count)]
        try:
            with ProgressDisplay(self.output, show_elapsed=False) as display:
                async with in_background(show_counts(self._progress, self.output, display)):
                    await self._render_all()
        finally:
            self._print_summary()
        return FAILED if self._progress.failed else DONE

    def _skip_existing(self) -> None:
        for job in self.jobs:
            if self._is_done(job):
                self._skip(job)
            else:
                self._pending.append(job)
        if self._progress.skipped:
            self.output.status(
                f"{self._progress.skipped} of {len(self.jobs)} videos exist already. Use "
                "--overwrite to render them again."
            )

    def _is_done(self, job: RenderJob) -> bool:
        # An error is reported when it is the job's turn.
        with suppress(RenderError):
            return not self.overwrite and job.is_done()
        return False

    def _skip(self, job: RenderJob) -> None:
        self._progress.skipped += 1
        report_skipped(self.output, job)

    async def _render_all(self) -> None:
        if not self._workers:
            return
        with ThreadPoolExecutor(len(self._workers)) as threads:
            tasks = [
                asyncio.create_task(self._render_with(worker, threads)) for worker in self._workers
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    task.result()
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError):
                    self.output.status("Stopping. Press Ctrl-C again to stop immediately.")
                await self._stop(tasks)
                raise
        self._end_workers()

    async def _stop(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Drop the videos in progress; a cancel of this wait kills their processes."""
        self._pending.clear()
        for worker in self._workers:
            worker.stop()
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            # Two interrupts in a row must leave no part of a video.
            await asyncio.wait(tasks, timeout=KILL_AFTER)
            raise
        finally:
            for worker in self._workers:
                worker.kill()
            self._end_workers()

    def _end_workers(self) -> None:
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join()

    async def _render_with(self, worker: RenderWorker, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        song: Path | None = None
        while self._pending:
            arguments = {**self.arguments, "workers": self._share()}
            job = self._next_job(song)
            song = job.audio
            self._progress.running[job.video] = 0.0
            try:
                result = await loop.run_in_executor(threads, self._render, worker, job, arguments)
            except RenderCancelledError:
                return
            except NoWorkerError:
                self._pending.appendleft(job)
                if len(self._progress.running) > 1:
                    # The processes that did start render the remaining files.
                    return
                if self._proven is None:
                    raise
                # It has run out of files.
                worker = self._proven
            except (Mp4GenError, OSError, MemoryError) as error:
                self._progress.failed += 1
                report_failed(self.output, job, error)
            else:
                if result is None:
                    self._skip(job)
                    continue
                self._proven = worker
                self._progress.succeeded += 1
                report_done(self.output, job, result)
            finally:
                del self._progress.running[job.video]

    def _share(self) -> int:
        """Return how many processes the next file can use: several if few files remain."""
        unfinished = sum(1 - fraction for fraction in self._progress.running.values())
        at_once = min(len(self._pending) + unfinished, len(self._workers))
        return max(1, round(self.processes / at_once))

    def _next_job(self, song: Path | None) -> RenderJob:
        """Take the next video of a song, or of another one if there is none."""
        job = next((job for job in self._pending if job.audio == song), self._pending[0])
        self._pending.remove(job)
        return job

    def _render(
        self, worker: RenderWorker, job: RenderJob, arguments: Mapping[str, Any]
    ) -> RenderResult | None:
        """Render a file; return None if its video exists by now."""
        if not self.overwrite and job.is_done():
            return None

        def on_progress(done: float, total: float) -> None:
            self._progress.running[job.video] = done / total if total else 0.0

        job.video.parent.mkdir(parents=True, exist_ok=True)
        own: dict[str, Any] = {"audio": job.audio, "to": job.video}
        if job.style is not None:
            own["style"] = job.style
        return worker.render({**arguments, **own}, on_progress)

    def _print_summary(self) -> None:
        counts = self._progress
        self.output.record({"summary": counts.summary()})
        self.output.line(
            f"{counts.succeeded} videos rendered, {counts.skipped} skipped, {counts.failed} "
            f"failed, {counts.remaining} remaining"
        )
        if counts.remaining:
            self.output.status(f"Resume with: {resume_command()}")


def usable_processors() -> int:
    """Return the number of processors that this process may use, 64 at most."""
    if hasattr(os, "sched_getaffinity"):
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    return min(found, MAX_WORKERS)


def parse_workers(workers: int) -> int:
    """Return the value of `--workers`.

    Raises:
        UsageError: It is out of range.
    """
    if not 1 <= workers <= MAX_WORKERS:
        raise UsageError(f"Invalid --workers: {workers}. Use a number from 1 to {MAX_WORKERS}.")
    return workers

"""One bulk run on the output: what is shown of it, and what is said at its end.

What is submitted, recorded and fetched is the SDK's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs

from mp4gen.bulk.ledger_entry import LedgerEntry, LedgerState
from mp4gen.bulk.ledger_schema import read_ledger
from mp4gen.bulk.run import ConversionRun
from mp4gen.client import Client
from mp4gen.downloads.filenames import safe_stem
from mp4gen.errors import DownloadError, LedgerError, Mp4GenError
from mp4gen.models import Conversion, RunSummary
from mp4gen.options import RateLimit
from mp4gen.task_errors import SubmitUncertainError, WaitTimeoutError

from .exit_codes import DONE, FAILED
from .filename_template import Template
from .output import Output, display_path
from .progress_bars import ProgressDisplay
from .run_progress import RunProgress, format_duration, min_seconds
from .runner import InterruptHandler, resume_command
from .track_table import Row

LEDGER = "mp4gen-ledger.sqlite"
# These come right by themselves in the next run.
_RESUMABLE = (DownloadError, SubmitUncertainError, WaitTimeoutError)
_ADOPTED_NOTE = " (made by an earlier request, maybe with other words)"
_REFRESH_SECONDS = 0.5
_PLAIN_INTERVAL_TICKS = 120


@attrs.define
class BulkCommand:
    """What one `mp4gen convert` does.

    Attributes:
        output: where it is told.
        to: the folder.
        ledger: the record.
        template: how files are called.
        rows: what is wanted.
        progress: the counts.
        retry_failed: whether what failed before is submitted again.
        timeout: seconds to wait for each video.
    """

    output: Output
    to: Path
    ledger: Path
    template: Template
    rows: list[Row]
    progress: RunProgress
    retry_failed: bool = False
    timeout: float = 1800.0
    _hints: set[str] = attrs.field(factory=set)

    async def run(self, client: Client, interrupts: InterruptHandler) -> int:
        """Convert all rows; give the exit code.

        Raises:
            Mp4GenError: what stopped the run, after all that was in progress is told.
        """
        rows = {row.key: row for row in self.rows}
        self.progress.total = len(self.rows)
        before = set(self._finished_before(client.base_url))
        if before:
            self.output.status(f"{len(before)} of {len(rows)} were done in an earlier run")
        bulk = client.convert_many(
            [row.request for row in self.rows],
            ledger=self.ledger,
            download_to=self.to,
            retry_failed=self.retry_failed,
            timeout=self.timeout,
            name=lambda request: self._file_stem(rows[request.task_id, request.audio_id]),
        )
        interrupts.on_first_interrupt = lambda: self._stop(bulk)
        try:
            with ProgressDisplay(self.output, show_elapsed=False) as display:
                async with bulk, _refreshing(self, display):
                    async for conversion in bulk:
                        self._report(conversion, rows, before)
        finally:
            self._print_summary(bulk.summary, len(before))
        return FAILED if bulk.summary.failed or bulk.summary.remaining else DONE

    def _finished_before(self, host: str) -> list[tuple[str, str]]:
        """The tracks whose files are there from an earlier run."""
        keys = {row.key for row in self.rows}
        found = []
        for entry in self.entries(host):
            key = (entry.request.task_id, entry.request.audio_id)
            there = entry.path is not None and entry.path.exists()
            if key in keys and entry.state is LedgerState.DOWNLOADED and there:
                found.append(key)
        return found

    def entries(self, host: str) -> list[LedgerEntry]:
        """What the ledger says so far.

        Raises:
            LedgerError: it cannot be read, or belongs to another host.
        """
        if not self.ledger.exists() or not self.ledger.stat().st_size:
            return []
        owner, entries = read_ledger(self.ledger)
        if owner != host:
            raise LedgerError(
                f"the ledger {self.ledger} belongs to {owner}, not to {host}: name another folder "
                "with --to, or another file with --ledger"
            )
        return entries

    def _file_stem(self, row: Row) -> str:
        stem = safe_stem(self.template.render(row))
        if not (self.to / f"{stem}.mp4").exists():
            return stem
        # Somebody else's file: ours gets a name that no other track can have.
        return f"{stem}-{hashlib.sha256(repr(row.key).encode()).hexdigest()[:8]}"

    def _stop(self, bulk: ConversionRun) -> None:
        bulk.stop()
        self.output.status(
            f"stopping: nothing more is submitted, {self.progress.in_progress} in progress are waited "
            "for; Ctrl-C again stops at once and loses nothing"
        )

    def _report(
        self,
        conversion: Conversion,
        rows: dict[tuple[str, str], Row],
        before: set[tuple[str, str]],
    ) -> None:
        self.progress.add_result(conversion)
        key = (conversion.request.task_id, conversion.request.audio_id)
        self.output.record(_record(conversion, rows[key]))
        if conversion.error is not None:
            self._hints.add(
                "same" if isinstance(conversion.error, _RESUMABLE) else "--retry-failed"
            )
            where = f"line {rows[key].line}, " if rows[key].line else ""
            self.output.line(f"FAILED {where}audio {key[1]}: {conversion.error}")
        elif key not in before and conversion.path is not None:
            self.output.line(
                f"{display_path(conversion.path)}{_ADOPTED_NOTE if _is_adopted(conversion) else ''}"
            )

    def _print_summary(self, summary: RunSummary, before: int) -> None:
        self.output.record({"summary": attrs.asdict(summary)})
        earlier = f" ({before} of them from earlier runs)" if before else ""
        self.output.line(
            f"{summary.succeeded} videos in {display_path(self.to)}{earlier}, {summary.failed} failed, "
            f"{summary.remaining} left"
        )
        if summary.remaining or "same" in self._hints:
            self.output.status(f"go on with: {resume_command()}")
        if "--retry-failed" in self._hints:
            self.output.status(f"try again what failed with: {resume_command('--retry-failed')}")


@contextlib.asynccontextmanager
async def _refreshing(command: BulkCommand, display: ProgressDisplay) -> AsyncIterator[None]:
    """Show the outlook twice a second, or every minute where nothing can move."""
    bar = display.bar("") if display.is_animated else None
    if bar is not None:
        bar.update(str(command.progress), command.progress.fraction)

    async def tick() -> None:
        count = 0
        while True:
            if bar is not None:
                bar.update(str(command.progress), command.progress.fraction)
            elif count % _PLAIN_INTERVAL_TICKS == _PLAIN_INTERVAL_TICKS - 1:
                command.output.status(str(command.progress))
            count += 1
            await asyncio.sleep(_REFRESH_SECONDS)

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def report_dry_run(command: BulkCommand, client: Client | None, limit: RateLimit) -> int:
    """Tell what a run would do: how many, how long, what is left of the credits."""
    entries = command.entries(client.base_url) if client else []
    states = {(one.request.task_id, one.request.audio_id): one.state for one in entries}
    counts = {"done": 0, "failed": 0, "submitted": 0, "new": 0}
    for row in command.rows:
        counts[_state_label(states.get(row.key))] += 1
    to_submit = counts["new"] + (counts["failed"] if command.retry_failed else 0)
    submit_seconds = min_seconds(to_submit, limit)
    credits_left, problem = await _credits(client)
    record: dict[str, Any] = {"tracks": len(command.rows), **counts, "to_submit": to_submit}
    record |= {"min_seconds": submit_seconds, "credits": credits_left}
    command.output.record({"dry_run": record})
    command.output.line(
        f"{len(command.rows)} tracks: {counts['done']} done before, {counts['submitted']} in progress, "
        f"{counts['failed']} failed before, {counts['new']} new"
    )
    command.output.line(
        f"{to_submit} would be submitted; their calls alone take {format_duration(submit_seconds)} at "
        f"{limit.requests} in {limit.per:g} s"
    )
    known = f"unknown ({problem})" if credits_left is None else f"{credits_left:g}"
    command.output.line(f"credits left: {known}")
    return DONE


async def _credits(client: Client | None) -> tuple[float | None, str]:
    """What is left, or why that is not known."""
    if client is None:
        return None, "no API key"
    try:
        return await client.get_credits(), ""
    except Mp4GenError as error:
        return None, str(error)


def _state_label(state: LedgerState | None) -> str:
    match state:
        case None | LedgerState.NEW:
            return "new"
        case LedgerState.FAILED:
            return "failed"
        case LedgerState.DONE | LedgerState.DOWNLOADED:
            return "done"
        case _:
            return "submitted"


def _is_adopted(conversion: Conversion) -> bool:
    return conversion.video is not None and conversion.video.adopted


def _record(conversion: Conversion, row: Row) -> dict[str, Any]:
    video, error, request = conversion.video, conversion.error, conversion.request
    return {
        "line": row.line or None,
        "status": "failed" if error else "done",
        "task_id": request.task_id,
        "audio_id": request.audio_id,
        "author": request.author,
        "domain_name": request.domain_name,
        "video_task_id": conversion.task_id,
        "video_url": video.url if video else None,
        "adopted": video.adopted if video else None,
        "path": conversion.path and str(conversion.path),
        "error": type(error).__name__ if error else None,
        "message": str(error) if error else None,
    }

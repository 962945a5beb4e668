"""Shows one bulk run and its summary; the SDK submits, records and downloads."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from mp4gen.bulk.ledger_entry import LedgerEntry, LedgerState, request_key
from mp4gen.bulk.ledger_schema import read_ledger
from mp4gen.bulk.results import Conversion, RunSummary
from mp4gen.bulk.run import ConversionRun
from mp4gen.client import Client
from mp4gen.errors import DownloadError, LedgerError
from mp4gen.extra_fields import thaw
from mp4gen.task_errors import SubmitUncertainError, WaitTimeoutError

from .exit_codes import DONE, FAILED
from .filename_template import Template
from .output import Output, display_path
from .progress_bars import ProgressDisplay, show_counts
from .run_progress import RunProgress
from .runner import InterruptHandler, in_background, resume_command
from .track_table import Row

LEDGER = "mp4gen-ledger.sqlite"
_RETRY_FAILED, _RESUBMIT_UNCERTAIN = "--retry-failed", "--resubmit-uncertain"
_ADOPTED_NOTE = " (made by an earlier request, which may have had another author or watermark)"


@attrs.define
class BulkCommand:
    """One `mp4gen convert`.

    Attributes:
        output: Where it reports.
        to: The folder for the videos.
        ledger: The path of the ledger.
        template: The template of the file names.
        rows: The tracks to convert.
        progress: The counts.
        retry_failed: Whether to submit again the tracks that failed in an earlier run.
        resubmit_uncertain: Whether to submit again the tracks whose response was lost.
        timeout: Seconds to wait for each video.
    """

    output: Output
    to: Path
    ledger: Path
    template: Template
    rows: list[Row]
    progress: RunProgress
    retry_failed: bool = False
    resubmit_uncertain: bool = False
    timeout: float = 1800.0
    _hints: set[str] = attrs.field(factory=set)

    async def run(self, client: Client, interrupts: InterruptHandler) -> int:
        """Convert all rows and return the exit code.

        Raises:
            Mp4GenError: The run stopped early; all videos in progress were reported before.
        """
        rows = {row.key: row for row in self.rows}
        self.progress.total = len(self.rows)
        before = self._finished_before(client.base_url)
        if before:
            self.output.status(f"{len(before)} of {len(rows)} tracks are done from earlier runs.")
        bulk = client.convert_many(
            [row.request for row in self.rows],
            ledger=self.ledger,
            download_to=self.to,
            retry_failed=self.retry_failed,
            timeout=self.timeout,
            name=lambda request: self.template.render(rows[request_key(request)]),
        )
        interrupts.on_first_interrupt = lambda: self._stop(bulk)
        try:
            with ProgressDisplay(self.output, show_elapsed=False) as display:
                counting = show_counts(self.progress, self.output, display)
                async with bulk, in_background(counting):
                    async for conversion in bulk:
                        self._report(conversion, rows, before)
        except asyncio.CancelledError:
            self._report_interrupted_submits(client, rows)
            raise
        finally:
            self._print_summary(bulk.summary, len(before))
        return FAILED if bulk.summary.failed or bulk.summary.remaining else DONE

    def _finished_before(self, host: str) -> set[tuple[str, str]]:
        """Return the keys of the rows whose files exist from earlier runs."""
        existing = {
            request_key(entry.request)
            for entry in self.entries(host)
            if entry.state is LedgerState.DOWNLOADED and entry.path and entry.path.exists()
        }
        return existing & {row.key for row in self.rows}

    def entries(self, host: str) -> list[LedgerEntry]:
        """Return the entries of the ledger, or none if it does not exist yet."""
        if not self.ledger.exists() or not self.ledger.stat().st_size:
            return []
        owner, entries = read_ledger(self.ledger)
        if owner == host:
            return entries
        if any(entry.may_be_submitted for entry in entries):
            raise LedgerError(
                f"The ledger {self.ledger} belongs to {owner}, not to {host}. Use another folder "
                "with --to, or another file with --ledger."
            )
        # The other host was a typo; the run takes the ledger over.
        return []

    def _stop(self, bulk: ConversionRun) -> None:
        bulk.stop()
        self.output.status(
            f"Stopping. Waiting for {self.progress.waits_for} in progress; no more are "
            "submitted. Press Ctrl-C again to stop immediately; nothing is lost."
        )

    def _report(
        self,
        conversion: Conversion,
        rows: dict[tuple[str, str], Row],
        before: set[tuple[str, str]],
    ) -> None:
        self.progress.add_result(conversion)
        key = request_key(conversion.request)
        row = rows[key]
        self.output.record(_record(conversion, row))
        if conversion.error is not None:
            self._hints.add(self._hint(conversion.error))
            line = f"line {row.line}, " if row.line else ""
            self.output.line(f"FAILED {line}audio {key[1]}: {conversion.error}")
        elif key not in before and conversion.path is not None:
            note = _ADOPTED_NOTE if conversion.video and conversion.video.adopted else ""
            self.output.line(f"{display_path(conversion.path)}{note}")

    def _report_interrupted_submits(
        self, client: Client, keys: Collection[tuple[str, str]]
    ) -> None:
        """Report the submits whose response did not arrive before the run was interrupted."""
        if self.resubmit_uncertain or client.rejects_duplicates:
            return
        with suppress(LedgerError):
            entries = self.entries(client.base_url)
            number = sum(
                e.state is LedgerState.INTENT and request_key(e.request) in keys for e in entries
            )
            if number:
                self.output.status(
                    f"{number} submits were interrupted and may have been accepted. The next run "
                    "resolves them if this host rejects duplicates, else it reports them."
                )

    def _hint(self, error: Exception) -> str:
        """Return the option with which the next run resumes the track, or "" if it needs none."""
        match error:
            case SubmitUncertainError(rejects_duplicates=False) if not self.resubmit_uncertain:
                return _RESUBMIT_UNCERTAIN
            case DownloadError() | SubmitUncertainError() | WaitTimeoutError():
                return ""
            case _:
                return _RETRY_FAILED

    def _print_summary(self, summary: RunSummary, before: int) -> None:
        self.output.record({"summary": summary.to_dict()})
        earlier = f" ({before} from earlier runs)" if before else ""
        self.output.line(
            f"{summary.succeeded} videos in {display_path(self.to)}{earlier}, "
            f"{summary.failed} failed, {summary.remaining} remaining"
        )
        if summary.remaining or "" in self._hints:
            self.output.status(f"Resume with: {resume_command()}")
        if _RETRY_FAILED in self._hints:
            self.output.status(f"Retry failed tracks with: {resume_command(_RETRY_FAILED)}")
        if _RESUBMIT_UNCERTAIN in self._hints:
            self.output.status(
                "Submit uncertain tracks again, which may pay for them twice, with: "
                f"{resume_command(_RESUBMIT_UNCERTAIN)}"
            )


def _record(conversion: Conversion, row: Row) -> dict[str, Any]:
    video, error, request = conversion.video, conversion.error, conversion.request
    return {
        "line": row.line or None,
        "status": "failed" if error else "done",
        "task_id": request.task_id,
        "audio_id": request.audio_id,
        "author": request.author,
        "domain_name": request.domain_name,
        "extra": thaw(request.extra) or None,
        "video_task_id": conversion.task_id,
        "video_url": video.url if video else None,
        "adopted": video.adopted if video else None,
        "path": conversion.path and str(conversion.path),
        "error": type(error).__name__ if error else None,
        "message": str(error) if error else None,
    }

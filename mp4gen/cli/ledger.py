"""`mp4gen ledger`: what is in the ledger of a bulk run; reads, and never writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mp4gen.bulk.ledger_entry import LedgerEntry, LedgerState
from mp4gen.bulk.ledger_schema import read_ledger

from .bulk_command import LEDGER
from .exit_codes import DONE, UsageError
from .options import AsJson
from .output import Output, escape_control_chars

_COLUMNS = (
    "taskId",
    "audioId",
    "author",
    "domainName",
    "callBackUrl",
    "state",
    "videoTaskId",
    "videoUrl",
    "adopted",
    "completedAt",
    "expiresAt",
    "path",
    "error",
)
# Cells that begin so are formulas to a spreadsheet, or become some once it has trimmed them.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def ledger(
    source: Annotated[
        Path, Parameter(name="FILE", help=f"A ledger, or the folder of a run, with {LEDGER} in it.")
    ],
    /,
    *,
    failed: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Only tracks that failed.")
    ] = False,
    uncertain: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Only tracks of which nobody knows whether a submit was accepted.",
        ),
    ] = False,
    expiring: Annotated[
        float | None,
        Parameter(help="Only videos not downloaded that the host deletes within so many days."),
    ] = None,
    as_csv: Annotated[
        bool,
        Parameter(
            name="--csv", negative=(), show_default=False, help="CSV on stdout, for a spreadsheet."
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Tell what is in the ledger of a run, also while it runs."""
    if as_csv and as_json:
        raise UsageError("give either --csv or --json, not both")
    if expiring is not None and not expiring >= 0:
        raise UsageError(f"--expiring must be a number of days, not {expiring}")
    path = source / LEDGER if source.is_dir() else source
    host, entries = read_ledger(path)
    selected = [entry for entry in entries if _matches(entry, failed, uncertain, expiring)]
    output = Output(as_json=as_json)
    if as_csv:
        output.raw(_csv([_cells(entry) for entry in selected]))
        return DONE
    for entry in selected:
        output.record(dict(zip(_COLUMNS, _column_values(entry), strict=True)))
    if failed or uncertain or expiring is not None:
        _list(output, selected)
    else:
        _count(output, host, entries)
    return DONE


def _matches(entry: LedgerEntry, failed: bool, uncertain: bool, expiring: float | None) -> bool:  # noqa: FBT001 - the options
    """Whether `entry` is one of those asked for; all are where nothing was."""
    tests: list[Callable[[LedgerEntry], bool]] = []
    if failed:
        tests.append(lambda one: one.state is LedgerState.FAILED)
    if uncertain:
        tests.append(lambda one: one.state in (LedgerState.UNCERTAIN, LedgerState.INTENT))
    if expiring is not None:
        until = datetime.now(UTC) + timedelta(days=expiring)
        tests.append(lambda one: _expires(one, until))
    return not tests or any(test(entry) for test in tests)


def _expires(entry: LedgerEntry, until: datetime) -> bool:
    ends = entry.video.expires_at if entry.video else None
    return entry.state is LedgerState.DONE and ends is not None and ends <= until


def _list(output: Output, entries: Sequence[LedgerEntry]) -> None:
    columns = ("music task", "audio", "state", "video task", "expires", "why")
    rows = []
    for entry in entries:
        expires = entry.video.expires_at if entry.video else None
        rows.append(
            (
                entry.request.task_id,
                entry.request.audio_id,
                entry.state,
                entry.task_id,
                f"{expires:%Y-%m-%d %H:%M}" if expires else None,
                entry.error,
            )
        )
    output.table(columns, rows)
    output.status("1 track" if len(rows) == 1 else f"{len(rows)} tracks")


def _count(output: Output, host: str, entries: Sequence[LedgerEntry]) -> None:
    labels = {
        LedgerState.NEW: "not submitted",
        LedgerState.INTENT: "maybe submitted (see --uncertain)",
        LedgerState.SUBMITTED: "submitted, not finished",
        LedgerState.DONE: "finished, not downloaded",
        LedgerState.DOWNLOADED: "downloaded",
        LedgerState.FAILED: "failed (see --failed)",
        LedgerState.UNCERTAIN: "maybe submitted (see --uncertain)",
    }
    counts: dict[str, int] = {}
    for state, text in labels.items():
        counts[text] = counts.get(text, 0) + sum(entry.state is state for entry in entries)
    output.table(("state", "tracks"), [(text, count) for text, count in counts.items() if count])
    output.status(f"{len(entries)} tracks of {host}")


def _column_values(entry: LedgerEntry) -> tuple[Any, ...]:
    request, video = entry.request, entry.video
    return (
        request.task_id,
        request.audio_id,
        request.author,
        request.domain_name,
        request.callback_url,
        entry.state.value,
        entry.task_id,
        video.url if video else None,
        entry.adopted,
        video.completed_at if video else None,
        video.expires_at if video else None,
        str(entry.path) if entry.path else None,
        str(entry.error) if entry.error else None,
    )


def _cells(entry: LedgerEntry) -> list[str]:
    values = (
        value.isoformat() if isinstance(value, datetime) else value
        for value in _column_values(entry)
    )
    return ["" if value is None else escape_formula(str(value)) for value in values]


def escape_formula(cell: str) -> str:
    """`cell` as text that no spreadsheet takes for a formula and no terminal for a command."""
    text = escape_control_chars(cell)
    return f"'{text}" if cell.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA) else text


def _csv(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(rows)
    return written.getvalue()

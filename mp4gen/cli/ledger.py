"""`mp4gen ledger`: show the ledger of a bulk run; never writes to it."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mp4gen.bulk.ledger_entry import LedgerEntry, LedgerState
from mp4gen.bulk.ledger_schema import read_ledger
from mp4gen.extra_fields import dump, thaw

from .bulk_command import LEDGER
from .exit_codes import DONE, UsageError
from .options import AsJson
from .output import Output, escape_control_chars

# The columns of --csv and --json.
_COLUMNS: dict[str, Callable[[LedgerEntry], Any]] = {
    "taskId": lambda entry: entry.request.task_id,
    "audioId": lambda entry: entry.request.audio_id,
    "author": lambda entry: entry.request.author,
    "domainName": lambda entry: entry.request.domain_name,
    "callBackUrl": lambda entry: entry.request.callback_url,
    "extra": lambda entry: thaw(entry.request.extra) or None,
    "state": lambda entry: entry.state.value,
    "videoTaskId": lambda entry: entry.task_id,
    "videoUrl": lambda entry: entry.video and entry.video.url,
    "adopted": lambda entry: entry.adopted,
    "completedAt": lambda entry: entry.video and entry.video.completed_at,
    "expiresAt": lambda entry: entry.video and entry.video.expires_at,
    "path": lambda entry: entry.path and str(entry.path),
    "error": lambda entry: str(entry.error) if entry.error else None,
}
_STATE_LABELS = {
    LedgerState.NEW: "not submitted",
    LedgerState.INTENT: "maybe submitted (see --uncertain)",
    LedgerState.SUBMITTED: "submitted, not finished",
    LedgerState.DONE: "finished, not downloaded",
    LedgerState.DOWNLOADED: "downloaded",
    LedgerState.FAILED: "failed (see --failed)",
    LedgerState.UNCERTAIN: "maybe submitted (see --uncertain)",
}
# A cell that begins with one of these, maybe after spaces, is a formula to a spreadsheet.
_FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r", "\n")


def ledger(
    source: Annotated[
        Path, Parameter(name="FILE", help=f"Ledger, or folder of a run that contains {LEDGER}.")
    ],
    /,
    *,
    failed: Annotated[bool, Parameter(help="List the tracks that failed.")] = False,
    uncertain: Annotated[
        bool, Parameter(help="List the tracks whose submit may have been accepted or not.")
    ] = False,
    expiring: Annotated[
        float | None,
        Parameter(help="List the missing videos that the host deletes within this many days."),
    ] = None,
    as_csv: Annotated[
        bool, Parameter(name="--csv", help="Print CSV on stdout, for a spreadsheet.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show the ledger of a run, even while it runs."""
    if as_csv and as_json:
        raise UsageError("Both --csv and --json set the format. Remove one of them.")
    if expiring is not None and not expiring >= 0:
        raise UsageError(f"Invalid --expiring: {expiring}. Use a number of days, 0 or more.")
    host, entries = read_ledger(source / LEDGER if source.is_dir() else source)
    selected = [entry for entry in entries if _matches(entry, failed, uncertain, expiring)]
    output = Output(as_json=as_json)
    if as_csv:
        output.raw(_csv(selected))
        return DONE
    for entry in selected:
        output.record({name: value_of(entry) for name, value_of in _COLUMNS.items()})
    if failed or uncertain or expiring is not None:
        _list(output, selected)
    else:
        _count(output, host, entries)
    return DONE


def _matches(entry: LedgerEntry, failed: bool, uncertain: bool, expiring: float | None) -> bool:  # noqa: FBT001 - the options
    """Return whether `entry` matches one of the options, or no option is set."""
    if not failed and not uncertain and expiring is None:
        return True
    match entry.state:
        case LedgerState.FAILED:
            return failed
        case LedgerState.UNCERTAIN | LedgerState.INTENT:
            return uncertain
        case LedgerState.DONE if expiring is not None and entry.video and entry.video.expires_at:
            return entry.video.expires_at <= datetime.now(UTC) + timedelta(days=expiring)
        case _:
            return False


def _list(output: Output, entries: Sequence[LedgerEntry]) -> None:
    columns = ("music task", "audio", "state", "video task", "expires", "error")
    rows = [
        (
            entry.request.task_id,
            entry.request.audio_id,
            entry.state,
            entry.task_id,
            entry.video and entry.video.expires_at and f"{entry.video.expires_at:%Y-%m-%d %H:%M}",
            entry.error,
        )
        for entry in entries
    ]
    output.table(columns, rows)
    output.status("1 track" if len(rows) == 1 else f"{len(rows)} tracks")


def _count(output: Output, host: str, entries: Sequence[LedgerEntry]) -> None:
    counts = Counter(_STATE_LABELS[entry.state] for entry in entries)
    labels = dict.fromkeys(_STATE_LABELS.values())
    output.table(("state", "tracks"), [(label, counts[label]) for label in labels if counts[label]])
    output.status(f"{len(entries)} tracks of {host}")


def _csv(entries: Sequence[LedgerEntry]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for entry in entries:
        writer.writerow([_format_cell(value_of(entry)) for value_of in _COLUMNS.values()])
    return written.getvalue()


def _format_cell(value: object) -> str:
    text: object = value
    if isinstance(value, datetime):
        text = value.isoformat()
    elif isinstance(value, dict):
        text = dump(value)
    return "" if text is None else escape_formula(str(text))


def escape_formula(cell: str) -> str:
    """Escape `cell` so that neither a spreadsheet nor a terminal interprets it."""
    text = escape_control_chars(cell)
    is_formula = cell.startswith(_FORMULA_PREFIXES) or text.lstrip().startswith(_FORMULA_PREFIXES)
    return f"'{text}" if is_formula else text

"""`mp4gen convert --dry-run`: reports what a run would do; submits nothing."""

from typing import Any

from mp4gen.bulk.ledger_entry import LedgerState, request_key
from mp4gen.client import Client
from mp4gen.errors import Mp4GenError
from mp4gen.options import RateLimit

from .bulk_command import BulkCommand
from .exit_codes import DONE, exit_code
from .run_progress import format_duration, min_seconds

# Seconds to ask for the credits.
DRY_RUN_TIMEOUT = 30.0
# Other states count as submitted.
_DRY_RUN_LABELS = {
    None: "new",
    LedgerState.NEW: "new",
    LedgerState.INTENT: "uncertain",
    LedgerState.UNCERTAIN: "uncertain",
    LedgerState.FAILED: "failed",
    LedgerState.DONE: "done",
    LedgerState.DOWNLOADED: "done",
}


async def report_dry_run(command: BulkCommand, client: Client | None, limit: RateLimit) -> int:
    """Report what a run would submit, how long that takes, and the credits left.

    Returns:
        The exit code: that of the call that asked for the credits.
    """
    entries = command.entries(client.base_url) if client else []
    states = {request_key(entry.request): entry.state for entry in entries}
    counts = {"done": 0, "failed": 0, "submitted": 0, "new": 0, "uncertain": 0}
    for row in command.rows:
        counts[_DRY_RUN_LABELS.get(states.get(row.key), "submitted")] += 1
    credits_left, error = await _credits(client)
    to_submit = counts["new"] + (counts["failed"] if command.retry_failed else 0)
    # The response about the credits may have said that the host rejects duplicates.
    if command.resubmit_uncertain or (client is not None and client.rejects_duplicates):
        to_submit += counts["uncertain"]
    submit_seconds = min_seconds(to_submit, limit)
    record: dict[str, Any] = {"tracks": len(command.rows), **counts, "to_submit": to_submit}
    record |= {"min_seconds": submit_seconds, "credits": credits_left}
    command.output.record({"dry_run": record})
    command.output.line(
        f"{len(command.rows)} tracks: {counts['done']} done, {counts['submitted']} in progress, "
        f"{counts['failed']} failed, {counts['new']} new"
        + (f", {counts['uncertain']} uncertain" if counts["uncertain"] else "")
    )
    command.output.line(
        f"{to_submit} to submit, in {format_duration(submit_seconds)} or more at "
        f"{limit.requests} requests in {limit.per:g} s"
    )
    if client is None or error is not None:
        command.output.line(f"Credits left: unknown ({error or 'no API key'})")
    else:
        command.output.line(f"Credits left: {credits_left:g}")
    return DONE if error is None else exit_code(error, has_sent=True)


async def _credits(client: Client | None) -> tuple[float | None, Mp4GenError | None]:
    """Return the credits left, or None and why they are unknown."""
    if client is None:
        return None, None
    try:
        return await client.get_credits(timeout=DRY_RUN_TIMEOUT), None
    except Mp4GenError as error:
        return None, error

"""`mp4gen convert`: read a table of tracks and start the SDK's bulk run over it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
from cyclopts import Parameter

from mp4gen.client import Client
from mp4gen.models import VideoRequest
from mp4gen.options import Retry
from mp4gen.settings.arguments import checked
from mp4gen.transport.caller import CallOptions

from .arguments import expand_user_text
from .bulk_command import LEDGER, BulkCommand
from .callback_options import NO_CALLBACKS, CallbackOptions
from .dry_run import DRY_RUN_TIMEOUT, report_dry_run
from .exit_codes import UsageError
from .failure_reporter import FailureReporter, RetryLimit
from .filename_template import DEFAULT_TEMPLATE, Template
from .options import (
    DEFAULT_CONNECTION,
    AsJson,
    Connection,
    ensure_directory,
    parse_extra,
)
from .output import Output
from .run_progress import RunProgress, format_duration
from .runner import InterruptHandler, run
from .track_table import InvalidRowsError, Row, Table, read_table


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class RowDefaults:
    """The values of rows that leave them out.

    Attributes:
        author: Author of rows that have none.
        domain_name: Watermark of rows that have none.
        extra: Further field of the requests as NAME=VALUE, for instance look=ring; repeatable. The
            value is JSON or text. A row's own extra wins.
    """

    author: str | None = None
    domain_name: str | None = None
    extra: list[str] | None = None

    def fields(self) -> dict[str, Any]:
        """Return the values as fields of a `VideoRequest`."""
        return attrs.asdict(self) | {"extra": parse_extra(self.extra)}


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class RunOptions:
    """The options of the run.

    Attributes:
        name: Template of the file names.
        retry_failed: Submit again the tracks that failed in an earlier run.
        resubmit_uncertain: Submit again the tracks whose response was lost. On a host that does
            not reject duplicates, a track may be paid for twice.
        dry_run: Check everything, print what a run would do, and exit.
        ledger: Record of what is submitted and done.
        timeout: Maximum seconds to wait for each video.
        concurrency: Maximum number of videos in progress.
    """

    name: Annotated[
        str,
        Parameter(
            help="Template of the file names, from {task_id} {audio_id} {author} {domain_name} "
            "{line} and the table's other columns; with --music-task also {title}."
        ),
    ] = DEFAULT_TEMPLATE
    retry_failed: bool = False
    resubmit_uncertain: bool = False
    dry_run: bool = False
    ledger: Annotated[Path | None, Parameter(show_default=f"{LEDGER} in the folder")] = None
    timeout: float = 1800.0
    concurrency: int = 300


_BULK_LIMIT = RetryLimit(
    CallOptions.for_bulk_run(Retry()).max_maintenance,
    f"Retrying each track for {format_duration(Retry().timeout)}, and an outage until {{until}}.",
)
_NO_DEFAULTS, _DEFAULT_OPTIONS = RowDefaults(), RunOptions()


def convert(
    source: Annotated[
        str | None,
        Parameter(
            name="INPUT",
            allow_leading_hyphen=True,
            help="CSV or JSON Lines file, or - for standard input.",
        ),
    ] = None,
    /,
    *,
    to: Annotated[Path, Parameter(help="Folder for the videos and the ledger.")],
    music_task: Annotated[
        list[str] | None,
        Parameter(help="Music task whose tracks replace INPUT; repeatable."),
    ] = None,
    defaults: RowDefaults = _NO_DEFAULTS,
    options: RunOptions = _DEFAULT_OPTIONS,
    callbacks: CallbackOptions = NO_CALLBACKS,
    connection: Connection = DEFAULT_CONNECTION,
    as_json: AsJson = False,
) -> int:
    """Convert a table of tracks to videos."""
    output = Output(as_json=as_json)
    checked("timeout", options.timeout)
    table = _load_table(output, source, music_task or [], defaults)
    command = _bulk_command(output, to, table, options)
    limit = connection.shared_limit.limit
    if not options.dry_run:
        ensure_directory(to)
    elif not connection.can_connect and not music_task:
        return run(report_dry_run(command, None, limit))
    receiver = None if options.dry_run else callbacks.receiver()
    reporter = FailureReporter(output)
    opened = connection.opened(
        reporter,
        concurrency=options.concurrency,
        on_event=command.progress.handle_event,
        callbacks=receiver,
        on_uncertain_submit="resubmit" if options.resubmit_uncertain else None,
    )
    interrupts = InterruptHandler()

    async def work() -> int:
        async with callbacks.listening(receiver), opened as client:
            await _add_tracks(command, client, music_task or [], defaults)
            if options.dry_run:
                reporter.limit = RetryLimit(DRY_RUN_TIMEOUT)
                return await report_dry_run(command, client, limit)
            reporter.limit = _BULK_LIMIT
            return await command.run(client, interrupts)

    return run(work(), interrupts)


def _bulk_command(output: Output, to: Path, table: Table, options: RunOptions) -> BulkCommand:
    return BulkCommand(
        output=output,
        to=to,
        ledger=_ledger_path(options.ledger, to),
        template=Template.parse(options.name, table.extra_columns),
        rows=table.rows,
        progress=RunProgress(),
        retry_failed=options.retry_failed,
        resubmit_uncertain=options.resubmit_uncertain,
        timeout=options.timeout,
    )


def _ledger_path(ledger: Path | None, to: Path) -> Path:
    """Return the ledger of `--ledger`, which may be its folder, or the one beside the videos."""
    if ledger is None:
        return to / LEDGER
    return ledger / LEDGER if ledger.is_dir() else ledger


async def _add_tracks(
    command: BulkCommand, client: Client, music_tasks: Sequence[str], defaults: RowDefaults
) -> None:
    """Add the tracks of the music tasks to the rows of the command."""
    for task_id in music_tasks:
        for track in await client.get_tracks(task_id):
            request = track.video_request(**defaults.fields())
            command.rows.append(Row(0, request, {"title": track.title or ""}))
    if not command.rows:
        raise UsageError(
            f"No tracks yet in the music task {' '.join(music_tasks)}. Try again when it is done."
        )


def _load_table(
    output: Output, source: str | None, music_tasks: Sequence[str], defaults: RowDefaults
) -> Table:
    """Read the table, and report its invalid and its repeated rows; empty for music tasks."""
    if music_tasks:
        if source:
            raise UsageError("Both INPUT and --music-task name tracks. Remove one of them.")
        # Checked now, although the tracks are known only after a request.
        VideoRequest("task", "audio", **defaults.fields())
        return Table([], [], ["title"])
    if not source:
        raise UsageError(
            "No tracks to convert. Pass a table, - for standard input, or use --music-task."
        )
    if source.startswith("-") and source != "-":
        raise UsageError(f"Unknown option: {source}. See 'mp4gen convert --help'.")
    try:
        table = read_table(expand_user_text(source), defaults.fields())
    except InvalidRowsError as error:
        for line, problem in error.problems:
            output.status(f"{source}:{line}: {problem}")
            output.record({"line": line, "status": "bad_input", "error": problem})
        raise
    if table.repeated:
        lines = ", ".join(map(str, table.repeated[:10]))
        suffix = ", ..." if len(table.repeated) > 10 else ""
        output.status(f"Lines that repeat an earlier line are skipped: {lines}{suffix}")
    return table

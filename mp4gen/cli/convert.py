"""`mp4gen convert`: a table of tracks in, videos in a folder out; the run itself is the SDK's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mp4gen.client import Client
from mp4gen.models import Track
from mp4gen.options import RateLimit

from .bulk_command import LEDGER, BulkCommand, report_dry_run
from .callback_options import NO_CALLBACKS, CallbackOptions
from .exit_codes import UsageError
from .filename_template import DEFAULT_TEMPLATE, Template
from .options import FROM_ENVIRONMENT, AsJson, Connection, ensure_directory, parse_rate_limit
from .output import Output
from .run_progress import RunProgress
from .runner import InterruptHandler, run
from .track_table import InvalidRowsError, Row, Table, read_table


def convert(
    source: Annotated[
        str | None,
        Parameter(
            name="INPUT",
            allow_leading_hyphen=True,
            help="A CSV or JSON Lines file, or - for standard input.",
        ),
    ] = None,
    /,
    *,
    to: Annotated[Path, Parameter(help="The folder for the videos and the ledger.")],
    music_task: Annotated[
        list[str] | None,
        Parameter(
            negative=(), help="All tracks of this music task, in place of INPUT; may be repeated."
        ),
    ] = None,
    author: Annotated[str | None, Parameter(help="Author of rows that name none.")] = None,
    domain_name: Annotated[str | None, Parameter(help="Watermark of rows that name none.")] = None,
    name: Annotated[
        str,
        Parameter(
            help="How the files are called, from {task_id} {audio_id} {author} {domain_name} "
            "{line} and the table's other columns; with --music-task also {title}."
        ),
    ] = DEFAULT_TEMPLATE,
    retry_failed: Annotated[
        bool,
        Parameter(
            negative=(), show_default=False, help="Submit again what failed in an earlier run."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        Parameter(
            negative=(), show_default=False, help="Check everything, tell what would be done, stop."
        ),
    ] = False,
    ledger: Annotated[
        Path | None,
        Parameter(help=f"What is done and what is not. Without it: {LEDGER} in the folder."),
    ] = None,
    timeout: Annotated[float, Parameter(help="Seconds to wait for each video.")] = 1800.0,
    limit: Annotated[
        str, Parameter(name="--rate-limit", help="Calls the account may make, as calls/seconds.")
    ] = "20/10",
    concurrency: Annotated[int, Parameter(help="Videos in progress at once.")] = 300,
    callbacks: CallbackOptions = NO_CALLBACKS,
    connection: Connection = FROM_ENVIRONMENT,
    as_json: AsJson = False,
) -> int:
    """Turn all tracks of a table into videos."""
    output = Output(as_json=as_json)
    if music_task and source:
        raise UsageError("give either INPUT or --music-task, not both")
    defaults = {"author": author, "domain_name": domain_name}
    table = Table([], [], ["title"]) if music_task else _load_table(output, source, defaults)
    progress, request_limit = RunProgress(), parse_rate_limit(limit)
    command = BulkCommand(
        output=output,
        to=to,
        ledger=ledger or to / LEDGER,
        template=Template.parse(name, table.extra_columns),
        rows=table.rows,
        progress=progress,
        retry_failed=retry_failed,
        timeout=timeout,
    )
    interrupts = InterruptHandler()
    if not dry_run:
        ensure_directory(to)
    if dry_run and not connection.can_connect and not music_task:
        return run(report_dry_run(command, None, request_limit))
    receiver = None if dry_run else callbacks.receiver()
    client = connection.client(
        rate_limit=request_limit,
        concurrency=concurrency,
        on_event=progress.handle_event,
        callbacks=receiver,
    )
    work = _convert(
        command,
        client,
        music_task or [],
        defaults,
        interrupts=interrupts,
        dry_run=request_limit if dry_run else None,
        listening=callbacks.listening(receiver),
    )
    return run(work, interrupts)


async def _convert(
    command: BulkCommand,
    client: Client,
    music_tasks: Sequence[str],
    defaults: Mapping[str, str | None],
    *,
    interrupts: InterruptHandler,
    dry_run: RateLimit | None,
    listening: AbstractAsyncContextManager[None],
) -> int:
    async with listening, client:
        for task_id in music_tasks:
            command.rows += [
                _row_for_track(track, defaults) for track in await client.get_tracks(task_id)
            ]
        if not command.rows:
            raise UsageError(f"the music task {' '.join(music_tasks)} has no tracks yet")
        if dry_run is not None:
            return await report_dry_run(command, client, dry_run)
        return await command.run(client, interrupts)


def _row_for_track(track: Track, defaults: Mapping[str, str | None]) -> Row:
    return Row(0, track.video_request(**defaults), {"title": track.title or ""})


def _load_table(output: Output, source: str | None, defaults: dict[str, str | None]) -> Table:
    if source is None:
        raise UsageError("name a table of tracks, - for standard input, or --music-task ID")
    if source.startswith("-") and source != "-":
        raise UsageError(f"there is no option {source}; `mp4gen convert --help` lists them all")
    try:
        table = read_table(source, defaults)
    except InvalidRowsError as error:
        for line, problem in error.problems:
            output.status(f"{source}:{line}: {problem}")
            output.record({"line": line, "status": "bad_input", "error": problem})
        raise
    if table.repeated:
        lines = ", ".join(map(str, table.repeated[:10]))
        suffix = ", ..." if len(table.repeated) > 10 else ""
        output.status(f"lines that repeat an earlier one are taken once: {lines}{suffix}")
    return table

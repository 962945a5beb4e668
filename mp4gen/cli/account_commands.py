"""`mp4gen tracks`, `mp4gen lyrics` and `mp4gen credits`: what the account has."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mp4gen.client import Client

from .exit_codes import DONE, FAILED
from .failure_reporter import FailureReporter
from .options import DEFAULT_CONNECTION, AsJson, Connection
from .output import Output, display_path


def tracks(
    task_id: Annotated[str, Parameter(help="Id of the music task.")],
    /,
    *,
    connection: Connection = DEFAULT_CONNECTION,
    as_json: AsJson = False,
) -> int:
    """List the tracks of a music task ("Get Music Generation Details")."""
    output = Output(as_json=as_json)

    async def work(client: Client) -> None:
        found = await client.get_tracks(task_id)
        for track in found:
            output.record(track.to_dict())
        rows = [(one.audio_id, one.title, _format_length(one.duration), one.tags) for one in found]
        output.table(("audio id", "title", "length", "tags"), rows)
        if not found:
            output.status(f"The music task {task_id} has no tracks yet.")

    return connection.run(work, FailureReporter(output))


def lyrics(
    task_id: Annotated[str, Parameter(help="Id of the music task.")],
    audio_id: Annotated[str, Parameter(help="Id of the track in the music task.")],
    /,
    *,
    to: Annotated[Path | None, Parameter(help="LRC file to write.")] = None,
    connection: Connection = DEFAULT_CONNECTION,
    as_json: AsJson = False,
) -> int:
    """Print or write the lyrics of a track ("Get Timestamped Lyrics")."""
    output = Output(as_json=as_json)

    async def work(client: Client) -> int:
        found = await client.get_timestamped_lyrics(task_id, audio_id)
        output.record(found.to_dict())
        if not found.lines:
            output.status(f"The track {audio_id} has no lyrics.")
            return FAILED
        if to is None:
            for row in found.to_lrc().splitlines():
                output.line(row)
        else:
            output.line(display_path(found.write_lrc(to)))
        return DONE

    return connection.run(work, FailureReporter(output))


def credits_left(*, connection: Connection = DEFAULT_CONNECTION, as_json: AsJson = False) -> int:
    """Print the number of credits left ("Get Remaining Credits")."""
    output = Output(as_json=as_json)

    async def work(client: Client) -> None:
        remaining = await client.get_credits()
        output.line(f"{remaining:g}")
        output.record({"credits": remaining})

    return connection.run(work, FailureReporter(output))


def _format_length(seconds: float | None) -> str | None:
    return None if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02}"

"""`mp4gen create`, `wait`, `details` and `download`: one video task each."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from mp4gen.client import Client
from mp4gen.conversion.poller import video_from_details
from mp4gen.errors import Mp4GenError
from mp4gen.events import Event, PollEvent
from mp4gen.models import Video, VideoDetails, VideoRequest
from mp4gen.settings.arguments import checked

from .arguments import expand_user_text
from .exit_codes import DONE, FAILED
from .failure_reporter import FailureReporter, RetryLimit
from .options import DEFAULT_CONNECTION, AsJson, Connection, parse_extra
from .output import Output, display_path
from .progress_bars import Bar, ProgressDisplay

_TaskId = Annotated[str, Parameter(help="Id of the video task, as `mp4gen create` prints it.")]
_MIB = 1 << 20


def create(
    task_id: Annotated[str, Parameter(help="Id of the music task that made the track.")],
    audio_id: Annotated[str, Parameter(help="Id of the track in the music task.")],
    /,
    *,
    author: Annotated[
        str | None, Parameter(help="Name shown at the beginning, up to 50 characters.")
    ] = None,
    domain_name: Annotated[
        str | None, Parameter(help="Watermark at the bottom, up to 50 characters.")
    ] = None,
    callback_url: Annotated[
        str | None, Parameter(help="URL that the API notifies when the task ends.")
    ] = None,
    extra: Annotated[
        list[str] | None,
        Parameter(
            help="Further field of the request as NAME=VALUE, for instance look=ring; repeatable. "
            "The value is JSON or text."
        ),
    ] = None,
    connection: Connection = DEFAULT_CONNECTION,
    as_json: AsJson = False,
) -> int:
    """Submit a track ("Create Music Video") and print the id of its video task."""
    request = VideoRequest(
        task_id,
        audio_id,
        author=author,
        domain_name=domain_name,
        callback_url=callback_url,
        extra=parse_extra(extra),
    )
    output = Output(as_json=as_json)

    async def work(client: Client) -> None:
        video_task_id = await client.create_music_video(request)
        output.line(video_task_id)
        output.record({"task_id": video_task_id})

    return connection.run(work, FailureReporter(output))


def wait(
    task_id: _TaskId,
    /,
    *,
    to: Annotated[
        str | None,
        Parameter(help="File that ends in .mp4, or folder, to download to."),
    ] = None,
    timeout: Annotated[float, Parameter(help="Maximum seconds to wait.")] = 1800.0,
    connection: Connection = DEFAULT_CONNECTION,
    as_json: AsJson = False,
) -> int:
    """Wait for a video task and print the video's URL, or its file with `--to`."""
    output = Output(as_json=as_json)
    with ProgressDisplay(output) as display:
        bar = display.bar(f"task {task_id}")

        def on_event(event: Event) -> None:
            if isinstance(event, PollEvent):
                bar.update(f"status {event.status}", detail=f"after {event.elapsed:.0f} s")

        async def work(client: Client) -> None:
            video = await client.wait_for_video(task_id, timeout=timeout)
            path = None if to is None else await _download(client, video, to, bar)
            output.line(display_path(path) if path else video.url)
            output.record({**video.to_dict(), "path": path and str(path)})

        reporter = FailureReporter(output, RetryLimit(checked("timeout", timeout)))
        return connection.run(work, reporter, on_event=on_event)


def details(
    task_id: _TaskId,
    /,
    *,
    connection: Connection = DEFAULT_CONNECTION,
    as_json: AsJson = False,
) -> int:
    """Print the details of a video task ("Get Music Video Details")."""
    output = Output(as_json=as_json)

    async def work(client: Client) -> int:
        found = await client.get_music_video_details(task_id)
        output.record(found.to_dict())
        values = attrs.asdict(found, recurse=False)
        del values["raw"]
        rows = [(name, _format_value(value)) for name, value in values.items()]
        output.table(("field", "value"), rows)
        return FAILED if found.failed else DONE

    return connection.run(work, FailureReporter(output))


def download(
    source: Annotated[
        str, Parameter(name="TASK_ID_OR_URL", help="Id of a video task, or URL of a video.")
    ],
    /,
    *,
    to: Annotated[str, Parameter(help="File that ends in .mp4, or folder.")] = ".",
    connection: Connection = DEFAULT_CONNECTION,
    as_json: AsJson = False,
) -> int:
    """Download a finished video and print its path."""
    output = Output(as_json=as_json)

    async def work(client: Client) -> None:
        video: Video | str = source
        if source.startswith(("http://", "https://")):
            await connection.require_known_host(source)
        else:
            video = _require_video(await client.get_music_video_details(source), client)
        with ProgressDisplay(output) as display:
            path = await _download(client, video, to, display.bar("video"))
        output.line(display_path(path))
        output.record({"path": str(path), "bytes": path.stat().st_size})

    return connection.run(work, FailureReporter(output))


def _require_video(found: VideoDetails, client: Client) -> Video:
    if found.ready:
        return video_from_details(found, client.dialect)
    message = f" ({found.error_message})" if found.error_message else ""
    hint = "" if found.failed else f" Wait for it with: mp4gen wait {found.task_id} --to DIR"
    raise Mp4GenError(
        f"The task {found.task_id} has no video: its status is {found.status}{message}.{hint}"
    )


async def _download(client: Client, video: Video | str, to: str, bar: Bar) -> Path:
    """Download to `to`, which stays text: a `Path` drops the slash of a new folder."""

    def on_progress(received: int, total: int | None) -> None:
        fraction = received / total if total else None
        bar.update("downloading", fraction, detail=f"{received / _MIB:.1f} MB")

    return await client.download(video, expand_user_text(to), on_progress=on_progress)


def _format_value(value: object) -> object:
    return f"{value:%Y-%m-%d %H:%M:%S %Z}" if isinstance(value, datetime) else value

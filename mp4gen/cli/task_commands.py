"""`mp4gen create`, `wait`, `details`, `download`: one video task at a time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import attrs
from cyclopts import Parameter

from mp4gen.client import Client
from mp4gen.conversion.poller import video_from_details
from mp4gen.errors import Mp4GenError
from mp4gen.events import Event, PollEvent
from mp4gen.models import Video, VideoDetails, VideoRequest

from .exit_codes import DONE, FAILED
from .options import FROM_ENVIRONMENT, AsJson, Connection
from .output import Output, display_path
from .progress_bars import Bar, ProgressDisplay
from .runner import run

_TaskId = Annotated[str, Parameter(help="The id of a video task, as `mp4gen create` prints it.")]
_MIB = 1 << 20


def create(
    task_id: Annotated[str, Parameter(help="The music task that made the track.")],
    audio_id: Annotated[str, Parameter(help="The track within it.")],
    /,
    *,
    author: Annotated[
        str | None, Parameter(help="Shown at the beginning; at most 50 characters.")
    ] = None,
    domain_name: Annotated[
        str | None, Parameter(help="A watermark at the bottom; at most 50 characters.")
    ] = None,
    callback_url: Annotated[str | None, Parameter(help="Where the API reports the end.")] = None,
    connection: Connection = FROM_ENVIRONMENT,
    as_json: AsJson = False,
) -> int:
    """Submit one track ("Create Music Video") and print the new video task's id."""
    request = VideoRequest(
        task_id, audio_id, author=author, domain_name=domain_name, callback_url=callback_url
    )
    output = Output(as_json=as_json)

    async def work() -> int:
        async with connection.client() as client:
            made = await client.create_music_video(request)
        output.line(made)
        output.record({"task_id": made})
        return DONE

    return run(work())


def wait(
    task_id: _TaskId,
    /,
    *,
    to: Annotated[
        str | None,
        Parameter(help="Also download the video: into this folder (a new one ends in /) or file."),
    ] = None,
    timeout: Annotated[float, Parameter(help="Seconds until it gives up waiting.")] = 1800.0,
    connection: Connection = FROM_ENVIRONMENT,
    as_json: AsJson = False,
) -> int:
    """Wait until the video of a task is there; print its link, or with --to its file."""
    output = Output(as_json=as_json)

    async def work() -> int:
        with ProgressDisplay(output) as display:
            bar = display.bar(f"task {task_id}")

            def on_event(event: Event) -> None:
                if isinstance(event, PollEvent):
                    bar.update(f"status {event.status}", detail=f"after {event.elapsed:.0f} s")

            async with connection.client(on_event=on_event) as client:
                video = await client.wait_for_video(task_id, timeout=timeout)
                path = await _download(client, video, to, bar) if to is not None else None
        output.line(display_path(path) if path else video.url)
        output.record({**_video_record(video), "path": path and str(path)})
        return DONE

    return run(work())


def details(
    task_id: _TaskId,
    /,
    *,
    connection: Connection = FROM_ENVIRONMENT,
    as_json: AsJson = False,
) -> int:
    """Look once at a video task ("Get Music Video Details")."""
    output = Output(as_json=as_json)

    async def work() -> int:
        async with connection.client() as client:
            found = await client.get_music_video_details(task_id)
        values = attrs.asdict(found, recurse=False)
        output.record(values)
        del values["raw"]
        output.table(
            ("field", "value"), [(name, _format_value(value)) for name, value in values.items()]
        )
        return FAILED if found.failed else DONE

    return run(work())


def download(
    source: Annotated[
        str, Parameter(name="TASK_ID_OR_URL", help="A video task's id, or a video's link.")
    ],
    /,
    *,
    to: Annotated[str, Parameter(help="The folder (a new one ends in /) or the file.")] = ".",
    connection: Connection = FROM_ENVIRONMENT,
    as_json: AsJson = False,
) -> int:
    """Fetch a finished video, whole or not at all; print where it is."""
    output = Output(as_json=as_json)

    async def work() -> int:
        async with connection.client() as client:
            video: Video | str = source
            if not source.startswith(("http://", "https://")):
                video = _require_video(await client.get_music_video_details(source), client)
            with ProgressDisplay(output) as display:
                path = await _download(client, video, to, display.bar("video"))
        output.line(display_path(path))
        output.record({"path": str(path), "bytes": path.stat().st_size})
        return DONE

    return run(work())


def _require_video(found: VideoDetails, client: Client) -> Video:
    if not found.ready:
        raise Mp4GenError(
            f"task {found.task_id} has no video: its status is {found.status}"
            + (f" ({found.error_message})" if found.error_message else "")
            + ("" if found.failed else f"; wait for it with: mp4gen wait {found.task_id} --to DIR")
        )
    return video_from_details(found, client.dialect)


async def _download(client: Client, video: Video | str, to: str, bar: Bar) -> Path:
    # No Path: it would drop the slash that tells a folder which is not there yet.
    def on_progress(received: int, total: int | None) -> None:
        fraction = received / total if total else None
        bar.update("downloading", fraction, detail=f"{received / _MIB:.1f} MB")

    return await client.download(video, to, on_progress=on_progress)


def _video_record(video: Video) -> dict[str, Any]:
    return attrs.asdict(video)


def _format_value(value: object) -> object:
    return f"{value:%Y-%m-%d %H:%M:%S %Z}" if isinstance(value, datetime) else value

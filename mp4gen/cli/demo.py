"""`mp4gen demo`: music, server, client and videos on this machine alone, in about a minute."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from mp4gen.client import Client
from mp4gen.models import Video, VideoRequest
from mp4gen.server import Server, ServerConfig

from .exit_codes import DONE
from .options import AsJson, ensure_directory
from .output import Output, display_path
from .progress_bars import Bar, ProgressDisplay
from .runner import run, run_in_thread
from .tunes import PIECES, Piece, write_tune

_TASK = "demo"
_REFRESH_SECONDS = 0.2
_AUTHOR = "The mp4gen Trio"
_DOMAIN = "made with mp4gen"
_NEXT = (
    ("mp4gen serve --music ~/Music", "the same service with your own music"),
    ('mp4gen render song.mp3 --to song.mp4 --author "You"', "one file, no server"),
    ("mp4gen convert tracks.csv --to videos/", "your tracks on the API, with MP4GEN_API_KEY set"),
)


def demo(
    *,
    to: Annotated[Path, Parameter(help="The folder for the three videos.")] = Path("videos"),
    as_json: AsJson = False,
) -> int:
    """Make three pieces of music, serve them, convert them, fetch the videos."""
    return run(run_demo(PIECES, ensure_directory(to), Output(as_json=as_json)))


async def run_demo(pieces: Sequence[Piece], to: Path, output: Output) -> int:
    """Bring `pieces` all the way to videos in the folder `to`."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mp4gen-demo-") as scratch:
        music = Path(scratch) / "music"
        (music / _TASK).mkdir(parents=True)
        key = secrets.token_hex(16)
        # Ctrl-C is to be obeyed at once: nobody waits for a half-rendered demo.
        config = ServerConfig(
            music=music, data=Path(scratch) / "data", port=0, key=key, shutdown_timeout=0.0
        )
        async with Server(config) as server:
            output.status(f"mp4gen's own server answers on {server.url}")
            tracks = [_DemoTrack(piece, music / _TASK, to, output) for piece in pieces]
            with ProgressDisplay(output, keep=True) as display:
                await _convert_all(tracks, display, server, key)
    _print_summary(output, tracks, time.monotonic() - started)
    return DONE


async def _convert_all(
    tracks: Sequence[_DemoTrack], display: ProgressDisplay, server: Server, key: str
) -> None:
    # One after the other, so that the first is rendered while the second is played.
    synth_lock = asyncio.Lock()
    for track in tracks:
        track.bar = display.bar(track.piece.title)

    async with Client(key, base_url=server.url) as client:
        watching = asyncio.create_task(_update_progress(tracks, server))
        try:
            async with asyncio.TaskGroup() as group:
                for track in tracks:
                    group.create_task(track.run(client, synth_lock))
        finally:
            watching.cancel()
            await asyncio.wait([watching])


async def _update_progress(tracks: Sequence[_DemoTrack], server: Server) -> None:
    """Look at the renders; only here do the client and its server share a process."""
    while True:
        for track in tracks:
            if track.task_id and (progress := server.progress(track.task_id)):
                track.bar.update("rendering", progress[0] / progress[1])
        await asyncio.sleep(_REFRESH_SECONDS)


@attrs.define(eq=False)
class _DemoTrack:
    """One piece on its way to a video."""

    piece: Piece
    music: Path
    to: Path
    output: Output
    bar: Bar = attrs.field(init=False)
    path: Path = attrs.field(init=False)
    task_id: str = ""

    async def run(self, client: Client, synth_lock: asyncio.Lock) -> None:
        async with synth_lock:
            self.bar.update("playing the music")
            await run_in_thread(partial(write_tune, self.piece, self.music))
        self.bar.update("submitted")
        request = VideoRequest(_TASK, self.piece.title, author=_AUTHOR, domain_name=_DOMAIN)
        video = await client.convert(request, on_submitted=self._submitted)
        self.task_id = ""
        self.bar.update("downloading")
        self.path = await client.download(video, self.to / f"demo-{_slug(self.piece.title)}.mp4")
        self.bar.finish(f"done: {display_path(self.path)}")
        self._record(video)

    def _submitted(self, task_id: str) -> None:
        self.task_id = task_id
        self.bar.update("rendering")

    def _record(self, video: Video) -> None:
        self.output.record(
            {
                "title": self.piece.title,
                "task_id": video.task_id,
                "audio_id": video.audio_id,
                "seconds": self.piece.seconds,
                "path": str(self.path),
            }
        )


def _print_summary(output: Output, tracks: Sequence[_DemoTrack], seconds: float) -> None:
    output.line()
    output.line(f"Videos of music that did not exist {seconds:.0f} seconds ago:")
    for track in tracks:
        megabytes = track.path.stat().st_size / 1e6
        output.line(
            f"  {display_path(track.path)}  ({track.piece.seconds:.0f} s, {megabytes:.1f} MB)"
        )
    output.line()
    output.line("What to try next:")
    width = max(len(command) for command, _ in _NEXT)
    for command, why in _NEXT:
        output.line(f"  {command:<{width}}  {why}")


def _slug(title: str) -> str:
    return "-".join(title.lower().split())

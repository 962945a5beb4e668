"""`mp4gen demo`: convert the bundled music with mp4gen's own server and client."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from mp4gen.client import Client
from mp4gen.errors import ConfigurationError
from mp4gen.models import VideoRequest
from mp4gen.render import AudioInfo, probe
from mp4gen.server import Server, ServerConfig

from .arguments import expand_user_text
from .exit_codes import DONE
from .options import AsJson, ensure_directory
from .output import Output, display_path
from .progress_bars import Bar, ProgressDisplay
from .runner import in_background, program, run

# Readable also from a zip file.
_MUSIC_FOLDER = files("mp4gen") / "cli" / "demo_music"
_MUSIC_TASK_ID = "demo"
_REFRESH_SECONDS = 0.2
_DOMAIN = "made with mp4gen"
_NEXT = (
    ("serve --music {music}", "the same service with your own music"),
    ('render song.mp3 --to song.mp4 --author "You"', "one file, no server"),
    ("convert tracks.csv --to videos/", "your tracks on the API, with MP4GEN_API_KEY set"),
)


def demo(
    *,
    to: Annotated[Path, Parameter(help="Folder for the three videos.")] = Path("videos"),
    as_json: AsJson = False,
) -> int:
    """Make videos of three bundled pieces of music."""
    return run(run_demo(bundled_music(), ensure_directory(to), Output(as_json=as_json)))


def bundled_music() -> list[Traversable]:
    """Return the bundled pieces of music by their names.

    Raises:
        ConfigurationError: This installation lacks them.
    """
    found = _MUSIC_FOLDER.iterdir() if _MUSIC_FOLDER.is_dir() else ()
    music = sorted((file for file in found if file.name.endswith(".opus")), key=lambda f: f.name)
    if not music:
        raise ConfigurationError(
            "No music for the demo: this installation lacks its data files. Install mp4gen with "
            "pip, or run 'mp4gen serve' with a folder of your own music."
        )
    return music


async def run_demo(music: Sequence[Traversable], to: Path, output: Output) -> int:
    """Convert the files `music` to videos in the folder `to`."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mp4gen-demo-", ignore_cleanup_errors=True) as scratch:
        copies = _copy_music(music, Path(scratch) / "music" / _MUSIC_TASK_ID)
        async with Server(_server_config(Path(scratch))) as server:
            output.status(f"Serving the music on {server.url}")
            with ProgressDisplay(output, keep=True) as live:
                tracks = [
                    _DemoTrack(file.stem, probe(file), to, output, live.bar(file.stem))
                    for file in copies
                ]
                await _convert_all(tracks, server)
    _print_summary(output, tracks, time.monotonic() - started)
    return DONE


def _copy_music(music: Sequence[Traversable], folder: Path) -> list[Path]:
    """Copy the files to `folder`, since the server ignores links, and return the copies."""
    folder.mkdir(parents=True)
    copies = [folder / file.name for file in music]
    for file, copy in zip(music, copies, strict=True):
        copy.write_bytes(file.read_bytes())
    return copies


def _server_config(scratch: Path) -> ServerConfig:
    key = secrets.token_hex(16)
    # On Ctrl-C the server does not wait for running renders.
    return ServerConfig(
        music=scratch / "music", data=scratch / "data", port=0, key=key, shutdown_timeout=0.0
    )


async def _convert_all(tracks: Sequence[_DemoTrack], server: Server) -> None:
    async with (
        Client(server.config.key, base_url=server.url) as client,
        in_background(_update_progress(tracks, server)),
        asyncio.TaskGroup() as group,
    ):
        for track in tracks:
            group.create_task(track.convert(client))


async def _update_progress(tracks: Sequence[_DemoTrack], server: Server) -> None:
    """Show the server's own progress: in the demo it runs in the same process."""
    while True:
        for track in tracks:
            if track.task_id and (progress := server.progress(track.task_id)):
                track.bar.update("rendering", progress[0] / progress[1])
        await asyncio.sleep(_REFRESH_SECONDS)


@attrs.define(eq=False)
class _DemoTrack:
    """One piece of music and its video."""

    title: str
    info: AudioInfo
    to: Path
    output: Output
    bar: Bar
    path: Path = attrs.field(init=False)
    task_id: str = ""

    async def convert(self, client: Client) -> None:
        request = VideoRequest(
            _MUSIC_TASK_ID, self.title, author=self.info.artist, domain_name=_DOMAIN
        )
        video = await client.convert(request, on_submitted=self._submitted)
        self.task_id = ""
        self.bar.update("downloading")
        name = f"demo-{self.title.lower().replace(' ', '-')}.mp4"
        self.path = await client.download(video, self.to / name)
        self.bar.finish(f"done: {display_path(self.path)}")
        self.output.record(
            {
                "title": self.title,
                "task_id": video.task_id,
                "audio_id": video.audio_id,
                "seconds": self.info.duration,
                "path": str(self.path),
            }
        )

    def _submitted(self, task_id: str) -> None:
        self.task_id = task_id
        self.bar.update("submitted")


def _print_summary(output: Output, tracks: Sequence[_DemoTrack], elapsed: float) -> None:
    output.line()
    output.line(f"Rendered in {elapsed:.0f} seconds:")
    for track in tracks:
        megabytes = track.path.stat().st_size / 1e6
        output.line(
            f"  {display_path(track.path)}  ({track.info.duration:.0f} s, {megabytes:.1f} MB)"
        )
    output.line()
    output.line("Try next:")
    music = "~/Music" if Path(expand_user_text("~/Music")).is_dir() else "."
    commands = [f"{program()} {arguments.format(music=music)}" for arguments, _ in _NEXT]
    width = max(map(len, commands))
    for command, (_, purpose) in zip(commands, _NEXT, strict=True):
        output.line(f"  {command:<{width}}  {purpose}")

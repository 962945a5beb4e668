"""`mp4gen serve`: the API on this machine, from a music folder; the server itself is not here."""

from __future__ import annotations

import asyncio
import logging
import shlex
import signal
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from mp4gen.server import Server, ServerConfig
from mp4gen.server.config import DEFAULT_PORT, default_data
from mp4gen.server.library.library import Library, LibraryTrack
from mp4gen.server.preflight import run_checks

from .exit_codes import BAD_INPUT, DONE, InterruptedBySignal
from .options import AsJson
from .output import Output, escape_control_chars
from .runner import InterruptHandler, run
from .serve_options import (
    DEFAULT_ACCESS,
    DEFAULT_LIMITS,
    DEFAULT_STYLE,
    Access,
    Limits,
    Style,
    from_env,
)


def serve(
    *,
    music: Annotated[
        Path,
        from_env("MUSIC", "The music folder: a folder in it is a music task, a file a track."),
    ],
    data: Annotated[
        Path | None,
        from_env("DATA", f"Where state and videos are kept. Without it: {default_data()}"),
    ] = None,
    host: Annotated[
        str, from_env("HOST", "The address to listen on; one that others reach needs a key.")
    ] = "127.0.0.1",
    port: Annotated[
        int, from_env("PORT", "The port to listen on; 0 for any free one.")
    ] = DEFAULT_PORT,
    public_url: Annotated[
        str | None,
        from_env("PUBLIC_URL", "The address callers use where it is another (behind a proxy)."),
    ] = None,
    access: Access = DEFAULT_ACCESS,
    style: Style = DEFAULT_STYLE,
    limits: Limits = DEFAULT_LIMITS,
    check: Annotated[
        bool,
        Parameter(
            help="Check the configuration and exit.",
            negative=(),
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Serve the API from a music folder."""
    config = ServerConfig(
        music=music,
        data=data,
        host=host,
        port=port,
        public_url=public_url,
        **access.settings(),
        **style.settings(),
        **limits.settings(),
    )
    output = Output(as_json=as_json)
    return run(_run_checks(config, output)) if check else _run_server(config, output)


async def _run_checks(config: ServerConfig, output: Output) -> int:
    passed = True
    async for result in run_checks(config):
        passed = passed and result.passed
        output.record(attrs.asdict(result))
        output.line(f"{'ok  ' if result.passed else 'FAIL'} {result.name:9} {result.message}")
    return DONE if passed else BAD_INPUT


def _run_server(config: ServerConfig, output: Output) -> int:
    log = logging.getLogger("mp4gen.server")
    handler = _StderrHandler()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    interrupts = InterruptHandler()
    try:
        return run(_serve(config, output, interrupts), interrupts)
    except InterruptedBySignal as stopped:
        if stopped.code == 128 + signal.SIGTERM:
            # What a service manager does is no failure.
            return DONE
        raise
    finally:
        log.removeHandler(handler)


async def _serve(config: ServerConfig, output: Output, interrupts: InterruptHandler) -> int:
    async with Server(config) as server:
        _announce(config, output, server.url)
        stop = asyncio.Event()
        interrupts.on_first_interrupt = stop.set
        await stop.wait()
        output.status(
            f"stopping: running renders get {config.shutdown_timeout:g} s to finish; "
            "Ctrl-C again stops at once"
        )
    return DONE


def _announce(config: ServerConfig, output: Output, url: str) -> None:
    output.record({"url": url})
    output.line(f"serving {config.music} on {url}")
    first = next(islice(Library(config.music).all_tracks(), 1), None)
    if first is None:
        output.status("the music folder holds no music yet; what is put there is found at once")
    elif not output.as_json:
        output.status(_example(config, url, first))


def _example(config: ServerConfig, url: str, track: LibraryTrack) -> str:
    key = " MP4GEN_API_KEY=..." if config.accounts else ""
    return (
        f"try: MP4GEN_BASE_URL={url}{key} mp4gen convert --music-task {shlex.quote(track.task_id)} "
        "--to videos/"
    )


class _StderrHandler(logging.Handler):
    """The server's log on stderr, a line each, whatever music files are called."""

    def emit(self, record: logging.LogRecord) -> None:
        time = logging.Formatter().formatTime(record, "%Y-%m-%d %H:%M:%S")
        try:
            sys.stderr.write(
                escape_control_chars(f"{time} {record.levelname} {record.getMessage()}") + "\n"
            )
            sys.stderr.flush()
        except OSError:
            # Nobody reads the log any more: no reason to stop serving.
            return

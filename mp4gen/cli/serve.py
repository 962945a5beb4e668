"""`mp4gen serve`: run the server, or check its configuration; contains no part of the server."""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from mp4gen.errors import ConfigurationError
from mp4gen.server import Server, ServerConfig
from mp4gen.server.config import default_data
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.library import Library, LibraryTrack
from mp4gen.server.preflight import run_checks
from mp4gen.server.queue.backup import back_up
from mp4gen.signals import on_signal

from .exit_codes import (
    BAD_INPUT,
    DONE,
    InterruptedBySignal,
    UsageError,
    error_message,
    exit_code,
)
from .options import AsJson
from .output import Output
from .runner import InterruptHandler, join_command, program, run
from .serve_options import (
    DEFAULT_ACCESS,
    DEFAULT_LIMITS,
    DEFAULT_SERVICE,
    DEFAULT_VIDEO,
    Access,
    Limits,
    Service,
    Video,
    read_keys,
    server_config,
)
from .server_log import LogFormat, ServerLogHandler

log = logging.getLogger("mp4gen.server")


def serve(
    *,
    service: Service = DEFAULT_SERVICE,
    access: Access = DEFAULT_ACCESS,
    video: Video = DEFAULT_VIDEO,
    limits: Limits = DEFAULT_LIMITS,
    check: Annotated[bool, Parameter(help="Check the configuration and exit.")] = False,
    backup: Annotated[
        Path | None,
        Parameter(help="Copy the database of --data to this file and exit; a server may run."),
    ] = None,
    log_format: Annotated[
        LogFormat,
        Parameter(help="Format of the log on stderr.", env_var="MP4GEN_SERVE_LOG_FORMAT"),
    ] = "text",
    as_json: AsJson = False,
) -> int:
    """Serve the API from a music folder."""
    output = Output(as_json=as_json)
    if backup is not None:
        return _back_up(service.data or default_data(), backup, output)
    config = server_config(service, access, video, limits)
    if check:
        return run(_run_checks(config, output))
    secrets = (*config.accounts.values(), config.callback_secret)
    return _run_server(config, access, output, ServerLogHandler(log_format, secrets))


def _back_up(data: Path, target: Path, output: Output) -> int:
    tasks = back_up(DataDirectory(data), target)
    output.record({"backup": str(target), "tasks": tasks})
    output.line(f"Copied {tasks} {'task' if tasks == 1 else 'tasks'} to {target}")
    return DONE


async def _run_checks(config: ServerConfig, output: Output) -> int:
    passed = True
    async for result in run_checks(config):
        passed = passed and result.passed
        output.record(attrs.asdict(result))
        output.line(f"{'ok  ' if result.passed else 'FAIL'} {result.name:9} {result.message}")
    return DONE if passed else BAD_INPUT


def _run_server(
    config: ServerConfig, access: Access, output: Output, handler: ServerLogHandler
) -> int:
    log.setLevel(logging.INFO)
    interrupts = InterruptHandler()
    logs_all = handler.log_format == "json"
    with _handling(handler):
        try:
            shown = _LoggedOutput(as_json=output.as_json) if logs_all else output
            return run(_serve(config, access, shown, interrupts), interrupts)
        except Exception as error:
            if isinstance(error, InterruptedBySignal) and error.code == 128 + signal.SIGTERM:
                # A service manager's stop is a success.
                return DONE
            if not logs_all:
                raise
            log.critical("%s", error_message(error))
            return exit_code(error)


@contextmanager
def _handling(handler: ServerLogHandler) -> Iterator[None]:
    """Let the handler write the server's log, and what asyncio says about its tasks."""
    logs = (log, logging.getLogger("asyncio"))
    for one in logs:
        one.addHandler(handler)
    try:
        yield
    finally:
        for one in logs:
            one.removeHandler(handler)


class _LoggedOutput(Output):
    """Writes its messages to the log, so that each line on stderr is JSON."""

    def status(self, text: str) -> None:
        """Log a message."""
        log.info("%s", text)


async def _serve(
    config: ServerConfig, access: Access, output: Output, interrupts: InterruptHandler
) -> int:
    async with Server(config) as server, AsyncExitStack() as handlers:
        has_key_file = access.key_file is not None or access.accounts is not None
        if sys.platform != "win32" and has_key_file:
            read_again = partial(_read_keys_again, server, access)
            handlers.enter_context(on_signal(signal.SIGHUP, read_again))
        _announce(config, output, config.public_url or server.url)
        stop = asyncio.Event()
        interrupts.on_first_interrupt = stop.set
        await stop.wait()
        output.status(
            f"Stopping. Running renders have {config.shutdown_timeout:g} s to finish. "
            "Press Ctrl-C again to stop immediately."
        )
    return DONE


def _read_keys_again(server: Server, access: Access) -> None:
    try:
        key, accounts = read_keys(access)
        server.replace_keys(key, accounts)
    except (UsageError, ConfigurationError) as error:
        # The old keys still work.
        log.error("the keys stay as they are: %s", error)  # noqa: TRY400 - the text says it all
    else:
        for handler in log.handlers:
            if isinstance(handler, ServerLogHandler):
                handler.hide((key, *accounts.values()))
        log.info("the keys were read again: accounts=%d", len(accounts) + (key is not None))


def _announce(config: ServerConfig, output: Output, url: str) -> None:
    output.record({"url": url})
    output.line(f"Serving {config.music} on {url}")
    first = next(islice(Library(config.music).all_tracks(), 1), None)
    if first is None:
        output.status("The music folder contains no audio yet. New files are found immediately.")
    elif not output.as_json:
        output.status(f"Try: {_example_command(config, url, first)}")


def _example_command(config: ServerConfig, url: str, track: LibraryTrack) -> str:
    words = ["convert", "--music-task", track.task_id, "--to", "videos/"]
    words += ["--base-url", url]
    if config.accounts:
        words += ["--key-file", "PATH"]
    if config.tls_cert:
        words += ["--ca-file", str(config.tls_cert)]
    return f"{program()} {join_command(words)}"

"""The commands by name, and what happens to whatever they raise; does no command's work."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from cyclopts import App, CycloptsError, Group

from .exits import BAD_INPUT, DONE, exit_code, sentence
from .screen import Screen

_HELP = """Turn music tracks into MP4 videos.

Begin with `mp4gen demo`: it needs no key and no network.
"""
_EPILOGUE = (
    "Exit codes: 0 all done, 1 something failed, 2 bad input, 3 stopped by the key or the "
    "credits, 130 stopped by Ctrl-C."
)
_HERE = Group("On this machine", sort_key=1)
_THERE = Group("With the API", sort_key=2)
# (name, where, group, what): loaded when used, so that each command starts as fast as it can.
_COMMANDS = (
    ("demo", "demo:demo", _HERE, "Make three pieces of music and three videos of them."),
    ("serve", "serve:serve", _HERE, "Serve the API from a music folder; renders by itself."),
    ("render", "render:render", _HERE, "Render one music file into an MP4."),
    ("convert", "convert:convert", _THERE, "Turn all tracks of a table into videos."),
    ("create", "single:create", _THERE, "Submit one track; prints the video task's id."),
    ("wait", "single:wait", _THERE, "Wait for a video task; prints the video's link."),
    ("details", "single:details", _THERE, "Look once at a video task."),
    ("download", "single:download", _THERE, "Fetch the video of a task, or of a link."),
    ("tracks", "account:tracks", _THERE, "List the tracks of a music task."),
    ("credits", "account:credits_left", _THERE, "Tell how many credits are left."),
)


def build() -> App:
    """The command line as cyclopts knows it."""
    app = App(
        name="mp4gen",
        help=_HELP,
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
        version=_version,
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    for name, where, group, text in _COMMANDS:
        app.command(f"mp4gen.cli.{where}", name=name, group=group, help=text)
    return app


def run(tokens: Sequence[str]) -> int:
    """Run one command line; whatever happens, it ends in an exit code and at most one sentence."""
    screen = Screen(as_json="--json" in tokens)
    _quiet_logs()
    try:
        result = build()(tokens)
        sys.stdout.flush()
    except CycloptsError as error:
        return _report(screen, error, f"{error}{_where_help_is(tokens)}", BAD_INPUT)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place to be polite
        if os.environ.get("MP4GEN_DEBUG"):
            traceback.print_exc()
        return _report(screen, error, sentence(error), exit_code(error))
    return result if isinstance(result, int) else DONE


def _report(screen: Screen, error: BaseException, text: str, code: int) -> int:
    try:
        if text:
            screen.note(f"mp4gen: {text}")
        if not isinstance(error, BrokenPipeError):
            screen.record({"error": type(error).__name__, "message": text, "exit_code": code})
        sys.stdout.flush()
    except OSError:
        pass
    _let_go_of_stdout(error)
    return code


def _let_go_of_stdout(error: BaseException) -> None:
    """What is left in a buffer that cannot be written must not fail again at the very end."""
    if isinstance(error, OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _where_help_is(tokens: Sequence[str]) -> str:
    named = next((name for name, *_ in _COMMANDS if name in tokens[:1]), "")
    return f" See: mp4gen {named} --help" if named else " See: mp4gen --help"


def _quiet_logs() -> None:
    """The commands tell what matters themselves; the rest is for MP4GEN_DEBUG=1."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler() if _debugging() else logging.NullHandler())
    logging.captureWarnings(not _debugging())


def _debugging() -> bool:
    return bool(os.environ.get("MP4GEN_DEBUG"))


def _version() -> str:
    try:
        return f"mp4gen {version('mp4gen')}"
    except PackageNotFoundError:
        return "mp4gen (not installed)"

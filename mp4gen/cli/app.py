"""The commands by name, and what happens to whatever they raise; does no command's work."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version

from cyclopts import App, CycloptsError, Group, MissingArgumentError, UnusedCliTokensError

from . import help_texts
from .exit_codes import BAD_INPUT, DONE, PIPE_CLOSED, UsageError, exit_code, sentence
from .output import Screen
from .runner import typed

_HERE = Group("On this machine", sort_key=1)
_THERE = Group("With the API", sort_key=2)
_REST = Group("Options", sort_key=3)
# (name, where, group, what): loaded when used, so that each command starts as fast as it can.
_COMMANDS = (
    ("demo", "demo:demo", _HERE, help_texts.DEMO),
    ("serve", "serve:serve", _HERE, help_texts.SERVE),
    ("render", "render:render", _HERE, help_texts.RENDER),
    ("convert", "convert:convert", _THERE, help_texts.CONVERT),
    ("create", "task_commands:create", _THERE, help_texts.CREATE),
    ("wait", "task_commands:wait", _THERE, help_texts.WAIT),
    ("details", "task_commands:details", _THERE, help_texts.DETAILS),
    ("download", "task_commands:download", _THERE, help_texts.DOWNLOAD),
    ("tracks", "account_commands:tracks", _THERE, help_texts.TRACKS),
    ("credits", "account_commands:credits_left", _THERE, help_texts.CREDITS),
    ("ledger", "ledger:ledger", _THERE, help_texts.LEDGER),
)


def build() -> App:
    """The command line as cyclopts knows it."""
    app = App(
        name="mp4gen",
        help=_flowing(help_texts.INTRODUCTION),
        help_epilogue=help_texts.EXIT_CODES,
        help_format="plaintext",
        group_commands=_REST,
        version=_version,
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    for place, (name, where, group, text) in enumerate(_COMMANDS):
        help_ = _flowing(text)
        app.command(f"mp4gen.cli.{where}", name=name, group=group, help=help_, sort_key=place)
    return app


def _flowing(text: str) -> str:
    """`text` with a line for each paragraph, to be broken wherever the terminal ends."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def run(tokens: Sequence[str]) -> int:
    """Run one command line; whatever happens, it ends in an exit code and at most one sentence."""
    screen = Screen(as_json="--json" in tokens)
    typed.set(tuple(tokens))
    with _quietly():
        try:
            _check_command(tokens)
            result = build()(tokens)
            sys.stdout.flush()
        except CycloptsError as error:
            return _report(screen, error, f"{_misread(error)}{_where_help_is(tokens)}", BAD_INPUT)
        except SystemExit:
            # What rich does when nobody reads its output any more.
            return _report(screen, BrokenPipeError(), "", PIPE_CLOSED)
        except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001 - the last to be polite
            first = _first(raised)
            if _debugging():
                traceback.print_exc()
            return _report(screen, first, sentence(first), exit_code(first))
    return result if isinstance(result, int) else DONE


def _check_command(tokens: Sequence[str]) -> None:
    """See to it that there is such a command, before all of them are loaded to be compared.

    Raises:
        UsageError: there is none.
    """
    names = [name for name, *_ in _COMMANDS]
    if not tokens or tokens[0].startswith("-") or tokens[0] in names:
        return
    close = get_close_matches(tokens[0], names, n=1)
    meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
    raise UsageError(f"there is no command {tokens[0]}; {meant}")


def _first(error: BaseException) -> BaseException:
    """The one that counts: of several at once the first, of a failed import what was missing."""
    if isinstance(error, BaseExceptionGroup):
        return _first(error.exceptions[0])
    if isinstance(error, ImportError) and isinstance(error.__cause__, ImportError):
        return _first(error.__cause__)
    return error


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


def _misread(error: CycloptsError) -> str:
    """What cyclopts could not read, in our words where its own would mislead or show too much."""
    match error:
        case MissingArgumentError() if error.argument and not error.argument.tokens:
            return f"{error.argument.name} is missing."
        case UnusedCliTokensError():
            # Not which: a key may stand where it does not belong.
            return "Too many arguments."
        case _:
            return str(error)


def _where_help_is(tokens: Sequence[str]) -> str:
    named = next((name for name, *_ in _COMMANDS if name in tokens[:1]), "")
    return f" See: mp4gen {named} --help" if named else " See: mp4gen --help"


@contextmanager
def _quietly() -> Iterator[None]:
    """The commands tell what matters themselves; the rest is for MP4GEN_DEBUG=1."""
    root = logging.getLogger()
    handler = logging.StreamHandler() if _debugging() else logging.NullHandler()
    root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            if not _debugging():
                warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)


def _debugging() -> bool:
    return bool(os.environ.get("MP4GEN_DEBUG"))


def _version() -> str:
    try:
        return f"mp4gen {version('mp4gen')}"
    except PackageNotFoundError:
        return "mp4gen (not installed)"

"""The table of commands, and the exit of each; does no command's work."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

from cyclopts import (
    App,
    CycloptsError,
    Group,
    MissingArgumentError,
    Parameter,
    UnusedCliTokensError,
)

from mp4gen.version import package_version

from . import help_texts
from .arguments import expand_user
from .exit_codes import (
    BAD_INPUT,
    DONE,
    PIPE_CLOSED,
    AfterSendingError,
    UsageError,
    error_message,
    exit_code,
)
from .output import Output
from .runner import argv

_LOCAL = Group("On this machine", sort_key=1)
_REMOTE = Group("With the API", sort_key=2)
_OPTIONS = Group("Options", sort_key=3)
# (name, module and function, group, help). A command's module is imported when it is used.
_COMMANDS = (
    ("demo", "demo:demo", _LOCAL, help_texts.DEMO),
    ("serve", "serve:serve", _LOCAL, help_texts.SERVE),
    ("render", "render:render", _LOCAL, help_texts.RENDER),
    ("convert", "convert:convert", _REMOTE, help_texts.CONVERT),
    ("create", "task_commands:create", _REMOTE, help_texts.CREATE),
    ("wait", "task_commands:wait", _REMOTE, help_texts.WAIT),
    ("details", "task_commands:details", _REMOTE, help_texts.DETAILS),
    ("download", "task_commands:download", _REMOTE, help_texts.DOWNLOAD),
    ("tracks", "account_commands:tracks", _REMOTE, help_texts.TRACKS),
    ("lyrics", "account_commands:lyrics", _REMOTE, help_texts.LYRICS),
    ("credits", "account_commands:credits_left", _REMOTE, help_texts.CREDITS),
    ("ledger", "ledger:ledger", _REMOTE, help_texts.LEDGER),
)


def build() -> App:
    """Build the cyclopts app."""
    app = App(
        name="mp4gen",
        help=_unwrap(help_texts.INTRODUCTION),
        help_epilogue=help_texts.EXIT_CODES,
        help_format="plaintext",
        group_commands=_OPTIONS,
        version=lambda: f"mp4gen {package_version()}",
        default_parameter=Parameter(negative=(), show_default=_format_default),
        result_action="return_value",
        exit_on_error=False,
        print_error=False,
    )
    for position, (name, target, group, text) in enumerate(_COMMANDS):
        help_ = _unwrap(text)
        app.command(f"mp4gen.cli.{target}", name=name, group=group, help=help_, sort_key=position)
    return app


def _format_default(value: object) -> str | None:
    """Return a default as the help shows it; None for an unset option or flag."""
    return None if value is None or value is False else str(value)


def _unwrap(text: str) -> str:
    """Join the lines of each paragraph, so that the terminal's width breaks them."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def run(tokens: Sequence[str]) -> int:
    """Run one command line and return its exit code; an error becomes one line on stderr."""
    output = Output(as_json=not {"--json", "--json=true"}.isdisjoint(tokens))
    argv.set(tuple(tokens))
    with _logging_configured():
        try:
            _check_command(tokens)
            command, bound, _ = build().parse_args(tokens)
            result = command(
                *map(expand_user, bound.args),
                **{name: expand_user(value) for name, value in bound.kwargs.items()},
            )
            sys.stdout.flush()
        except CycloptsError as error:
            return _report(output, error, f"{_usage_message(error)}{_help_hint(tokens)}", BAD_INPUT)
        except SystemExit:
            # rich exits when the reader of its output is gone.
            return _report(output, BrokenPipeError(), "", PIPE_CLOSED)
        except (Exception, KeyboardInterrupt) as raised:  # noqa: BLE001 - every error has a text
            root_error = _root_error(raised)
            if _debugging():
                traceback.print_exc()
            code = exit_code(root_error, has_sent=isinstance(raised, AfterSendingError))
            return _report(output, root_error, error_message(root_error), code)
    return result if isinstance(result, int) else DONE


def _check_command(tokens: Sequence[str]) -> None:
    """Reject an unknown command here: cyclopts would import every command to suggest one."""
    names = [name for name, *_ in _COMMANDS]
    if not tokens or tokens[0].startswith("-") or tokens[0] in names:
        return
    close = get_close_matches(tokens[0], names, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Use one of: {', '.join(names)}."
    raise UsageError(f"Unknown command: {tokens[0]!r}. {hint}")


def _root_error(error: BaseException) -> BaseException:
    """Return the first error of a group, and the cause of a failed import."""
    if isinstance(error, AfterSendingError):
        return _root_error(error.error)
    if isinstance(error, BaseExceptionGroup):
        return _root_error(error.exceptions[0])
    if isinstance(error, ImportError) and isinstance(error.__cause__, ImportError):
        return _root_error(error.__cause__)
    return error


def _report(output: Output, error: BaseException, text: str, code: int) -> int:
    try:
        if text:
            output.status(f"mp4gen: {text}")
        if not isinstance(error, BrokenPipeError):
            output.record({"error": type(error).__name__, "message": text, "exit_code": code})
        sys.stdout.flush()
    except OSError:
        pass
    if isinstance(error, OSError):
        # Discard buffered output: the interpreter would fail to flush it at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _usage_message(error: CycloptsError) -> str:
    """Return the text of an error of cyclopts, or our own if that would mislead or show a key."""
    match error:
        case MissingArgumentError() if error.argument and not error.argument.tokens:
            return f"Missing argument: {error.argument.name}."
        case UnusedCliTokensError():
            # Does not repeat them: one may be a key.
            return "Too many arguments."
        case _:
            return str(error)


def _help_hint(tokens: Sequence[str]) -> str:
    command = next((f" {name}" for name, *_ in _COMMANDS if name in tokens[:1]), "")
    return f" See 'mp4gen{command} --help'."


@contextmanager
def _logging_configured() -> Iterator[None]:
    """Show logs and warnings only with MP4GEN_DEBUG=1: the commands report what matters."""
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

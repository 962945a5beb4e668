"""How a command ends: its exit code, and the one sentence that says why; prints nothing.

0    all done
1    something failed: a video, a look, a download, a disk
2    bad input or a setting that cannot work; nothing was sent
3    stopped because the key was refused or the credits are used up
130  stopped by Ctrl-C (143 by SIGTERM, 129 by the terminal's end)
141  whoever read the output went away
"""

from __future__ import annotations

import errno

from mp4gen.errors import (
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    LedgerError,
    Mp4GenError,
    RenderCancelledError,
    RenderError,
    ValidationError,
)
from mp4gen.task_errors import WaitTimeoutError

DONE, FAILED, BAD_INPUT, STOPPED_BY_ACCOUNT = 0, 1, 2, 3
INTERRUPTED, PIPE_CLOSED = 130, 141

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# Which extra brings which of the packages that may be missing.
_EXTRAS = {"av": "render", "numpy": "render", "PIL": "render", "cyclopts": "cli", "rich": "cli"}


class UsageError(Exception):
    """What was typed, or a file that was named, cannot work; the message is one sentence."""


class InterruptedBySignal(Exception):  # noqa: N818 - not an error
    """A signal ended the command.

    Attributes:
        code: the exit code.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def exit_code(error: BaseException) -> int:
    """The exit code for a command that ended with `error`."""
    match error:
        case KeyboardInterrupt():
            code = INTERRUPTED
        case InterruptedBySignal():
            code = error.code
        case BrokenPipeError():
            code = PIPE_CLOSED
        case AuthenticationError() | InsufficientCreditsError():
            code = STOPPED_BY_ACCOUNT
        case RenderError() if isinstance(error.__cause__, OSError):
            code = FAILED
        case UsageError() | ModuleNotFoundError() | RenderError():
            code = BAD_INPUT
        case ConfigurationError() | ValidationError() | LedgerError():
            code = BAD_INPUT
        case _:
            code = FAILED
    return code


def error_message(error: BaseException) -> str:
    """What happened and what to do next; "" where there is nothing to say."""
    match error:
        case BrokenPipeError() | RenderCancelledError():
            text = ""
        case KeyboardInterrupt() | InterruptedBySignal():
            text = "stopped"
        case WaitTimeoutError():
            text = f"{error}, for instance with: mp4gen wait {error.task_id}"
        case Mp4GenError() | UsageError():
            text = str(error)
        case ModuleNotFoundError() if error.name and error.name.partition(".")[0] in _EXTRAS:
            text = missing_package(error.name.partition(".")[0])
        case OSError():
            text = _os_error_message(error)
        case _:
            text = (
                f"an unexpected {type(error).__name__} ({error}), which is a mistake in mp4gen: "
                "set MP4GEN_DEBUG=1 to see where, and report it"
            )
    return text


def missing_package(name: str) -> str:
    """What to install for a package that is not there."""
    extra = _EXTRAS[name]
    extras = "cli" if extra == "cli" else f"cli,{extra}"
    return f"this needs the package {name}, which is not installed: pip install 'mp4gen[{extras}]'"


def _os_error_message(error: OSError) -> str:
    what = error.strerror or str(error) or type(error).__name__
    where = f"{error.filename}: " if isinstance(error.filename, str) else ""
    if error.errno in _FULL:
        return f"{where}{what}; free some space, then run the same line again"
    if error.errno in _DENIED:
        return f"{where}{what}; choose a place that you may use, or change who may use this one"
    return f"{where}{what}; put that right, then run the same line again"

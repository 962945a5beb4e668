"""The exit code and the error text of a command; prints nothing.

0    everything succeeded
1    something failed: a video, a poll, a download, a file to render, a disk
2    bad input or an invalid setting; nothing was sent or rendered
3    stopped because the key was refused or the credits are used up
130  stopped by Ctrl-C (143 by SIGTERM, 129 by SIGHUP)
141  the reader of the output closed the pipe
"""

import errno

from mp4gen.errors import (
    AuthenticationError,
    ConfigurationError,
    InsufficientCreditsError,
    LedgerError,
    Mp4GenError,
    RenderCancelledError,
    RenderError,
    RenderIOError,
    ValidationError,
)
from mp4gen.task_errors import WaitTimeoutError

DONE, FAILED, BAD_INPUT, STOPPED_BY_ACCOUNT = 0, 1, 2, 3
INTERRUPTED, PIPE_CLOSED = 130, 141

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# SQLITE_IOERR and SQLITE_FULL.
_SQLITE_DISK_ERRORS = frozenset({10, 13})
_ACCESS_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION of Windows.
_OPEN_ELSEWHERE = frozenset({32, 33})
# Package -> the extra that installs it.
_EXTRAS = {
    **dict.fromkeys(("av", "mutagen", "numpy", "PIL"), "render"),
    **dict.fromkeys(("cyclopts", "rich"), "cli"),
}


class UsageError(Exception):
    """An argument, or a file that it names, is invalid; nothing was sent."""


class AfterSendingError(Exception):
    """A command failed after it had sent a request.

    Attributes:
        error: How it failed.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class InterruptedBySignal(Exception):  # noqa: N818 - not an error
    """A signal stopped the command.

    Attributes:
        code: The exit code.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


def exit_code(error: BaseException, *, has_sent: bool = False) -> int:
    """Return the exit code of a command that ended with `error`.

    Args:
        error: The error.
        has_sent: Whether something was sent before, so that the input cannot be all that failed.
    """
    match error:
        case KeyboardInterrupt():
            code = INTERRUPTED
        case InterruptedBySignal():
            code = error.code
        case BrokenPipeError():
            code = PIPE_CLOSED
        case AuthenticationError() | InsufficientCreditsError():
            code = STOPPED_BY_ACCOUNT
        case RenderIOError() if not isinstance(error.__cause__, FileNotFoundError):
            code = FAILED
        case LedgerError() if _is_disk_failure(error.__cause__):
            code = FAILED
        case (
            UsageError() | ModuleNotFoundError() | RenderError()
            | ConfigurationError() | ValidationError() | LedgerError()
        ):  # fmt: skip
            code = BAD_INPUT
        case _:
            code = FAILED
    return FAILED if has_sent and code == BAD_INPUT else code


def _is_disk_failure(cause: BaseException | None) -> bool:
    """Return whether SQLite failed by a full or broken disk."""
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE_DISK_ERRORS


def error_message(error: BaseException) -> str:
    """Return the text of an error with what to do next, or "" if nothing needs to be said."""
    match error:
        case BrokenPipeError() | RenderCancelledError():
            text = ""
        case KeyboardInterrupt() | InterruptedBySignal():
            text = "Stopped."
        case WaitTimeoutError():
            text = f"{str(error).rstrip('.')}. Resume with: mp4gen wait {error.task_id}"
        case Mp4GenError() | UsageError():
            text = str(error)
        case ModuleNotFoundError(name=str(name)) if (package := name.partition(".")[0]) in _EXTRAS:
            extras = ",".join(sorted({"cli", _EXTRAS[package]}))
            text = f"This command needs the package {package}. Run: pip install 'mp4gen[{extras}]'"
        case OSError():
            text = _os_error_message(error)
        case _:
            text = (
                f"Unexpected {type(error).__name__}: {error}. This is a bug in mp4gen. "
                "Set MP4GEN_DEBUG=1 to see the traceback, and report it."
            )
    return text


def _os_error_message(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    place = f"{error.filename}: " if isinstance(error.filename, str) else ""
    if error.errno in _DISK_FULL:
        hint = "Free some space"
    elif getattr(error, "winerror", 0) in _OPEN_ELSEWHERE:
        hint = "Close the file in other programs"
    elif error.errno in _ACCESS_DENIED:
        hint = "Choose another place or change its permissions"
    else:
        hint = "Correct this"
    return f"{place}{reason}. {hint}, then run the command again."

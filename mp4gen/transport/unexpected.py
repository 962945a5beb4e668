"""Turn exceptions that mp4gen did not foresee into its own error, with a traceback in the log."""

import logging

from mp4gen.errors import UnexpectedError
from mp4gen.events import printable

_log = logging.getLogger("mp4gen")


def unexpected_error(cause: Exception) -> UnexpectedError:
    """Log `cause` with its traceback, and return the error to raise in its place."""
    name = type(cause).__name__
    _log.error("Unexpected %s.", name, exc_info=cause)
    error = UnexpectedError(
        f"Unexpected {name}: {printable(str(cause)).rstrip('.')}. The log has its traceback; "
        "report it if it comes from no function of yours."
    )
    error.__cause__ = cause
    return error

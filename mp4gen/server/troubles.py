"""Errors that are temporary or can be corrected, and are not the song's fault."""

import logging
import sqlite3

from mp4gen.errors import Mp4GenError

log = logging.getLogger("mp4gen.server")


class TransientError(Mp4GenError):
    """The disk, a folder, a worker or the machine failed; the same task may succeed later."""


# What a request or a task may meet on a full disk or without its music.
TRANSIENT_ERRORS = (TransientError, sqlite3.OperationalError)


def describe_trouble(error: Exception) -> str:
    """Return a temporary failure as a sentence for users, without a path."""
    match error:
        case Mp4GenError():
            return str(error)
        case OSError():
            return f"The data folder cannot be used: {error.strerror or type(error).__name__}."
        case sqlite3.Error():
            return f"The database cannot be used: {error}."
    log.error("a task could not be rendered", exc_info=error)
    return f"The server failed: {type(error).__name__}."

"""Errors that are temporary or can be corrected, and are not the song's fault."""

import sqlite3

from mp4gen.errors import Mp4GenError


class TransientError(Mp4GenError):
    """The disk, a folder, a worker or the machine failed; the same task may succeed later."""


class WorkerLostError(TransientError):
    """A machine that rendered is gone, which says nothing about the others."""


class ClusterAwayError(TransientError):
    """The cluster that renders cannot be reached, or has no worker that can render."""


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
    return f"The server failed: {type(error).__name__}."


def is_expected(error: Exception) -> bool:
    """Return whether a failure that passes has a known kind; any other one is our own mistake."""
    return isinstance(error, Mp4GenError | OSError | sqlite3.Error)

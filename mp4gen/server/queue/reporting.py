"""Puts the ends of tasks into the log, and troubles into sentences."""

import logging
import sqlite3

from mp4gen.server.rendering.supervisor import RenderCrashedError
from mp4gen.server.troubles import TransientError

from .task import Task

log = logging.getLogger("mp4gen.server")


def describe_trouble(error: Exception) -> str:
    """Return a failure that is not the song's as a sentence for users, without a path."""
    match error:
        case TransientError() | RenderCrashedError():
            return str(error)
        case OSError():
            return f"The data folder cannot be used: {error.strerror or type(error).__name__}."
        case sqlite3.Error():
            return f"The database cannot be used: {error}."
    log.error("a task could not be rendered", exc_info=error)
    return f"The server failed: {type(error).__name__}."


def log_finished(task: Task, elapsed: float) -> None:
    """Log the one line about a task, and one for each warning of the renderer."""
    log.info(
        "task=%s state=%s code=%s music_task=%r audio=%r waited=%.1fs took=%.1fs plays=%s "
        "size=%s%s",
        task.task_id,
        task.state,
        task.error_code or 200,
        task.music_task_id,
        task.audio_id,
        max(0.0, (task.started_at or task.created_at) - task.created_at),
        elapsed,
        f"{task.duration:.1f}s" if task.duration else "-",
        task.size or "-",
        f" error={task.error_message!r}" if task.error_message else "",
    )
    for warning in task.warnings:
        log.warning("task=%s warning=%r", task.task_id, warning)

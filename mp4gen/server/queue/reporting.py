"""Puts the ends and the troubles of tasks into the log."""

import logging

from mp4gen.server.troubles import is_expected

from .task import Task

log = logging.getLogger("mp4gen.server")


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
        extra={
            "fields": {
                "task": task.task_id,
                "state": task.state.value,
                "code": task.error_code or 200,
                "seconds": round(elapsed, 3),
            }
        },
    )
    for warning in task.warnings:
        log.warning("task=%s warning=%r", task.task_id, warning)


def log_trouble(task: Task, trouble: str, delay: float, error: Exception, *, is_new: bool) -> None:
    """Log why a task is tried again: its first failure, not each of the same kind."""
    level = logging.WARNING if is_expected(error) else logging.ERROR
    text = "task=%s waits=%.0fs trouble=%r"
    log.log(level if is_new else logging.DEBUG, text, task.task_id, delay, trouble, exc_info=error)

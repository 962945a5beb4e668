"""Puts the ends of tasks into the log."""

import logging

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


def log_change(before: str | None, trouble: str | None) -> str | None:
    """Log why the queue waits, or that it goes on, if that is new; return the trouble."""
    if trouble and not before:
        log.error("the queue waits: %s", trouble)
    elif before and not trouble:
        log.warning("the queue goes on")
    return trouble

"""The statements about the table of tasks, and how a task becomes a row of it; runs none."""

import functools
import json
from typing import Any

import attrs

from mp4gen.server.rendering.video_options import PICTURE_PREFIX, VideoOptions

from .fingerprint import REQUEST_CHARS
from .task import Task, TaskState, UnfinishedTask

FIELDS = tuple(field.name for field in attrs.fields(Task))
COLUMNS = ", ".join(FIELDS)
# A task that has ended is not tried again.
NOT_WAITING: dict[str, Any] = {"lease_until": None, "not_before": None, "last_trouble": None}
_PLACEHOLDERS = ", ".join(f":{name}" for name in FIELDS)
INSERT = f"INSERT INTO tasks ({COLUMNS}) VALUES ({_PLACEHOLDERS})"  # noqa: S608 - constants
# A queued task will be rendered from the files of that moment, so its words and options say enough.
# Version 1 had no fingerprints.
SAME_VIDEO = f"""
SELECT task_id FROM tasks WHERE account = :account AND music_task_id = :music_task_id
    AND audio_id = :audio_id AND render_variant = :render_variant AND state != 'failed'
    AND (fingerprint = :fingerprint
        OR (state = 'queued' AND substr(fingerprint, 1, {REQUEST_CHARS})
            = substr(:fingerprint, 1, {REQUEST_CHARS}))
        OR (state != 'done' AND fingerprint IS NULL AND author IS :author
            AND domain_name IS :domain_name AND aspect_ratio IS :aspect_ratio
            AND options IS :options))
"""  # noqa: S608 - a constant
# Some tasks name pictures in `cover`, some in `background`.
PICTURES = f"""
SELECT json_extract(options, '$.cover') FROM tasks WHERE options LIKE '%"cover"%'
UNION SELECT substr(json_extract(options, '$.background'), {len(PICTURE_PREFIX) + 1})
    FROM tasks WHERE options LIKE '%"{PICTURE_PREFIX}%'
"""  # noqa: S608 - a constant
# What the queue needs: all of a million tasks would take a kilobyte each.
UNFINISHED = f"""
SELECT {", ".join(UnfinishedTask._fields)} FROM tasks WHERE state IN ('queued', 'rendering')
    ORDER BY seq
"""  # noqa: S608 - a constant
DONE = "SELECT filename, task_id FROM tasks WHERE state = 'done'"
QUEUED_AGAIN = {"state": TaskState.QUEUED, "attempts": 0, "troubles": 0} | dict.fromkeys(
    ("started_at", "completed_at", "duration", "size", "lease_until", "not_before", "last_trouble")
)


def duplicate_fingerprint(fingerprint: str | None, task_id: str) -> str:
    """Return the fingerprint of a video that another task has, too: later submits get that one."""
    return f"{fingerprint} {task_id}"


def task_from_row(row: tuple[Any, ...]) -> Task:
    """Return the task of a row of `COLUMNS`."""
    values = dict(zip(FIELDS, row, strict=True))
    values["warnings"] = json.loads(values["warnings"])
    values["options"] = _options(values["options"])
    return Task(**values)


# Most tasks of a server have the same ones.
@functools.lru_cache(256)
def _options(text: str) -> VideoOptions:
    return VideoOptions(**json.loads(text))


def row_of(task: Task) -> dict[str, Any]:
    """Return the values of `FIELDS` as SQLite stores them."""
    return encode({name: getattr(task, name) for name in FIELDS})


def encode(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as SQLite stores them: lists and options as JSON."""
    return {name: _encode(value) for name, value in values.items()}


def _encode(value: Any) -> Any:
    if isinstance(value, VideoOptions):
        value = value.chosen()
    if not isinstance(value, dict | list | tuple):
        return value
    return json.dumps(value, ensure_ascii=False)


def update(task_id: str, values: dict[str, Any]) -> tuple[str, tuple[Any, ...]]:
    """Return the statement that changes these columns of a task, and its parameters."""
    names = ", ".join(f"{name} = ?" for name in values)
    sql = f"UPDATE tasks SET {names} WHERE task_id = ?"  # noqa: S608 - column names
    return sql, (*encode(values).values(), task_id)

"""Counts the videos of an account: in each state, and of each batch that is not finished."""

import sqlite3
from typing import Any

import attrs

from .task import TaskState

_COUNTS = "SELECT state, count(*) FROM tasks WHERE account = ? GROUP BY state"
# The folder of a batch, unless its songs are of several.
_BATCHES = """
SELECT batch AS id, CASE WHEN min(music_task_id) = max(music_task_id) THEN max(music_task_id) END
    AS folder, sum(state IN ('done', 'failed')) AS finished, count(*) AS total
FROM tasks WHERE account = :account AND batch IN (
    SELECT batch FROM tasks WHERE state IN ('queued', 'rendering') AND account = :account)
GROUP BY batch
"""


@attrs.frozen
class Overview:
    """The videos of one account.

    Attributes:
        counts: How many there are in each state.
        batches: `id`, `folder`, `finished` and `total` of each batch that is not finished.
    """

    counts: dict[TaskState, int]
    batches: list[dict[str, Any]]


def read_overview(connection: sqlite3.Connection, account: str) -> Overview:
    """Return the overview of an account."""
    counts = dict.fromkeys(TaskState, 0)
    rows = connection.execute(_COUNTS, (account,))
    counts |= {TaskState(state): count for state, count in rows}
    cursor = connection.execute(_BATCHES, {"account": account})
    names = [column[0] for column in cursor.description]
    batches = [dict(zip(names, row, strict=True)) for row in cursor]
    return Overview(counts, batches)

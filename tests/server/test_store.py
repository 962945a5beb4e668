"""The durable record of the tasks."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mp4gen.server.queue.known_tasks import MAX_TASKS, KnownTasks
from mp4gen.server.queue.statements import update
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState, Task

from .conftest import FINISHED_TASK


def test_store_syncs_each_commit_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A committed task survives a power cut: SQLite's `synchronous` is FULL (2)."""
    connections: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def recording(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connections.append(connect(*args, **kwargs))
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", recording)
    store = Store(tmp_path / "tasks.sqlite")
    levels = {one.execute("PRAGMA synchronous").fetchone()[0] for one in connections}
    store.close()

    assert levels == {2}


OFTEN: dict[str, Callable[[Store], object]] = {
    "one task": lambda store: store.get("1"),
    "the unfinished tasks": lambda store: list(store.unfinished()),
    "the callbacks that are due": lambda store: store.callbacks_due(),
    "the expired tasks": lambda store: store.finished_before(1.0),
    "the newest tasks of an account": lambda store: store.newest("", 200),
    "the failed tasks of an account": lambda store: store.newest("", 50, states=["failed"]),
    "the overview of an account": lambda store: store.overview(""),
    "a value": lambda store: store.get_metadata("render_speed"),
    "a submit": lambda store: store._add(FINISHED_TASK),
    "a state": lambda store: store._run(*update("1", {"callback": "sent"})),
    "the start of a render": lambda store: store._mark_started("1", "f", {"started_at": 1.0}),
    "a deletion": lambda store: store._remove("1"),
}
# These indexes contain only the rows that are asked for.
WHOLE = {"SCAN tasks USING INDEX unfinished", "SCAN tasks USING INDEX by_callback"}


@pytest.mark.parametrize("name", OFTEN)
def test_queries_use_an_index(store: Store, name: str) -> None:
    """What is asked often reads no more rows than it returns, and sorts none."""
    statements: list[str] = []
    for connection in (store._read_connection, store._write_connection):
        connection.set_trace_callback(statements.append)

    OFTEN[name](store)

    plans = [plan for sql in statements for plan in explain(store._read_connection, sql)]
    assert plans
    # The other lines are about subqueries.
    read = [plan for plan in plans if "tasks" in plan or "TEMP" in plan]
    assert [plan for plan in read if plan not in WHOLE and not plan.startswith("SEARCH")] == []


def explain(connection: sqlite3.Connection, sql: str) -> list[str]:
    """Return how SQLite runs a statement."""
    connection.set_trace_callback(None)
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")]


async def test_get_returns_what_was_written_last(store: Store) -> None:
    """Tasks are kept between two writes; after a write nothing old is returned."""
    assert store.get("1") is None
    await store.add(FINISHED_TASK)
    first = store.get("1")
    again = store.get("1")
    await store.set_callback_state("1", CallbackState.FAILED)
    changed = store.get("1")
    await store.remove("1")

    assert first == FINISHED_TASK
    assert again is first
    assert changed.callback is CallbackState.FAILED
    assert store.get("1") is None


def test_read_that_overlaps_a_write_is_not_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before a write ended is read again after it."""
    store._add(FINISHED_TASK)
    select = store._select

    def write_after_reading(*args: Any) -> list[Task]:
        found = select(*args)
        store._run(*update("1", {"callback": "failed"}))
        return found

    monkeypatch.setattr(store, "_select", write_after_reading)
    before = store.get("1")
    monkeypatch.undo()

    assert before.callback is CallbackState.SENT
    assert store.get("1").callback is CallbackState.FAILED


def test_known_tasks_are_limited() -> None:
    """Polls of endless unknown ids take no endless memory."""
    known, sizes = KnownTasks(), set[int]()
    for number in range(2 * MAX_TASKS + 1):
        known[str(number)] = None
        sizes.add(len(known))

    assert (min(sizes), max(sizes)) == (1, MAX_TASKS)

"""The durable record of the tasks."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from mp4gen.server.queue.store import Store


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

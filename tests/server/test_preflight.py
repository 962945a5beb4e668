"""The look before the start: everything that a server needs, and what to do where it is missing."""

import fcntl
import socket
from pathlib import Path
from typing import Any

import pytest

from mp4gen.server import ServerConfig
from mp4gen.server.preflight import CheckResult, run_checks

from .conftest import FAST_STYLE

NAMES = ["music", "data", "database", "disk", "port", "keys", "fonts", "renderer"]


async def looked(**settings: Any) -> dict[str, CheckResult]:
    config = ServerConfig(**{"style": FAST_STYLE, "port": 0, "min_free_bytes": 0, **settings})
    return {result.name: result async for result in run_checks(config)}


async def test_all_is_well_where_a_server_could_run(music: Path, tmp_path: Path) -> None:
    """Each thing is told in a line of its own, and nothing is made by looking."""
    found = await looked(music=music, data=tmp_path / "not" / "yet")

    assert list(found) == NAMES
    assert [name for name, result in found.items() if not result.passed] == []
    assert "4 tracks in 3 folders" in found["music"].message
    assert "first start creates it" in found["data"].message
    assert not (tmp_path / "not").exists()


async def test_a_folder_that_was_used_is_looked_through(serve: Any, tmp_path: Path) -> None:
    """While its server runs the folder is in use; afterwards its tasks are counted."""
    caller = await serve()
    await caller.create_and_wait("album", "one")
    running = await looked(music=caller.server.config.music, data=tmp_path / "data")
    await caller.server.__aexit__(None, None, None)

    ended = await looked(music=caller.server.config.music, data=tmp_path / "data")

    assert "Another server uses" in running["data"].message
    assert not running["data"].passed
    assert ended["data"].passed
    assert "is intact and contains 1 task" in ended["database"].message


async def test_what_is_missing_is_told_with_what_to_do(tmp_path: Path) -> None:
    """No music, a file in the way of the data, no room, a port in use, a key that is guessed."""
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = await looked(
            music=tmp_path / "none",
            data=tmp_path / "file" / "data",
            port=taken.getsockname()[1],
            min_free_bytes=1 << 60,
        )
    guessed = await looked(music=tmp_path, data=tmp_path, host="0.0.0.0", key="short")  # noqa: S104

    told = {name: result.message for name, result in found.items() if not result.passed}
    assert set(told) == {"music", "data", "disk", "port"}
    for name, option in {"music": "--music", "data": "--data", "disk": "--min-free"}.items():
        assert option in told[name]
    assert "--port" in told["port"]
    assert "fewer than 16" in guessed["keys"].message
    assert "short" not in guessed["keys"].message.replace("shorter", "")


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"x" * 900]
)
async def test_a_damaged_database_is_found(music: Path, tmp_path: Path, content: bytes) -> None:
    """The sentence says that a copy is to be put back."""
    (tmp_path / "mp4gen.sqlite").write_bytes(content)

    found = await looked(music=music, data=tmp_path)

    assert not found["database"].passed
    assert "Restore your last copy" in found["database"].message


async def test_a_worker_with_too_little_memory_is_found(music: Path, tmp_path: Path) -> None:
    """The test video is made under the limits that all renders have."""
    found = await looked(music=music, data=tmp_path, worker_memory_bytes=200 << 20)

    assert not found["renderer"].passed
    assert "--worker-memory" in found["renderer"].message


async def test_looking_does_not_keep_the_folder(music: Path, tmp_path: Path) -> None:
    """The lock that was tried is free again."""
    with (tmp_path / "lock").open("w") as lock:
        await looked(music=music, data=tmp_path)

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

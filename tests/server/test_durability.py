"""A restarted server knows its tasks and continues them."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from mp4gen.errors import ConfigurationError
from mp4gen.server import Server, ServerConfig, data_dir
from mp4gen.server.data_dir import DataDirectory

from .conftest import FAST_STYLE, Caller, Serve, wait_for_workers

NOW = 1_800_000_000.0


@pytest.fixture
def settings(music: Path, tmp_path: Path) -> dict[str, Any]:
    return {
        "music": music,
        "data": tmp_path / "data",
        "port": 0,
        "style": FAST_STYLE,
        "workers": 1,
        "shutdown_timeout": 0.0,
        "min_free_bytes": 0,
    }


@pytest.mark.slow
async def test_restart_continues_accepted_tasks(serve: Serve, settings: Any) -> None:
    """Accepted tasks survive a stop: finished ones are known, all others are rendered later."""
    session = (await serve(data=settings["data"].parent / "unused")).session
    async with Server(ServerConfig(**settings)) as first:
        caller = Caller(session, first.url)
        done = await caller.create_and_wait("album", "one")
        waiting = (await caller.generate("album", "two"))["data"]["taskId"]

    async with Server(ServerConfig(**settings)) as second:
        caller = Caller(session, second.url)
        ended = await caller.wait_until_finished(waiting)
        again = await caller.generate("album", "one")
        known = await caller.details(done["taskId"])

    assert ended["successFlag"] == "SUCCESS"
    assert again["code"] == 409
    assert again["data"]["taskId"] == done["taskId"]
    assert known["successFlag"] == "SUCCESS"
    assert not list((settings["data"] / "work").iterdir())
    assert len(list((settings["data"] / "videos").glob("*.mp4"))) == 2


@pytest.mark.slow
async def test_retention_deletes_file_and_record(serve: Serve, settings: Any) -> None:
    """After the retention the video and the task are gone, and the track can be submitted again."""
    caller = await serve(retention_days=1e-9)
    data = await caller.create_and_wait("album", "one")
    url = data["response"]["videoUrl"]

    await caller.server.delete_expired()

    assert await caller.details(data["taskId"]) is None
    async with caller.session.get(url) as response:
        assert response.status == 404
    assert not list((settings["data"] / "videos").iterdir())
    assert (await caller.generate("album", "one"))["code"] == 200


def is_alive(pid: int) -> bool:
    """Return whether the process exists."""
    return Path(f"/proc/{pid}").exists()


async def test_stop_ends_workers_after_the_grace_period(serve: Serve, settings: Any) -> None:
    """A stopping server cancels its render, and leaves no process and no partial file."""
    session = (await serve(data=settings["data"].parent / "unused")).session
    async with Server(ServerConfig(**settings)) as server:
        caller = Caller(session, server.url)
        await caller.generate("album", "one")
        pids = await wait_for_workers(server)

    assert not [pid for pid in pids if is_alive(pid)]
    assert not list((settings["data"] / "videos").iterdir())


async def test_start_deletes_old_partial_uploads(serve: Serve, settings: Any) -> None:
    """Those of a killed server are deleted; one that another server receives stays, and music."""
    folder = settings["music"] / "Uploads"
    folder.mkdir()
    killed, active, song = (
        folder / name for name in (".mp4gen-upload-x", ".mp4gen-upload-y", "song.wav")
    )
    for path in (killed, active, song):
        path.write_bytes(b"half")
    for path in (killed, song):
        os.utime(path, (NOW - 1e9, NOW - 1e9))

    await serve()

    assert sorted(folder.iterdir()) == [active, song]


def test_prune_cache_deletes_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files beyond the maximum age or the maximum size of the cache are deleted, oldest first."""
    data = DataDirectory(tmp_path)
    data.open()
    monkeypatch.setattr(data_dir, "MAX_CACHE_BYTES", 250)
    for name, age in {"d": 91 * 86400, "c": 300, "b": 200, "a": 100}.items():
        path = data.cache / f"{name * 32}.jpg"
        path.write_bytes(b"x" * 100)
        os.utime(path, (NOW - age, NOW - age))

    deleted = data.prune_cache(NOW)
    data.close()

    assert deleted == 2
    assert sorted(path.name[0] for path in data.cache.iterdir()) == ["a", "b"]


def test_secret_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """It stays the same, and no temporary file is left."""
    data = DataDirectory(tmp_path)

    assert data.secret() == data.secret()
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "secret": 0o600
    }


def test_publish_syncs_the_folder_of_videos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video that the database calls finished must survive a power cut, its record first."""
    data = DataDirectory(tmp_path)
    data.videos.mkdir()
    (tmp_path / "rendered").write_bytes(b"video")
    synced: list[list[str]] = []

    def record_sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path == data.videos:
            synced.append(sorted(one.name for one in path.iterdir()))

    monkeypatch.setattr(os, "fsync", record_sync)
    size = data.publish(tmp_path / "rendered", "one.mp4", b"{}")

    assert size == 5
    assert synced == [["one.json"], ["one.json", "one.mp4"]]


async def test_port_in_use_creates_no_data_folder(tmp_path: Path, music: Path) -> None:
    """A server that cannot listen creates nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ServerConfig(music=music, data=tmp_path / "d", port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError):
            await Server(config).__aenter__()

    assert not (tmp_path / "d").exists()

"""What a restarted server still knows, and what it goes on with."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from mp4gen.errors import ConfigurationError
from mp4gen.server import Server, ServerConfig, data_dir
from mp4gen.server.data_dir import DataDirectory

from .conftest import FAST_STYLE, Caller, Serve

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


async def test_a_stopped_server_goes_on_where_it_was(serve: Serve, settings: Any) -> None:
    """Accepted tasks survive a stop: ended ones are known, all others are rendered after it."""
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
    assert len(list((settings["data"] / "videos").iterdir())) == 2


async def test_a_video_is_deleted_after_its_time(serve: Serve, settings: Any) -> None:
    """After the days of retention the file and the record are gone, and the track is free again."""
    caller = await serve(retention_days=0.0)
    data = await caller.create_and_wait("album", "one")
    url = data["response"]["videoUrl"]

    await caller.server.delete_expired()

    assert await caller.details(data["taskId"]) is None
    async with caller.session.get(url) as response:
        assert response.status == 404
    assert not list((settings["data"] / "videos").iterdir())
    assert (await caller.generate("album", "one"))["code"] == 200


async def workers_of(server: Server) -> list[int]:
    """The process ids of the workers, once there are any."""
    while True:
        if pids := server.worker_pids:
            return pids
        await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    return Path(f"/proc/{pid}").exists()


async def test_a_stop_does_not_wait_longer_than_it_may(serve: Serve, settings: Any) -> None:
    """A stopping server asks its render to stop, and leaves no process and no half file."""
    session = (await serve(data=settings["data"].parent / "unused")).session
    async with Server(ServerConfig(**settings)) as server:
        caller = Caller(session, server.url)
        await caller.generate("album", "one")
        pids = await workers_of(server)

    assert not [pid for pid in pids if is_alive(pid)]
    assert not list((settings["data"] / "videos").iterdir())


async def test_what_a_kill_left_is_cleared_away(serve: Serve, settings: Any) -> None:
    """Parts of renders, of covers and of uploads are gone after the next start; the rest stays."""
    data, music = settings["data"], settings["music"]
    left = [
        data / "work" / "abc" / ".mp4gen-0011.part",
        data / "cache" / ".mp4gen-0011.part",
        data / "videos" / ".mp4gen-0011.part",
        data / "cache" / f"thumbnail-{'A' * 24}.jpg",
        music / "Uploads" / ".mp4gen-upload-x",
    ]
    stays = [data / "cache" / "cover.jpg", music / "Uploads" / "song.wav"]
    for path in left + stays:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")

    await serve()

    assert [path for path in left if path.exists()] == []
    assert [path for path in stays if not path.exists()] == []


def test_the_cache_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not asked for lately goes first: by age, and where there is too much of it."""
    data = DataDirectory(tmp_path)
    data.open()
    monkeypatch.setattr(data_dir, "MAX_CACHE_BYTES", 250)
    for name, age in {"old": 91 * 86400, "c": 300, "b": 200, "a": 100}.items():
        path = data.cache / name
        path.write_bytes(b"x" * 100)
        os.utime(path, (NOW - age, NOW - age))

    gone = data.prune_cache(NOW)
    data.close()

    assert gone == 2
    assert sorted(path.name for path in data.cache.iterdir()) == ["a", "b"]


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
    """A video that the database calls finished must survive a power cut."""
    data = DataDirectory(tmp_path)
    data.videos.mkdir()
    (tmp_path / "rendered").write_bytes(b"video")
    synced: list[tuple[Path, list[Path]]] = []

    def record_sync(descriptor: int) -> None:
        folder = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((folder, list(folder.iterdir())))

    monkeypatch.setattr(os, "fsync", record_sync)
    size = data.publish(tmp_path / "rendered", "one.mp4")

    assert size == 5
    assert synced == [(data.videos, [data.videos / "one.mp4"])]


async def test_a_port_in_use_makes_no_data_folder(tmp_path: Path, music: Path) -> None:
    """A server that cannot listen leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = ServerConfig(music=music, data=tmp_path / "d", port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError):
            await Server(config).__aenter__()

    assert not (tmp_path / "d").exists()

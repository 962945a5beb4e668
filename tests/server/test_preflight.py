"""The checks before the start: what a server needs, and what to do if it is missing."""

import fcntl
import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from mp4gen.errors import ConfigurationError
from mp4gen.render import RenderStyle
from mp4gen.server import Server, ServerConfig
from mp4gen.server.preflight import CheckResult, run_checks

from .conftest import FAST_STYLE, full_disk, run_check

NAMES = [
    "music",
    "data",
    "files",
    "database",
    "disk",
    "tls",
    "port",
    "keys",
    "fonts",
    "pictures",
    "renderer",
]


def config_of(**settings: Any) -> ServerConfig:
    return ServerConfig(**{"style": FAST_STYLE, "port": 0, "min_free_bytes": 0, **settings})


async def check(**settings: Any) -> dict[str, CheckResult]:
    return {result.name: result async for result in run_checks(config_of(**settings))}


@pytest.mark.slow
async def test_checks_pass_if_a_server_can_run(music: Path, tmp_path: Path) -> None:
    """Each check has one result, and no check creates anything."""
    found = await check(music=music, data=tmp_path / "not" / "yet")

    assert list(found) == NAMES
    assert [name for name, result in found.items() if not result.passed] == []
    assert "4 tracks in 3 folders" in found["music"].message
    assert "first start creates it" in found["data"].message
    assert not (tmp_path / "not").exists()


@pytest.mark.slow
async def test_checks_read_a_used_data_folder(serve: Any, tmp_path: Path) -> None:
    """The folder of a running server is in use; later its tasks are counted."""
    caller = await serve()
    await caller.create_and_wait("album", "one")
    config = config_of(music=caller.server.config.music, data=tmp_path / "data")
    running = await run_check(config, "data")
    await caller.server.__aexit__(None, None, None)

    ended = await run_check(config, "data")
    database = await run_check(config, "database")

    assert "Another server uses" in running.message
    assert not running.passed
    assert ended.passed
    assert "is intact and contains 1 task" in database.message


@pytest.mark.slow
async def test_failed_checks_say_what_to_do(tmp_path: Path) -> None:
    """No music, a file instead of a data folder, a full disk, a used port, a short key."""
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = await check(
            music=tmp_path / "none",
            data=tmp_path / "file" / "data",
            port=taken.getsockname()[1],
            **full_disk(tmp_path),
        )
    exposed = config_of(music=tmp_path, data=tmp_path, host="0.0.0.0", key="short")  # noqa: S104
    short_key = await run_check(exposed, "keys")

    messages = {name: result.message for name, result in found.items() if not result.passed}
    assert set(messages) == {"music", "data", "disk", "port"}
    for name, option in {"music": "--music", "data": "--data", "disk": "--min-free"}.items():
        assert option in messages[name]
    assert "--port" in messages["port"]
    assert "fewer than 16" in short_key.message
    assert "short" not in short_key.message.replace("shorter", "")


@pytest.mark.parametrize(
    "content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"x" * 900]
)
async def test_database_check_finds_damage(music: Path, tmp_path: Path, content: bytes) -> None:
    """The text says to restore a copy."""
    (tmp_path / "mp4gen.sqlite").write_bytes(content)

    found = await run_check(config_of(music=music, data=tmp_path), "database")

    assert not found.passed
    assert "Restore your last copy" in found.message


async def test_renderer_check_finds_too_little_memory(music: Path, tmp_path: Path) -> None:
    """The test video is rendered with the limits of every render."""
    found = await check(music=music, data=tmp_path, worker_memory_bytes=320 << 20)

    assert not found["renderer"].passed
    assert "--worker-memory" in found["renderer"].message


@pytest.mark.slow
async def test_checks_release_the_lock(music: Path, tmp_path: Path) -> None:
    """The data folder can be locked after the checks."""
    with (tmp_path / "lock").open("w") as lock:
        await check(music=music, data=tmp_path)

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


async def test_database_check_lists_videos_without_a_task(music: Path, tmp_path: Path) -> None:
    """After the database was moved away, the check names what the next start will find."""
    data = tmp_path / "data"
    name = f"{'A' * 24}.mp4"
    (data / "videos").mkdir(parents=True)
    (data / "mp4gen-data-folder.txt").touch()
    (data / "videos" / name).write_bytes(b"video")
    (data / "videos" / "mine.mp4").write_bytes(b"mine")

    found = await run_check(config_of(music=music, data=data), "database")

    assert f"keeps: 1, for instance {name}" in found.message
    assert found.passed


UNUSABLE = {
    "memory": ({"worker_memory_bytes": 1 << 20}, "renderer", "--worker-memory"),
    "memory for 4K": (
        {"style": RenderStyle(width=3840, height=2160), "worker_memory_bytes": 512 << 20},
        "renderer",
        "at least 741M",
    ),
    "reserve": ({"min_free_bytes": 1 << 60}, "disk", "--min-free"),
    "font": ({"style": RenderStyle(fonts=(__file__,))}, "fonts", "--font"),
    "background": ({"style": RenderStyle(background=__file__)}, "pictures", "--background"),
    "logo": ({"style": RenderStyle(logo=__file__)}, "pictures", "--logo"),
    "key": ({"host": "0.0.0.0", "key": "short"}, "keys", "fewer than 16"),  # noqa: S104
    "music": ({"music": Path(__file__)}, "music", "--music"),
    "certificates of Dask": (
        {"executor": "dask+tls://127.0.0.1:9"},
        "renderer",
        "DASK_DISTRIBUTED__COMM__TLS__",
    ),
    "certificate": ({"tls_cert": __file__, "tls_key": __file__}, "tls", "certificate"),
}


@pytest.mark.parametrize("case", UNUSABLE)
async def test_start_refuses_what_the_checks_refuse(case: str, music: Path, tmp_path: Path) -> None:
    """Settings with which no server can work end the start and the check with the same sentence."""
    settings, name, hint = UNUSABLE[case]
    values = {"music": music, "data": tmp_path / "data", "port": 0, "min_free_bytes": 0, **settings}
    config = ServerConfig(**values)

    with pytest.raises(ConfigurationError) as refused:
        async with Server(config):
            pass
    result = await run_check(config, name)

    assert hint in str(refused.value)
    assert (result.passed, result.message) == (False, str(refused.value))
    assert not (tmp_path / "data").exists()


async def test_start_refuses_too_few_open_files(
    music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without descriptors a server can accept no connection, and not even read its files."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (40, 40))
    config = ServerConfig(music=music, data=tmp_path / "data", port=0, min_free_bytes=0)

    with pytest.raises(ConfigurationError, match=r"Too few files may be open: 40\. Allow .* 192"):
        async with Server(config):
            pass


async def test_start_does_not_refuse_what_passes(serve: Any, tmp_path: Path) -> None:
    """A full disk is a failed check, but the server starts and waits for space."""
    caller = await serve(**full_disk(tmp_path))

    assert (await caller.get_response("/healthz"))[2]["status"] == "disk full"

"""A render that goes wrong fails its own task only, and only if its song is at fault.

Failure mode 38.
"""

import os
import signal
from pathlib import Path

import pytest

from mp4gen.server.queue import retries

from .conftest import Serve, read_tasks, wait_for_workers, write_song


@pytest.mark.slow
async def test_killed_worker_costs_one_attempt(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 60: a task whose worker was killed is rendered by the next worker."""
    monkeypatch.setattr(retries, "INITIAL_DELAY", 0.01)
    caller = await serve()
    first = (await caller.generate("album", "one"))["data"]["taskId"]
    second = (await caller.generate("album", "two"))["data"]["taskId"]

    os.kill((await wait_for_workers(caller.server))[0], signal.SIGKILL)

    ended = [await caller.wait_until_finished(task) for task in (first, second)]
    assert [data["successFlag"] for data in ended] == ["SUCCESS", "SUCCESS"]


@pytest.mark.slow
async def test_worker_killed_while_idle_costs_nothing(serve: Serve, tmp_path: Path) -> None:
    """Failure mode 60: the next task gets a new worker, and no attempt is counted."""
    caller = await serve()
    await caller.create_and_wait("album", "one")

    os.kill((await wait_for_workers(caller.server))[0], signal.SIGKILL)

    assert (await caller.create_and_wait("album", "two"))["successFlag"] == "SUCCESS"
    assert read_tasks(tmp_path / "data", "attempts, troubles, last_trouble") == [(1, 0, None)] * 2


@pytest.mark.slow
async def test_hanging_worker_is_killed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A render without progress is rendered again by a new worker."""
    monkeypatch.setattr(retries, "INITIAL_DELAY", 0.01)
    caller = await serve(progress_timeout=8.0)
    task = (await caller.generate("album", "one"))["data"]["taskId"]

    os.kill((await wait_for_workers(caller.server))[0], signal.SIGSTOP)

    assert (await caller.wait_until_finished(task))["successFlag"] == "SUCCESS"


@pytest.mark.slow
async def test_slow_render_is_stopped(serve: Serve, music: object) -> None:
    """The error names the time limit of a render."""
    write_song(music / "album" / "long.wav", 60.0)
    caller = await serve(render_timeout=1.0)

    failed = await caller.create_and_wait("album", "long")

    assert failed["errorCode"] == 500
    assert "longer than 1 s" in failed["errorMessage"]


async def test_memory_limit_fails_the_task(serve: Serve) -> None:
    """A worker with too little memory fails its task; the server goes on."""
    caller = await serve(worker_memory_bytes=320 << 20)

    failed = await caller.create_and_wait("album", "one")

    assert failed["successFlag"] == "GENERATE_MP4_FAILED"
    assert failed["errorCode"] == 500
    assert (await caller.get("/api/v1/generate/credit"))["code"] == 200


async def test_too_long_music_fails_the_task(serve: Serve) -> None:
    """The error names the file that is too long."""
    caller = await serve(max_duration=1.0, worker_memory_bytes=0)
    write_song(caller.server.config.music / "album" / "longer.wav", 3.0)

    failed = await caller.create_and_wait("album", "longer")

    assert failed["errorCode"] == 400
    assert "longer.wav" in failed["errorMessage"]


async def test_deleted_file_is_code_451(serve: Serve) -> None:
    """The error says that the file was deleted between the submit and the render."""
    caller = await serve()
    await caller.generate("album", "one")
    second = (await caller.generate("album", "two"))["data"]["taskId"]
    (caller.server.config.music / "album" / "two.wav").unlink()

    failed = await caller.wait_until_finished(second)

    assert failed["errorCode"] == 451
    assert "not in the music folder" in failed["errorMessage"]

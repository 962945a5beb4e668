"""A render that goes wrong fails its own task only, and only if its song is at fault.

Failure mode 38.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from mp4gen.server.queue import retries

from .conftest import Serve, read_tasks, wait_for_workers, write_song


@pytest.mark.slow
async def test_killed_worker_costs_one_attempt(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 60: a task whose worker was killed is rendered by the next worker."""
    monkeypatch.setattr(retries, "INITIAL_DELAY", 0.01)
    caller = await serve(executor=None)
    first = (await caller.generate("album", "one"))["data"]["taskId"]
    second = (await caller.generate("album", "two"))["data"]["taskId"]

    os.kill((await wait_for_workers(caller.server))[0], signal.SIGKILL)

    ended = [await caller.wait_until_finished(task) for task in (first, second)]
    assert [data["successFlag"] for data in ended] == ["SUCCESS", "SUCCESS"]


@pytest.mark.slow
async def test_worker_killed_while_idle_costs_nothing(serve: Serve, tmp_path: Path) -> None:
    """Failure mode 60: the next task gets a new worker, and no attempt is counted."""
    caller = await serve(executor=None)
    await caller.create_and_wait("album", "one")

    os.kill((await wait_for_workers(caller.server))[0], signal.SIGKILL)

    assert (await caller.create_and_wait("album", "two"))["successFlag"] == "SUCCESS"
    assert read_tasks(tmp_path / "data", "attempts, troubles, last_trouble") == [(1, 0, None)] * 2


@pytest.mark.slow
async def test_hanging_worker_is_killed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A render without progress is rendered again by a new worker."""
    monkeypatch.setattr(retries, "INITIAL_DELAY", 0.01)
    caller = await serve(progress_timeout=8.0, executor=None)
    task = (await caller.generate("album", "one"))["data"]["taskId"]

    os.kill((await wait_for_workers(caller.server))[0], signal.SIGSTOP)

    assert (await caller.wait_until_finished(task))["successFlag"] == "SUCCESS"


@pytest.mark.slow
async def test_slow_render_is_stopped(serve: Serve, music: object) -> None:
    """The error names the time limit of a render."""
    write_song(music / "album" / "long.wav", 600.0)
    caller = await serve(render_timeout=1.0, executor=None)

    failed = await caller.create_and_wait("album", "long")

    assert failed["errorCode"] == 500
    assert "longer than 1 s" in failed["errorMessage"]


async def test_memory_limit_fails_the_task(serve: Serve) -> None:
    """A worker with too little memory fails its task; the server goes on."""
    caller = await serve(worker_memory_bytes=320 << 20, executor=None)

    failed = await caller.create_and_wait("album", "one")

    assert failed["successFlag"] == "GENERATE_MP4_FAILED"
    assert failed["errorCode"] == 500
    assert (await caller.get("/api/v1/generate/credit"))["code"] == 200


async def test_too_long_music_fails_the_task(serve: Serve) -> None:
    """The error names the file that is too long."""
    caller = await serve(max_duration=1.0)
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


@pytest.mark.slow
async def test_health_says_why_the_queue_waits(
    serve: Serve, visit: Any, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 60: with the music away, `/healthz`, the details and the page say so."""
    monkeypatch.setattr(retries, "INITIAL_DELAY", 0.2)
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    write_song(music / "album" / "three.wav", 20.0)
    names = ("three", "one", "two")
    ids = [(await caller.generate("album", name))["data"]["taskId"] for name in names]
    music.rename(tmp_path / "away")  # noqa: ASYNC240 - takes no time

    while (health := await caller.get_response("/healthz"))[0] == 200:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    waiting = await caller.details(ids[1])
    refused = await caller.generate("album", "one")
    state = await visitor.state()
    (tmp_path / "away").rename(music)
    ended = [await caller.wait_until_finished(task_id) for task_id in ids]

    text = "The music folder cannot be read: No such file or directory."
    assert (health[0], health[2]["status"]) == (503, "waiting")
    assert text in health[2]["trouble"]
    assert waiting["successFlag"] == "PENDING"
    assert text in waiting["trouble"]
    assert refused["code"] == 455
    assert text in refused["msg"]
    assert text in state["trouble"]
    assert len(state["library"]) == 4
    assert [data["successFlag"] for data in ended] == ["SUCCESS"] * 3
    assert (await caller.get_response("/healthz"))[0] == 200

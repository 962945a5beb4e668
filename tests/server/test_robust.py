"""A render that goes wrong is its own task's failure and nobody else's.

Row 38 of the list of faults.
"""

import asyncio
import os
import signal

from .conftest import Caller, Serve, write_song


async def worker_of(caller: Caller) -> int:
    """The process id of the one worker, once there is one."""
    while True:
        if pids := caller.server.worker_pids:
            return pids[0]
        await asyncio.sleep(0.01)


async def test_a_worker_that_dies_costs_its_own_task(serve: Serve) -> None:
    """The task whose worker was killed fails with a sentence; the next one is rendered."""
    caller = await serve()
    first = (await caller.generate("album", "one"))["data"]["taskId"]
    second = (await caller.generate("album", "two"))["data"]["taskId"]

    os.kill(await worker_of(caller), signal.SIGKILL)

    failed, made = await caller.wait_until_finished(first), await caller.wait_until_finished(second)
    assert failed["successFlag"] == "GENERATE_MP4_FAILED"
    assert failed["errorCode"] == 500
    assert "crashed" in failed["errorMessage"]
    assert made["successFlag"] == "SUCCESS"


async def test_a_worker_that_hangs_is_ended(serve: Serve) -> None:
    """A render without progress is given up; the next one is rendered by a fresh worker."""
    caller = await serve(progress_timeout=5.0)
    first = (await caller.generate("album", "one"))["data"]["taskId"]

    os.kill(await worker_of(caller), signal.SIGSTOP)

    failed = await caller.wait_until_finished(first)
    assert "no progress for 5 s" in failed["errorMessage"]
    assert (await caller.create_and_wait("album", "two"))["successFlag"] == "SUCCESS"


async def test_a_render_that_takes_too_long_is_ended(serve: Serve, music: object) -> None:
    """The limit on a render's time is told in its error."""
    write_song(music / "album" / "long.wav", 60.0)
    caller = await serve(render_timeout=1.0)

    failed = await caller.create_and_wait("album", "long")

    assert failed["errorCode"] == 500
    assert "longer than 1 s" in failed["errorMessage"]


async def test_a_worker_that_needs_too_much_memory_fails_alone(serve: Serve) -> None:
    """A worker with too little room to work in fails its task; the server goes on."""
    caller = await serve(worker_memory_bytes=200 << 20)

    failed = await caller.create_and_wait("album", "one")

    assert failed["successFlag"] == "GENERATE_MP4_FAILED"
    assert failed["errorCode"] == 500
    assert (await caller.get("/api/v1/generate/credit"))["code"] == 200


async def test_music_that_is_too_long_is_refused_in_words(serve: Serve) -> None:
    """The limit on a video's length is told in its error."""
    caller = await serve(max_duration=1.0, worker_memory_bytes=0)
    write_song(caller.server.config.music / "album" / "longer.wav", 3.0)

    failed = await caller.create_and_wait("album", "longer")

    assert failed["errorCode"] == 400
    assert "longer.wav" in failed["errorMessage"]


async def test_a_file_that_is_gone_is_code_451(serve: Serve) -> None:
    """Music that was taken away between submit and render is told as such."""
    caller = await serve()
    await caller.generate("album", "one")
    second = (await caller.generate("album", "two"))["data"]["taskId"]
    (caller.server.config.music / "album" / "two.wav").unlink()

    failed = await caller.wait_until_finished(second)

    assert failed["errorCode"] == 451
    assert "not in the music folder" in failed["errorMessage"]

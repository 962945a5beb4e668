"""A server with a bucket that is killed and restarted loses no video and stores none twice."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import attrs
import pytest

from mp4gen.server import Server
from mp4gen.server.queue.task_renderer import TaskRenderer

from .conftest import Caller, Visitor, read_tasks
from .support_s3 import S3Server
from .test_kill import Zygote, restarted, submit
from .zygote import BUCKET_POINTS, BUCKET_REMOVAL_POINTS, BUCKET_START_POINTS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.close()


@attrs.frozen
class Place:
    """Where a server has its music, its data and its videos."""

    music: Path
    data: Path
    bucket_name: str

    @property
    def files(self) -> str:
        return f"s3://{self.bucket_name}/a"


def restart(place: Place) -> AbstractAsyncContextManager[Server]:
    """Run a server there."""
    return restarted(place.music, place.data, files=place.files)


@pytest.fixture
def place(music: Path, tmp_path: Path, bucket_name: str) -> Place:
    return Place(music, tmp_path / "data", bucket_name)


@pytest.mark.parametrize("point", BUCKET_START_POINTS)
async def test_kill_at_the_first_start(zygote: Zygote, place: Place, point: str) -> None:
    """Killed while it marks its prefix, the next server has it."""
    ended = await asyncio.to_thread(
        zygote.start_and_die, place.music, place.data, point, files=place.files
    )

    async with restart(place) as server:
        url = server.url

    assert ended == {"ended": -signal.SIGKILL}
    assert url


@pytest.mark.parametrize("point", BUCKET_POINTS)
async def test_kill_while_a_video_is_stored(
    zygote: Zygote, place: Place, point: str, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at this point, the task is done once, with one object, and is not rendered again."""
    async with aiohttp.ClientSession() as session:
        url = zygote.start(place.music, place.data, point, files=place.files)
        await submit(Caller(session, url), "https://mp4gen.invalid/none")
        ended = await asyncio.to_thread(zygote.receive)
        monkeypatch.setattr(TaskRenderer, "_render", None)
        async with (
            asyncio.timeout(100),
            restart(place) as server,
        ):
            caller = Caller(session, server.url)
            again = await caller.generate("album", "one")
            task = await caller.wait_until_finished(again["data"]["taskId"])
            async with session.get(task["response"]["videoUrl"]) as response:
                video = await response.read()

    assert ended == {"ended": -signal.SIGKILL}
    assert task["successFlag"] == "SUCCESS"
    ((task_id, state, name, size, duration),) = read_tasks(
        place.data, "task_id, state, filename, size, duration"
    )
    assert (task_id, state, size) == (task["taskId"], "done", len(video))
    assert duration > 0
    record = name.replace(".mp4", ".json")
    assert sorted(s3.keys(place.bucket_name)) == sorted(
        [f"a/{name}", f"a/{record}", "a/mp4gen-videos.txt"]
    )
    assert [*(place.data / "videos").iterdir(), *(place.data / "work").iterdir()] == []


@pytest.mark.parametrize("point", BUCKET_REMOVAL_POINTS)
async def test_kill_while_a_video_is_deleted(
    zygote: Zygote, place: Place, point: str, s3: S3Server
) -> None:
    """Killed at this point, the task and its objects are gone for good."""
    async with (
        restart(place) as server,
        aiohttp.ClientSession() as session,
    ):
        await Caller(session, server.url).create_and_wait("album", "one")
    (task_id,) = read_tasks(place.data, "task_id")[0]
    visitor = Visitor(
        await asyncio.to_thread(zygote.start, place.music, place.data, point, files=place.files)
    )
    await visitor.open()
    with contextlib.suppress(aiohttp.ClientError):
        await visitor.ask("DELETE", f"/page/videos/{task_id}")
    await visitor.session.close()
    ended = await asyncio.to_thread(zygote.receive)
    async with restart(place):
        pass

    assert ended == {"ended": -signal.SIGKILL}
    assert read_tasks(place.data, "task_id") == []
    assert s3.keys(place.bucket_name) == ["a/mp4gen-videos.txt"]

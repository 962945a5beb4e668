"""Downloads of a bulk run: they hold up no submit, and replace no file of the user."""
# ruff: noqa: ASYNC240 - nothing else runs in the loop meanwhile

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import mp4gen
from mp4gen.testing import FakeService
from tests.support_async import now, outcome

FAST = mp4gen.Polling(initial_delay=1, max_interval=2)
pytestmark = pytest.mark.looptime


def tracks(number: int) -> list[mp4gen.VideoRequest]:
    return [mp4gen.VideoRequest("music", str(n)) for n in range(number)]


def submit_times(service: FakeService) -> list[float]:
    return [call.received_at for call in service.requests if call.endpoint == "create"]


async def convert_all(
    service: FakeService, number: int, folder: Path | None, **settings: Any
) -> tuple[list[mp4gen.Conversion], list[float]]:
    """Convert tracks, a few at a time; return the results and the times of the submits."""
    began = now()
    async with service.client(polling=FAST, concurrency=10, **settings) as client:
        found, error = await outcome(client.convert_many(tracks(number), download_to=folder))
    assert error is None
    return found, [time - began for time in submit_times(service)]


@pytest.mark.parametrize("fault", ["html_503", "hang", "close_without_answer"])
async def test_dead_file_host_holds_up_no_submit(tmp_path: Path, fault: str) -> None:
    """Failure mode 65: 150 tracks with 20 places are submitted as fast as without downloads."""
    async with FakeService(duration=5) as service:
        _, expected = await convert_all(service, 150, None)
    async with FakeService(duration=5) as service:
        service.always("file", fault)
        found, times = await convert_all(service, 150, tmp_path)

    assert times[-1] <= expected[-1] * 1.1
    assert service.count("file") < 60
    assert {type(conversion.error) for conversion in found} == {mp4gen.DownloadError}
    assert all(conversion.video for conversion in found)


async def test_waiting_downloads_are_fetched_when_their_host_is_back(tmp_path: Path) -> None:
    """Failure mode 65: no track of an outage of two minutes is left to the next run."""
    async with FakeService(duration=5) as service:
        service.always("file", "html_503")
        asyncio.get_running_loop().call_later(120, service.clear)
        found, _ = await convert_all(service, 150, tmp_path)

    assert {conversion.error for conversion in found} == {None}
    assert len(list(tmp_path.iterdir())) == 150


async def test_reader_that_stops_still_bounds_the_submits(tmp_path: Path) -> None:
    """A result that is not read keeps its place, also after its download."""
    async with FakeService(rate_limit=None) as service:
        client = service.client(rate_limit=mp4gen.RateLimit(1000, per=1), concurrency=10)
        async with client, client.convert_many(tracks(200), download_to=tmp_path) as run:
            results = aiter(run)
            await anext(results)
            await asyncio.sleep(1000)
            submitted = service.count("create")
            rest = [conversion async for conversion in results]

    # Those that were being downloaded when the reader stopped come on top.
    assert submitted <= 3 * (10 + 10)
    assert len(rest) == 199


async def test_tracks_that_wait_for_their_download_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes some memory, and an iterable can be endless."""
    monkeypatch.setattr("mp4gen.bulk.run._MAX_DOWNLOADS", 30)
    pulled = 0

    async def endless() -> AsyncIterator[mp4gen.VideoRequest]:
        nonlocal pulled
        while True:
            pulled += 1
            yield mp4gen.VideoRequest("music", str(pulled))

    async with FakeService(rate_limit=None) as service:
        service.always("file", "html_503")
        client = service.client(rate_limit=mp4gen.RateLimit(1000, per=1), concurrency=10)
        async with client, client.convert_many(endless(), download_to=tmp_path) as run:
            reading = asyncio.create_task(anext(aiter(run)))
            await asyncio.sleep(200)
            bounded = pulled
            reading.cancel()
            await asyncio.wait([reading])

    assert 30 < bounded <= 30 + 10 + 10 + 2

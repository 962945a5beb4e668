"""Downloads of a bulk run: they hold up no submit, and replace no file of the user."""
# ruff: noqa: ASYNC240 - nothing else runs in the loop meanwhile

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import mp4gen
from mp4gen.bulk.ledger_schema import read_ledger
from mp4gen.testing import FakeService, ScriptedResponse
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
    """Failure mode 65: 150 tracks with 20 slots are submitted as fast as without downloads."""
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


# --- files that are not the run's own -----------------------------------------------------------


async def one(service: FakeService, folder: Path, ledger: Path | None = None) -> mp4gen.Conversion:
    """Return the result of a run over one track."""
    async with service.client(polling=FAST) as client:
        run = client.convert_many(tracks(1), download_to=folder, ledger=ledger)
        [conversion], error = await outcome(run)
    assert (error, conversion.error) == (None, None)
    return conversion


def content(service: FakeService) -> bytes:
    [task] = service.tasks.values()
    return task.content


@pytest.mark.parametrize("ledger", [None, "run.sqlite"])
@pytest.mark.parametrize("mine", [b"mine", b""], ids=["a file", "an empty file"])
async def test_file_of_the_user_is_not_replaced(
    tmp_path: Path, ledger: str | None, mine: bytes
) -> None:
    """A file that has the track's name by chance stays, and the video gets another name."""
    (tmp_path / "0.mp4").write_bytes(mine)
    async with FakeService() as service:
        conversion = await one(service, tmp_path, ledger and tmp_path / ledger)

    assert (tmp_path / "0.mp4").read_bytes() == mine
    assert conversion.path == tmp_path / "0-1.mp4"
    assert conversion.path.read_bytes() == content(service)


@pytest.mark.parametrize("prefixes", ["ab", "aa"])
@pytest.mark.parametrize("with_ledgers", [True, False])
async def test_runs_that_share_a_folder_keep_all_videos(
    tmp_path: Path, prefixes: str, with_ledgers: bool
) -> None:
    """Each name is taken by one video, although both runs chose it before any file was there."""
    folder = tmp_path / "videos"
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        runs = [
            client.convert_many(
                [mp4gen.VideoRequest("music", f"{prefix}{n}") for n in range(5)],
                ledger=tmp_path / f"{number}.sqlite" if with_ledgers else None,
                download_to=folder,
                name=lambda _: "song",
            )
            for number, prefix in enumerate(prefixes)
        ]
        outcomes = await asyncio.gather(*map(outcome, runs))
    paths = [one.path for found, _ in outcomes for one in found if one.path is not None]

    assert [error for _, error in outcomes] == [None, None]
    assert len(set(paths)) == 10
    assert sorted(paths) == sorted(folder.iterdir())


async def test_download_against_a_setting_keeps_its_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that only the file host needs, and that cannot be used, ends no run."""
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    link = {"response": {"videoUrl": "http://files.example.com/video.mp4"}}
    async with (
        FakeService(duration=5) as service,
        service.client(polling=FAST, trust_env=True) as client,
    ):
        service.always("details", ScriptedResponse(data=link, force_finished=True))
        run = client.convert_many(tracks(3), ledger=tmp_path / "run.sqlite", download_to=tmp_path)
        found, error = await outcome(run)

    assert error is None
    assert [(one.video is not None, type(one.error)) for one in found] == 3 * [
        (True, mp4gen.ConfigurationError)
    ]
    assert {entry.state for entry in read_ledger(tmp_path / "run.sqlite")[1]} == {"done"}


async def test_second_run_without_a_ledger_keeps_the_first_video(tmp_path: Path) -> None:
    """It cannot know whose the file is."""
    async with FakeService() as service:
        paths = [(await one(service, tmp_path)).path for _ in range(3)]

    assert paths == [tmp_path / name for name in ("0.mp4", "0-1.mp4", "0-1-2.mp4")]
    assert {path.read_bytes() for path in paths if path} == {content(service)}


async def test_file_of_the_same_name_in_another_folder_is_not_the_video(tmp_path: Path) -> None:
    """It is neither reported nor replaced; the video is fetched beside it."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "0.mp4").write_bytes(b"mine")
    async with FakeService() as service:
        await one(service, tmp_path, tmp_path / "run.sqlite")
        conversion = await one(service, other, tmp_path / "run.sqlite")

    assert (other / "0.mp4").read_bytes() == b"mine"
    assert conversion.path == other / "0-1.mp4"
    assert conversion.path.read_bytes() == content(service)
    assert service.count("create") == 1


async def test_file_that_was_moved_with_its_folder_is_the_video(tmp_path: Path) -> None:
    """Its size shows it."""
    first, moved = tmp_path / "first", tmp_path / "moved"
    async with FakeService() as service:
        await one(service, first, first / "run.sqlite")
        first.rename(moved)
        before = service.count()
        conversion = await one(service, moved, moved / "run.sqlite")

    assert conversion.path == moved / "0.mp4"
    assert service.count() == before


async def test_emptied_file_is_fetched_again(tmp_path: Path) -> None:
    """A full disk or another program has emptied it."""
    async with FakeService() as service:
        await one(service, tmp_path, tmp_path / "run.sqlite")
        (tmp_path / "0.mp4").write_bytes(b"")
        conversion = await one(service, tmp_path, tmp_path / "run.sqlite")

    assert conversion.path == tmp_path / "0.mp4"
    assert conversion.path.read_bytes() == content(service)
    assert service.count("create") == 1


async def test_file_that_the_user_has_edited_stays(tmp_path: Path) -> None:
    """The run fetched it once, and does not replace it."""
    async with FakeService() as service:
        await one(service, tmp_path, tmp_path / "run.sqlite")
        (tmp_path / "0.mp4").write_bytes(b"edited")
        conversion = await one(service, tmp_path, tmp_path / "run.sqlite")

    assert conversion.path == tmp_path / "0.mp4"
    assert conversion.path.read_bytes() == b"edited"


# --- paths that fail ----------------------------------------------------------------------------


async def test_impossible_path_is_the_error_of_its_track(tmp_path: Path) -> None:
    """Failure mode 53: the others go on."""
    names = {"0": "ok", "1": "in the way", "2": "fine"}
    async with FakeService() as service, service.client(polling=FAST) as client:
        # The name of the temporary file is taken.
        (tmp_path / ".in the way.mp4.part").mkdir()
        run = client.convert_many(
            tracks(3), download_to=tmp_path, name=lambda request: names[request.audio_id]
        )
        found, error = await outcome(run)

    failed = {c.request.audio_id: str(c.error) for c in found if c.error}
    assert error is None
    assert list(failed) == ["1"]
    assert failed["1"].startswith(f"Cannot write {tmp_path}/in the way.mp4: ")


async def test_home_folder_of_a_run_is_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~` is not the name of a folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    async with FakeService() as service:
        conversion = await one(service, Path("~/videos"))

    assert conversion.path == tmp_path / "videos" / "0.mp4"


@pytest.mark.parametrize("limit", ["folder", "descriptors"])
async def test_failing_file_system_fails_only_the_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Failure mode 53: whatever the system raises; the next run fetches the videos."""
    error = OSError(errno.EMFILE if limit == "descriptors" else errno.EACCES, "injected")
    folder, ledger = tmp_path / "videos", tmp_path / "run.sqlite"
    async with FakeService() as service:
        client = service.client(polling=FAST)
        async with client:
            with monkeypatch.context() as patched:

                def fail(*_: object, **__: object) -> int:
                    raise error

                patched.setattr("mp4gen.downloads.partial_file.open_locked", fail)
                found, ended = await outcome(
                    client.convert_many(tracks(3), download_to=folder, ledger=ledger)
                )
            again, _ = await outcome(
                client.convert_many(tracks(3), download_to=folder, ledger=ledger)
            )

    assert ended is None
    assert {type(conversion.error) for conversion in found} == {mp4gen.DownloadError}
    assert all(conversion.video for conversion in found)
    assert {conversion.error for conversion in again} == {None}
    assert service.count("create") == 3

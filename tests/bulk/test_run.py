"""Many tracks in one run: pulled lazily, told as they end, and left in order whatever ends it."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

import mp4gen
from mp4gen.testing import FakeService, ScriptedResponse
from tests.support_async import outcome

FAST = mp4gen.Polling(initial_delay=1, max_interval=2)


def track(name: object, **fields: Any) -> mp4gen.VideoRequest:
    return mp4gen.VideoRequest("music", str(name), **fields)


def tracks(number: int) -> list[mp4gen.VideoRequest]:
    return [track(n) for n in range(number)]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def sockets() -> int:
    links = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names only, some of which vanish
        with suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115 - not a path
    return sum(link.startswith("socket:") or link.endswith(".sqlite") for link in links)


@pytest.fixture
async def nothing_left() -> AsyncIterator[Callable[[], None]]:
    """Checks at the end that no task, thread, socket or ledger of the test is left."""
    before = sockets()
    yield lambda: None
    async with asyncio.timeout(60):
        while len(asyncio.all_tasks()) > 1 or sockets() > before:
            gc.collect()
            await asyncio.sleep(0.01)
    threads = [t for t in threading.enumerate() if t.name.startswith("mp4gen-ledger")]
    for thread in threads:
        thread.join(timeout=5)
    assert not any(thread.is_alive() for thread in threads)


pytestmark = [pytest.mark.looptime, pytest.mark.usefixtures("nothing_left")]


# --- pulling ------------------------------------------------------------------------------------


class Counting:
    """An iterable, sync and async, that knows how many of its tracks are still alive."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.alive = self.most = self.pulled = 0

    def pull(self, n: int) -> mp4gen.VideoRequest:
        self.alive += 1
        self.pulled += 1
        self.most = max(self.most, self.alive)
        return track(n)

    def plain(self) -> Iterator[mp4gen.VideoRequest]:
        for n in range(self.number):
            yield self.pull(n)

    async def slow(self) -> AsyncIterator[mp4gen.VideoRequest]:
        for n in range(self.number):
            await asyncio.sleep(0)
            yield self.pull(n)


@pytest.mark.parametrize("kind", ["plain", "slow"])
@pytest.mark.parametrize("pause", [0.0, 3.0])
async def test_no_more_tracks_are_alive_than_are_at_work(kind: str, pause: float) -> None:
    """Any iterable, sync or async, is pulled as places come free, also by a slow consumer."""
    source, places = Counting(40), 5
    async with (
        FakeService(duration=4, rate_limit=None) as service,
        service.client(concurrency=places, polling=FAST) as client,
    ):
        async for _ in client.convert_many(getattr(source, kind)()):
            source.alive -= 1
            await asyncio.sleep(pause)

    assert source.pulled == 40
    assert source.most <= places + 20


async def test_results_come_as_they_complete() -> None:
    """A short track that was submitted last is told first."""
    length = {"long": 50.0, "middle": 30.0, "short": 2.0}
    async with FakeService(duration=1000) as service, service.client(polling=FAST) as client:
        told = []
        requests = [track(name) for name in length]
        run = client.convert_many(requests)
        async with asyncio.TaskGroup() as group:
            group.create_task(_lengthen(service, length))
            told += [conversion.request.audio_id async for conversion in run]

    assert told == ["short", "middle", "long"]
    assert run.summary == mp4gen.RunSummary(succeeded=3)


async def _lengthen(service: FakeService, length: dict[str, float]) -> None:
    await asyncio.sleep(1)
    for task in service.tasks.values():
        task.completes_at = task.created_at + length[task.request.audio_id]


async def test_nothing_is_pulled_before_the_first_result_is_asked_for() -> None:
    """Making a run, entering and leaving it costs nothing."""
    source = Counting(3)
    async with (
        FakeService() as service,
        service.client() as client,
        client.convert_many(source.plain()) as run,
    ):
        await asyncio.sleep(100)

    assert (source.pulled, service.requests) == (0, [])
    assert run.summary == mp4gen.RunSummary()


async def test_a_run_can_be_iterated_once() -> None:
    """A second loop is told so, instead of finding nothing."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(tracks(1))
        first, none = await outcome(run)
        second, error = await outcome(run)

    assert (len(first), none, second) == (1, None, [])
    assert isinstance(error, mp4gen.ConfigurationError)


@pytest.mark.parametrize("wrong", ["music/track", None, ("music", "track")])
async def test_what_is_no_request_ends_the_run_with_a_sentence(wrong: Any) -> None:
    """The tracks before it are left for another run, none is lost from the count."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(iter([track(1), track(2), wrong]))
        found, error = await outcome(run)

    assert isinstance(error, mp4gen.ConfigurationError)
    assert "Give convert_many VideoRequest values." in str(error)
    assert len(found) + run.summary.remaining == 2


async def test_an_iterable_that_raises_loses_none_of_those_before() -> None:
    """What runs is finished and told, the rest counted as left; then its own error comes."""

    async def broken() -> AsyncIterator[mp4gen.VideoRequest]:
        for n in range(5):
            yield track(n)
        await asyncio.sleep(20)
        raise KeyError("row 6")

    async with FakeService(duration=60) as service, service.client(polling=FAST) as client:
        run = client.convert_many(broken())
        found, error = await outcome(run)

    assert isinstance(error, KeyError)
    assert [conversion.error for conversion in found] == [None] * 5
    assert run.summary == mp4gen.RunSummary(succeeded=5, stop_reason="KeyError")


async def test_a_plain_iterable_that_raises_counts_what_it_had_given() -> None:
    """The requests pulled together with the error are not forgotten."""

    def broken() -> Iterator[mp4gen.VideoRequest]:
        yield from tracks(11)
        raise KeyError("row 12")

    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        run = client.convert_many(broken())
        found, error = await outcome(run)

    assert isinstance(error, KeyError)
    assert len(found) + run.summary.remaining == 11


# --- failures -----------------------------------------------------------------------------------


async def test_one_failure_never_stops_the_rest() -> None:
    """Refused, failed and forgotten tracks end with their errors, all others with videos."""
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        service.script("create", "ok", "code_400", "ok", "unknown_track", "ok", "code_413")
        found, error = await outcome(client.convert_many(tracks(20)))
    errors = [type(c.error) for c in found if c.error is not None]

    assert error is None
    assert len(found) == 20
    assert sorted(kind.__name__ for kind in errors) == [
        "InvalidRequestError",
        "InvalidRequestError",
        "NotFoundError",
    ]


async def test_a_task_that_fails_is_one_result() -> None:
    """The service's reason is in the result, and `result()` raises it."""
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        service.script("details", *["failed"])
        found, error = await outcome(client.convert_many(tracks(3)))
    failed = [conversion for conversion in found if conversion.error]

    assert (error, len(found), len(failed)) == (None, 3, 1)
    with pytest.raises(mp4gen.GenerationFailedError, match="GENERATE_MP4_FAILED"):
        failed[0].result()


async def test_row_13_no_credits_stop_the_run_at_once_and_let_the_rest_finish(
    tmp_path: Path,
) -> None:
    """What was accepted is finished and downloaded, nothing more submitted, the rest left."""
    async with FakeService(duration=60, credits=30) as service, service.client() as client:
        run = client.convert_many(tracks(100), download_to=tmp_path)
        found, error = await outcome(run)
    refused = [call for call in service.requests if call.endpoint == "create"][30:]

    assert isinstance(error, mp4gen.InsufficientCreditsError)
    assert {conversion.error for conversion in found} == {None}
    assert files(tmp_path) == sorted(conversion.path.name for conversion in found)
    assert run.summary == mp4gen.RunSummary(30, 0, 70, "InsufficientCreditsError")
    assert len(refused) <= 10


async def test_row_14_a_bad_key_stops_the_run_at_once() -> None:
    """The first refusals are the last calls; nothing is told as a failure."""
    async with (
        FakeService(api_key="right") as service,
        service.client(api_key="wrong") as client,
    ):
        run = client.convert_many(tracks(100))
        found, error = await outcome(run)

    assert isinstance(error, mp4gen.AuthenticationError)
    assert (found, run.summary.remaining) == ([], 100)
    assert service.count() <= 20


async def test_row_14_a_key_refused_in_the_middle_stops_the_submits() -> None:
    """After the first 401 no track is submitted; those that ran end with the run."""
    async with FakeService(duration=600) as service, service.client(concurrency=30) as client:
        run = client.convert_many(tracks(100))
        task = asyncio.create_task(outcome(run))
        await asyncio.sleep(30)
        submitted = service.count("create")
        service.always("*", "unauthorized")
        found, error = await task

    assert isinstance(error, mp4gen.AuthenticationError)
    assert (found, run.summary.remaining) == ([], 100)
    assert submitted == service.count("create") == 30


async def test_a_stopped_run_ends_although_its_iterable_is_idle() -> None:
    """No credits and `stop()` do not wait for a queue that gives nothing more."""

    async def idle() -> AsyncIterator[mp4gen.VideoRequest]:
        yield track(1)
        await asyncio.sleep(10**9)
        yield track(2)

    async with FakeService(credits=0) as service, service.client() as client:
        async with asyncio.timeout(1000):
            found, error = await outcome(client.convert_many(idle()))

    assert isinstance(error, mp4gen.InsufficientCreditsError)
    assert found == []


async def test_a_name_that_cannot_be_made_ends_the_run_with_its_error(tmp_path: Path) -> None:
    """A fault of the caller's own function is not taken for a failed video."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(tracks(2), download_to=tmp_path, name=lambda r: {}["author"])
        _, error = await outcome(run)

    assert isinstance(error, KeyError)


# --- ending early -------------------------------------------------------------------------------


async def test_stop_finishes_what_runs_and_leaves_the_rest() -> None:
    """`stop()` submits nothing more; no error is raised after the last result."""
    async with FakeService(duration=30) as service, service.client(concurrency=20) as client:
        run = client.convert_many(tracks(100))
        found = []
        async for conversion in run:
            found.append(conversion)
            run.stop()
    submitted = service.count("create")

    assert run.summary == mp4gen.RunSummary(submitted, 0, 100 - submitted, "stop")
    assert len(found) == submitted < 100


async def test_stop_before_the_start_leaves_everything() -> None:
    """Nothing is pulled and nothing sent."""
    source = Counting(5)
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(source.plain())
        run.stop()
        found, error = await outcome(run)

    assert (found, error, source.pulled, service.requests) == ([], None, 0, [])
    assert run.summary.stop_reason == "stop"


async def test_leaving_the_block_ends_everything() -> None:
    """`break` inside `async with`: no call follows, and the ledger's lock is free."""
    async with FakeService(duration=30) as service, service.client() as client:
        async with client.convert_many(tracks(50)) as run:
            async for _ in run:
                break
        calls = service.count()
        await asyncio.sleep(200)

    assert service.count() == calls
    assert run.summary.stop_reason == "aclose"
    assert run.summary.succeeded + run.summary.remaining == 50


async def test_leaving_a_bare_loop_ends_everything(tmp_path: Path) -> None:
    """`break` in a bare `async for` is as good: the same ledger can be opened soon after."""
    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=30) as service, service.client() as client:
        async for _ in client.convert_many(tracks(50), ledger=ledger):
            break
        gc.collect()
        await asyncio.sleep(1)
        calls = service.count()
        await asyncio.sleep(200)
        still = service.count()
        found, error = await outcome(client.convert_many(tracks(50), ledger=ledger))

    assert still == calls
    assert (len(found), error) == (50, None)
    assert len(service.tasks) == 50


async def test_cancelling_the_consumer_ends_everything(tmp_path: Path) -> None:
    """A cancelled task leaves a ledger that the next run opens at once, and nothing doubled."""
    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=30) as service, service.client() as client:
        for seconds in (0.0, 0.001, 5, 15, 31):
            task = asyncio.create_task(outcome(client.convert_many(tracks(40), ledger=ledger)))
            await asyncio.sleep(seconds)
            task.cancel()
            await asyncio.wait([task])
        found, error = await outcome(client.convert_many(tracks(40), ledger=ledger))

    assert (len(found), error) == (40, None)
    assert len(service.tasks) == 40


async def test_cancelling_twice_still_frees_the_ledger(tmp_path: Path) -> None:
    """An impatient second cancel does not cut the first one's cleaning up short."""
    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=30) as service, service.client() as client:
        task = asyncio.create_task(outcome(client.convert_many(tracks(40), ledger=ledger)))
        await asyncio.sleep(5)
        for _ in range(5):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([task])
        await asyncio.sleep(0.1)
        found, error = await outcome(client.convert_many(tracks(40), ledger=ledger))

    assert (len(found), error) == (40, None)


async def test_closing_the_client_ends_its_runs(tmp_path: Path) -> None:
    """`Client.aclose` from elsewhere: the loop ends, no call follows, all is left for later."""
    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=300) as service:
        client = service.client()
        run = client.convert_many(tracks(50), ledger=ledger)
        task = asyncio.create_task(outcome(run))
        await asyncio.sleep(20)
        await client.aclose()
        found, error = await task

    assert (found, error) == ([], None)
    assert run.summary == mp4gen.RunSummary(remaining=50, stop_reason="aclose")


async def test_a_run_of_a_closed_client_says_so() -> None:
    """A run that was made before its client was closed cannot begin afterwards."""
    async with FakeService() as service:
        async with service.client() as client:
            run = client.convert_many(tracks(1))
        found, error = await outcome(run)

    assert found == []
    assert isinstance(error, mp4gen.ConfigurationError)


async def test_results_that_are_there_are_told_after_the_end() -> None:
    """A closed run still gives out what had ended before, then the loop ends."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(tracks(5))
        found = []
        async with aclosing(run.__aiter__()) as results:
            async for conversion in results:
                found.append(conversion)
                if len(found) == 1:
                    await asyncio.sleep(60)
                    await run.aclose()

    assert len(found) == 5
    assert run.summary == mp4gen.RunSummary(succeeded=5)


# --- the same track twice -----------------------------------------------------------------------


async def test_the_same_track_twice_is_converted_once_and_answered_twice() -> None:
    """Before, during and after its twin: one task, one result for each time it was asked for."""

    async def again() -> AsyncIterator[mp4gen.VideoRequest]:
        yield track("a")
        yield track("a")
        await asyncio.sleep(10)
        yield track("a")
        await asyncio.sleep(200)
        yield track("a")

    async with FakeService(duration=60) as service, service.client() as client:
        run = client.convert_many(again())
        found, error = await outcome(run)

    assert error is None
    assert [conversion.task_id for conversion in found] == ["video_000001"] * 4
    assert len({conversion.video for conversion in found}) == 1
    assert (service.count("create"), run.summary.succeeded) == (1, 4)


async def test_duplicate_that_waited_while_its_track_ended_is_not_paid_again() -> None:
    """Its entry was read before the end of its twin in the same batch, and is read again."""
    requests = [*tracks(10), track("twice"), track("other"), track("twice")]
    unknown = mp4gen.Dialect.for_url("http://unknown")
    async with (
        FakeService(duration=5, duplicate_policy="new_task", dialect=unknown) as service,
        service.client(concurrency=1, polling=FAST) as client,
    ):
        found = []
        async for conversion in client.convert_many(requests):
            found.append(conversion)
            # Meanwhile the run finishes all that it has started.
            await asyncio.sleep(1000)
    twice = {c.task_id for c in found if c.request.audio_id == "twice"}

    assert [conversion.error for conversion in found] == [None] * 13
    assert (len(twice), len(service.tasks), service.count("create")) == (1, 12, 12)


async def test_a_twin_of_a_failed_track_gets_the_same_error() -> None:
    """What has failed in this run is not submitted again by its twin."""

    async def again() -> AsyncIterator[mp4gen.VideoRequest]:
        yield track("a")
        yield track("a")
        await asyncio.sleep(100)
        yield track("a")

    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        service.always("details", "failed")
        run = client.convert_many(again())
        found, _ = await outcome(run)

    assert [type(conversion.error) for conversion in found] == [mp4gen.GenerationFailedError] * 3
    assert (service.count("create"), run.summary.failed) == (1, 3)


@pytest.mark.parametrize("pause", [0.0, 200.0])
async def test_a_twin_with_another_author_is_refused_in_one_sentence(pause: float) -> None:
    """The API keeps one video for each track: the first author's."""

    async def again() -> AsyncIterator[mp4gen.VideoRequest]:
        yield track("a", author="Ada")
        await asyncio.sleep(pause)
        yield track("a", author="Bob")

    async with FakeService(duration=30) as service, service.client() as client:
        run = client.convert_many(again())
        found, error = await outcome(run)
    refused = [conversion for conversion in found if conversion.error]

    assert error is None
    assert len(refused) == 1
    assert refused[0].request.author == "Bob"
    assert isinstance(refused[0].error, mp4gen.LedgerError)
    assert "another author, watermark or callback" in str(refused[0].error)
    assert (run.summary.succeeded, run.summary.failed) == (1, 1)


@pytest.mark.parametrize("sized", [True, False])
async def test_twins_are_left_together(sized: bool) -> None:
    """A stopped run counts each request that it leaves, twins too, as far as it knows of them."""
    pulled = 0

    def lazily() -> Iterator[mp4gen.VideoRequest]:
        nonlocal pulled
        for n in range(100):
            pulled += 1
            yield track(n % 50)

    async with FakeService(credits=5, duration=20) as service, service.client() as client:
        run = client.convert_many(list(lazily()) if sized else lazily())
        found, error = await outcome(run)

    assert isinstance(error, mp4gen.InsufficientCreditsError)
    assert len(found) == run.summary.succeeded >= 5
    assert len(found) + run.summary.remaining == pulled


# --- beside others ------------------------------------------------------------------------------


async def test_a_direct_call_goes_ahead_of_a_full_run() -> None:
    """With hundreds of tracks under way, one `convert` is submitted within a window."""
    async with FakeService(duration=60, seed=1) as service, service.client() as client:
        run = client.convert_many(tracks(150))
        task = asyncio.create_task(outcome(run))
        await asyncio.sleep(70)
        asked = asyncio.get_running_loop().time()
        await client.convert(track("direct"))
        task.cancel()
        await asyncio.wait([task])
    [at] = [call.received_at for call in service.requests if b"direct" in call.body]

    assert at - asked <= 10


async def test_two_runs_of_one_client_share_its_places() -> None:
    """Neither starves, and the account's limit holds for both together."""
    async with (
        FakeService(duration=20, latency=0.05) as service,
        service.client(concurrency=10) as client,
    ):
        one = client.convert_many([track(f"a{n}") for n in range(30)])
        two = client.convert_many([track(f"b{n}") for n in range(30)])
        (first, _), (second, _) = await asyncio.gather(outcome(one), outcome(two))

    assert (len(first), len(second)) == (30, 30)
    assert sum(call.rate_limited for call in service.requests) == 0


# --- long trouble -------------------------------------------------------------------------------


async def test_row_12_six_hours_of_maintenance_cost_few_calls_and_no_track() -> None:
    """The window of calls that were out, one probe in five minutes; afterwards all finish."""
    async with FakeService(duration=50, seed=3) as service, service.client() as client:
        run = client.convert_many(tracks(150))
        task = asyncio.create_task(outcome(run))
        await asyncio.sleep(120)
        before = service.count()
        service.always("*", "maintenance")
        await asyncio.sleep(6 * 3600)
        during = service.count() - before
        service.clear()
        found, error = await task

    assert error is None
    assert [conversion.error for conversion in found] == [None] * 150
    assert during <= 20 + 72


async def test_row_10_a_storm_of_405_fails_no_track() -> None:
    """Ten minutes of refusals: one probe a window, and the full rate soon after."""
    async with FakeService(duration=50, seed=3) as service, service.client() as client:
        task = asyncio.create_task(outcome(client.convert_many(tracks(200))))
        await asyncio.sleep(60)
        before = service.count()
        service.always("*", "code_405")
        await asyncio.sleep(600)
        during, ended = service.count() - before, asyncio.get_running_loop().time()
        service.clear()
        found, error = await task
    after = [call.received_at for call in service.requests if call.received_at > ended]

    assert error is None
    assert {conversion.error for conversion in found} == {None}
    assert during <= 20 + 60
    assert sum(at < ended + 60 for at in after) >= 0.9 * 2 * 50


async def test_row_11_430_is_waited_out_like_405() -> None:
    """A whole window passes before the next call, and nothing fails."""
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        service.script("create", "code_430")
        found, error = await outcome(client.convert_many(tracks(3)))
    times = [call.received_at for call in service.requests]

    assert (error, [conversion.error for conversion in found]) == (None, [None] * 3)
    assert times[3] - times[0] >= 10


# --- files --------------------------------------------------------------------------------------


async def test_videos_are_fetched_as_they_come(tmp_path: Path) -> None:
    """Each result has its file, whole, under the track's own name."""
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        run = client.convert_many(tracks(5), download_to=tmp_path / "new" / "folder")
        found, _ = await outcome(run)
    contents = {task.request.audio_id: task.content for task in service.tasks.values()}

    assert {c.path.name for c in found if c.path} == {f"{n}.mp4" for n in range(5)}
    for conversion in found:
        assert conversion.path is not None
        assert conversion.path.read_bytes() == contents[conversion.request.audio_id]


async def test_a_file_that_cannot_be_had_is_an_error_beside_its_video(tmp_path: Path) -> None:
    """The video stays known; the other tracks are not held up."""
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        service.script("file", "gone", "gone")
        run = client.convert_many(tracks(4), download_to=tmp_path)
        found, error = await outcome(run)
    failed = [conversion for conversion in found if conversion.error]

    assert error is None
    assert 1 <= len(failed) <= 2
    assert all(isinstance(conversion.error, mp4gen.DownloadError) for conversion in failed)
    assert all(conversion.video for conversion in failed)
    assert run.summary.failed == len(failed)


async def test_row_32_names_collide_on_no_file_system(tmp_path: Path) -> None:
    """Names that differ in their capitals only, or are the same, get files of their own."""
    names = {
        "1": "Été",
        "2": "été",
        "3": "ÉTÉ",
        "4": "x-6",
        "5": "x",
        "6": "X",
        "7": "../x",
        "8": "",
    }
    async with FakeService() as service, service.client() as client:
        requests = [track(number) for number in names]
        run = client.convert_many(
            requests, download_to=tmp_path, name=lambda request: names[request.audio_id]
        )
        found, error = await outcome(run)
    paths = [conversion.path for conversion in found if conversion.path]

    assert error is None
    assert len(paths) == len({path.name.casefold() for path in paths}) == 8
    assert {path.parent for path in paths} == {tmp_path}


async def test_the_first_of_a_name_keeps_it(tmp_path: Path) -> None:
    """Only those that come later get a number."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(tracks(3), download_to=tmp_path, name=lambda _: "song")
        await outcome(run)
    names = files(tmp_path)

    assert len(names) == 3
    assert "song.mp4" in names
    assert sum(name.startswith("song-") for name in names) == 2


async def test_a_folder_that_is_a_file_fails_each_download_and_no_video(tmp_path: Path) -> None:
    """Nothing is written over it, and every error says what is in the way."""
    blocked = tmp_path / "videos"
    blocked.write_text("mine")
    async with FakeService() as service, service.client() as client:
        found, _ = await outcome(client.convert_many(tracks(2), download_to=blocked))

    assert blocked.read_text() == "mine"
    assert all(isinstance(conversion.error, mp4gen.DownloadError) for conversion in found)
    assert all(conversion.video for conversion in found)


async def test_a_time_out_is_a_result_and_the_task_is_kept() -> None:
    """The deadline of each track is its own; its id is in the result."""
    async with FakeService(duration=10**6) as service, service.client() as client:
        found, error = await outcome(client.convert_many(tracks(3), timeout=100))

    assert error is None
    assert {type(conversion.error) for conversion in found} == {mp4gen.WaitTimeoutError}
    assert {conversion.task_id for conversion in found} == set(service.tasks)


async def test_a_lost_answer_is_one_result_where_it_must_not_be_sent_again() -> None:
    """Without 409 the policy "raise" tells the doubt, and submits nothing twice."""
    async with FakeService(duplicate_policy="new_task") as service:
        service.script("create", "ok", "reset_after_accept")
        async with service.client(on_uncertain_submit="raise") as client:
            found, error = await outcome(client.convert_many(tracks(3)))
    doubtful = [conversion for conversion in found if conversion.error]

    assert error is None
    assert [type(conversion.error) for conversion in doubtful] == [mp4gen.SubmitUncertainError]
    assert len(service.tasks) == 3


async def test_a_lost_answer_is_found_again_where_the_host_knows_409() -> None:
    """With 409 the same submit is sent again, and its task adopted."""
    async with FakeService() as service, service.client() as client:
        service.script(
            "create",
            "ok",
            "reset_after_accept",
            ScriptedResponse(status=502, take_effect=True, body=b""),
        )
        found, error = await outcome(client.convert_many(tracks(3)))

    assert (error, [conversion.error for conversion in found]) == (None, [None] * 3)
    assert len(service.tasks) == 3


async def test_submits_of_a_run_go_ahead_of_its_looks() -> None:
    """A place that a look has freed is taken at once, however many looks wait."""
    limit = mp4gen.RateLimit(4, per=10)
    async with (
        FakeService(rate_limit=limit, duration=1) as service,
        service.client(rate_limit=limit, concurrency=20, polling=FAST) as client,
    ):
        async for _ in client.convert_many(tracks(40)):
            pass
    calls = [call.endpoint for call in service.requests]
    looks = [number for number, endpoint in enumerate(calls) if endpoint == "details"]

    assert calls[:20] == ["create"] * 20
    assert calls[20 : looks[19]].count("create") >= 15

"""Bulk runs: lazy requests, results as they complete, a clean end in every case."""

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
    """Check at the end that no task, thread, socket or ledger of the test is left."""
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


# --- requests -----------------------------------------------------------------------------------


class Counting:
    """A sync and an async iterable that counts the tracks in use."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.alive = self.max_alive = self.pulled = 0

    def pull(self, n: int) -> mp4gen.VideoRequest:
        self.alive += 1
        self.pulled += 1
        self.max_alive = max(self.max_alive, self.alive)
        return track(n)

    def plain(self) -> Iterator[mp4gen.VideoRequest]:
        for n in range(self.number):
            yield self.pull(n)

    async def slow(self) -> AsyncIterator[mp4gen.VideoRequest]:
        for n in range(self.number):
            await asyncio.sleep(0)
            yield self.pull(n)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "slow"])
@pytest.mark.parametrize("pause", [0.0, 3.0])
async def test_run_pulls_requests_lazily(kind: str, pause: float) -> None:
    """Any iterable is pulled as slots become available, also with a slow consumer."""
    source, slots = Counting(40), 5
    async with (
        FakeService(duration=4, rate_limit=None) as service,
        service.client(concurrency=slots, polling=FAST) as client,
    ):
        async for _ in client.convert_many(getattr(source, kind)()):
            source.alive -= 1
            await asyncio.sleep(pause)

    assert source.pulled == 40
    assert source.max_alive <= slots + 20


async def test_results_come_as_they_complete() -> None:
    """A short track that was submitted last is yielded first."""
    length = {"long": 50.0, "middle": 30.0, "short": 2.0}
    async with FakeService(duration=1000) as service, service.client(polling=FAST) as client:
        yielded = []
        requests = [track(name) for name in length]
        run = client.convert_many(requests)
        async with asyncio.TaskGroup() as group:
            group.create_task(_lengthen(service, length))
            yielded += [conversion.request.audio_id async for conversion in run]

    assert yielded == ["short", "middle", "long"]
    assert run.summary == mp4gen.RunSummary(succeeded=3)


async def _lengthen(service: FakeService, length: dict[str, float]) -> None:
    await asyncio.sleep(1)
    for task in service.tasks.values():
        task.completes_at = task.created_at + length[task.request.audio_id]


async def test_run_starts_with_the_first_result() -> None:
    """Creating, entering and leaving a run pulls nothing."""
    source = Counting(3)
    async with (
        FakeService() as service,
        service.client() as client,
        client.convert_many(source.plain()) as run,
    ):
        await asyncio.sleep(100)

    assert (source.pulled, service.requests) == (0, [])
    assert run.summary == mp4gen.RunSummary()


async def test_repr_shows_the_counts_so_far() -> None:
    """An error reporter may also show a run whose `__init__` has failed."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(tracks(3))

        assert repr(run) == "<mp4gen.ConversionRun " + repr(mp4gen.RunSummary(remaining=3)) + ">"
    assert repr(mp4gen.ConversionRun.__new__(mp4gen.ConversionRun)) == "<mp4gen.ConversionRun >"


async def test_run_can_be_iterated_once() -> None:
    """A second loop raises instead of finding nothing."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(tracks(1))
        first, none = await outcome(run)
        second, error = await outcome(run)

    assert (len(first), none, second) == (1, None, [])
    assert isinstance(error, mp4gen.ConfigurationError)


@pytest.mark.parametrize("wrong", ["music/track", None, ("music", "track")])
async def test_invalid_request_ends_the_run(wrong: Any) -> None:
    """The tracks before it are counted as remaining."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(iter([track(1), track(2), wrong]))
        found, error = await outcome(run)

    assert isinstance(error, mp4gen.ConfigurationError)
    assert "Pass VideoRequest values to convert_many." in str(error)
    assert len(found) + run.summary.remaining == 2


@pytest.mark.slow
async def test_async_iterable_that_raises_loses_no_earlier_track() -> None:
    """Conversions in progress finish and are yielded; then its own error is raised."""

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


async def test_iterable_that_raises_loses_no_earlier_track() -> None:
    """The requests pulled together with the error are counted."""

    def broken() -> Iterator[mp4gen.VideoRequest]:
        yield from tracks(11)
        raise KeyError("row 12")

    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        run = client.convert_many(broken())
        found, error = await outcome(run)

    assert isinstance(error, KeyError)
    assert len(found) + run.summary.remaining == 11


# --- failures -----------------------------------------------------------------------------------


async def test_failures_do_not_stop_the_run() -> None:
    """Refused, failed and unknown tracks end with their errors, all others with videos."""
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


async def test_failed_task_is_one_result() -> None:
    """The result holds the service's reason, and `result()` raises it."""
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        service.script("details", *["failed"])
        found, error = await outcome(client.convert_many(tracks(3)))
    failed = [conversion for conversion in found if conversion.error]

    assert (error, len(found), len(failed)) == (None, 3, 1)
    with pytest.raises(mp4gen.GenerationFailedError, match="GENERATE_MP4_FAILED"):
        failed[0].result()


async def test_no_credits_stop_the_submits(
    tmp_path: Path,
) -> None:
    """Failure mode 13: accepted tracks are finished and downloaded, the rest is remaining."""
    async with FakeService(duration=60, credits=30) as service, service.client() as client:
        run = client.convert_many(tracks(100), download_to=tmp_path)
        found, error = await outcome(run)
    refused = [call for call in service.requests if call.endpoint == "create"][30:]

    assert isinstance(error, mp4gen.InsufficientCreditsError)
    assert {conversion.error for conversion in found} == {None}
    assert files(tmp_path) == sorted(conversion.path.name for conversion in found)
    assert run.summary == mp4gen.RunSummary(30, 0, 70, "InsufficientCreditsError")
    assert len(refused) <= 10


async def test_bad_key_stops_the_run() -> None:
    """Failure mode 14: the first refusals are the last requests; no result is a failure."""
    async with (
        FakeService(api_key="right") as service,
        service.client(api_key="wrong") as client,
    ):
        run = client.convert_many(tracks(100))
        found, error = await outcome(run)

    assert isinstance(error, mp4gen.AuthenticationError)
    stopped = mp4gen.RunSummary(remaining=100, stop_reason="AuthenticationError")
    assert (found, run.summary) == ([], stopped)
    assert service.count() <= 20


async def test_key_refused_in_the_middle_stops_the_submits() -> None:
    """Failure mode 14: after the first 401 no track is submitted."""
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


async def test_run_stops_while_its_iterable_is_idle() -> None:
    """No credits and `stop()` do not wait for a queue that yields nothing more."""

    async def idle() -> AsyncIterator[mp4gen.VideoRequest]:
        yield track(1)
        await asyncio.sleep(10**9)
        yield track(2)

    async with FakeService(credits=0) as service, service.client() as client:
        async with asyncio.timeout(1000):
            found, error = await outcome(client.convert_many(idle()))

    assert isinstance(error, mp4gen.InsufficientCreditsError)
    assert found == []


async def test_error_of_the_name_function_fails_its_track_only(tmp_path: Path) -> None:
    """The result keeps the paid video, and the next run fetches it."""
    names: dict[str, str] = {"1": "one"}

    def name(request: mp4gen.VideoRequest) -> str:
        return names[request.audio_id]

    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        run = client.convert_many(tracks(2), ledger=ledger, download_to=tmp_path, name=name)
        found, error = await outcome(run)
        names["0"] = "zero"
        run = client.convert_many(tracks(2), ledger=ledger, download_to=tmp_path, name=name)
        again, _ = await outcome(run)
    [failed] = [conversion for conversion in found if conversion.error]

    assert (error, len(found)) == (None, 2)
    assert isinstance(failed.error, mp4gen.UnexpectedError)
    assert isinstance(failed.error.__cause__, KeyError)
    assert failed.video
    assert {conversion.path for conversion in again} == {
        tmp_path / "one.mp4",
        tmp_path / "zero.mp4",
    }
    assert service.count("create") == 2


class BreakingLimiter(mp4gen.SlidingWindowLimiter):
    """Raises an error of its own once, for the second call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def slot(self, priority: mp4gen.Priority = mp4gen.Priority.INTERACTIVE) -> Any:
        self.calls += 1
        if self.calls == 2:
            raise OverflowError("date value out of range")
        return super().slot(priority)


async def test_unforeseen_error_is_the_result_of_its_track(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is chained and logged with its traceback; the next run tries the track again."""
    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=5) as service:
        async with service.client(polling=FAST, rate_limit=BreakingLimiter()) as client:
            run = client.convert_many(tracks(3), ledger=ledger)
            found, error = await outcome(run)
        async with service.client(polling=FAST) as client:
            again, _ = await outcome(client.convert_many(tracks(3), ledger=ledger))
    [failed] = [conversion.error for conversion in found if conversion.error]

    assert (error, run.summary) == (None, mp4gen.RunSummary(succeeded=2, failed=1))
    assert isinstance(failed, mp4gen.UnexpectedError)
    assert isinstance(failed.__cause__, OverflowError)
    assert str(failed).startswith("Unexpected OverflowError: date value out of range. ")
    assert "Traceback" in caplog.text
    assert {conversion.error for conversion in again} == {None}
    assert len(service.tasks) == 3


async def test_key_source_that_raises_ends_the_run() -> None:
    """Failure mode 42: every track would meet it; nothing was sent, and none is a failure."""

    def broken() -> str:
        raise KeyError("vault")

    async with FakeService() as service, service.client(api_key=broken) as client:
        run = client.convert_many(tracks(20))
        found, error = await outcome(run)

    assert isinstance(error, mp4gen.ConfigurationError)
    assert str(error).startswith("No API key: api_key raised KeyError. ")
    assert (found, run.summary.remaining, service.count()) == ([], 20, 0)


ODD_TEXTS = {
    "surrogate in the link": {"videoUrl": "https://cdn.example/\ud800.mp4"},
    "late time": {"completeTime": "9999-12-31T23:59:59+00:00"},
    "early time": {"completeTime": "0001-01-01T00:00:00+23:00"},
    "surrogate in the time": {"completeTime": "\udfff"},
}


@pytest.mark.parametrize("odd", ODD_TEXTS)
async def test_odd_values_of_one_track_cost_no_other_track(tmp_path: Path, odd: str) -> None:
    """The run ends as usual; the ledger stores whatever the API has sent."""
    values = {"successFlag": "SUCCESS", "response": {"videoUrl": "https://cdn.example/v.mp4"}}
    values |= {key: text for key, text in ODD_TEXTS[odd].items() if key != "videoUrl"}
    if "videoUrl" in ODD_TEXTS[odd]:
        values["response"] = ODD_TEXTS[odd]
    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        service.script("details", ScriptedResponse(data=values))
        found, error = await outcome(client.convert_many(tracks(3), ledger=ledger, timeout=60))
        again, _ = await outcome(client.convert_many(tracks(3), ledger=ledger))

    assert (error, len(found)) == (None, 3)
    assert sum(conversion.error is None for conversion in found) >= 2
    assert len(again) == 3
    assert len(service.tasks) == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows paths are Unicode")
async def test_folder_that_is_not_utf8_is_stored(tmp_path: Path) -> None:
    """The path of a video can contain bytes that no text of SQLite can hold."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/vid\xe9os"))
    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        for _ in range(2):
            run = client.convert_many(tracks(2), ledger=ledger, download_to=folder)
            found, error = await outcome(run)

    assert error is None
    assert {conversion.path for conversion in found} == {folder / "0.mp4", folder / "1.mp4"}
    assert service.count("file") == 2


# --- ending early -------------------------------------------------------------------------------


async def test_stop_finishes_the_conversions_in_progress() -> None:
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


async def test_stop_before_the_start_pulls_nothing() -> None:
    """Nothing is pulled and nothing is sent."""
    source = Counting(5)
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(source.plain())
        run.stop()
        found, error = await outcome(run)

    assert (found, error, source.pulled, service.requests) == ([], None, 0, [])
    assert run.summary.stop_reason == "stop"


async def test_leaving_the_block_ends_the_run() -> None:
    """`break` inside `async with`: no request follows, and the ledger's lock is free."""
    async with FakeService(duration=30) as service, service.client() as client:
        async with client.convert_many(tracks(50)) as run:
            async for _ in run:
                break
        calls = service.count()
        await asyncio.sleep(200)

    assert service.count() == calls
    assert run.summary.stop_reason == "aclose"
    assert run.summary.succeeded + run.summary.remaining == 50


@pytest.mark.slow
async def test_leaving_a_bare_loop_ends_the_run(tmp_path: Path) -> None:
    """`break` in a bare `async for` ends the run too: the same ledger can be opened soon after."""
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


@pytest.mark.slow
async def test_cancel_of_the_consumer_ends_the_run(tmp_path: Path) -> None:
    """The next run opens the ledger immediately, and nothing is doubled."""
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


@pytest.mark.slow
async def test_second_cancel_still_frees_the_ledger(tmp_path: Path) -> None:
    """It does not interrupt the clean-up of the first one."""
    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=30) as service, service.client() as client:
        task = asyncio.create_task(outcome(client.convert_many(tracks(40), ledger=ledger)))
        await asyncio.sleep(5)
        for _ in range(5):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([task])
        # The clean-up goes on without the consumer, in real time: its thread closes the ledger.
        for runner in asyncio.all_tasks():
            if runner.get_name() == "mp4gen-bulk":
                await asyncio.wait([runner])
        found, error = await outcome(client.convert_many(tracks(40), ledger=ledger))

    assert (len(found), error) == (40, None)


async def test_repeated_aclose_frees_the_ledger(tmp_path: Path) -> None:
    """Only the first one cancels: another cancel would interrupt the clean-up."""
    ledger = tmp_path / "run.sqlite"
    async with FakeService(duration=30) as service, service.client() as client:
        run = client.convert_many(tracks(5), ledger=ledger)
        task = asyncio.create_task(outcome(run))
        await asyncio.sleep(5)
        async with asyncio.TaskGroup() as group:
            for _ in range(10):
                group.create_task(run.aclose())
                await asyncio.sleep(0)
        await task
        found, error = await outcome(client.convert_many(tracks(5), ledger=ledger))

    assert (len(found), error) == (5, None)
    assert len(service.tasks) == 5


@pytest.mark.parametrize("steps", range(6))
async def test_run_closed_at_its_first_steps_ends_its_loop(steps: int) -> None:
    """Also before the run itself has made its first step."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(tracks(3))
        task = asyncio.create_task(outcome(run))
        for _ in range(steps):
            await asyncio.sleep(0)
        await run.aclose()
        async with asyncio.timeout(1):
            found, _ = await task

    assert found == []
    assert run.summary.remaining == 3


async def test_closing_the_client_ends_its_runs(tmp_path: Path) -> None:
    """`Client.aclose` from elsewhere: the loop ends, no request follows, all tracks remain."""
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


async def test_run_of_a_closed_client_raises() -> None:
    """A run created before the close cannot start after it."""
    async with FakeService() as service:
        async with service.client() as client:
            run = client.convert_many(tracks(1))
        found, error = await outcome(run)

    assert found == []
    assert isinstance(error, mp4gen.ConfigurationError)


async def test_results_are_yielded_after_the_close() -> None:
    """A closed run still yields the results from before, then the loop ends."""
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


# --- duplicates ---------------------------------------------------------------------------------


async def test_duplicates_are_converted_once_and_yielded_each() -> None:
    """A duplicate may come before, during or after the first; each request has a result."""
    requests = [track("a") for _ in range(4)]

    async def again() -> AsyncIterator[mp4gen.VideoRequest]:
        yield requests[0]
        yield requests[1]
        await asyncio.sleep(10)
        yield requests[2]
        await asyncio.sleep(200)
        yield requests[3]

    async with FakeService(duration=60) as service, service.client() as client:
        run = client.convert_many(again())
        found, error = await outcome(run)

    assert error is None
    assert [id(conversion.request) for conversion in found] == [id(one) for one in requests]
    assert [conversion.task_id for conversion in found] == ["video_000001"] * 4
    assert len({conversion.video for conversion in found}) == 1
    assert (service.count("create"), run.summary.succeeded) == (1, 4)


async def test_queued_duplicate_is_not_paid_again() -> None:
    """Its entry was read before the end of the first request and is read again."""
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


async def test_duplicate_of_a_failed_track_gets_the_same_error() -> None:
    """A track that failed in this run is not submitted again."""

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


@pytest.mark.parametrize("fields", [{"author": "Bob"}, {"author": "Ada", "extra": {"look": "x"}}])
@pytest.mark.parametrize("pause", [0.0, 200.0])
async def test_duplicate_with_other_fields_is_rejected(pause: float, fields: Any) -> None:
    """The API keeps one video for each track: that of the first request."""
    other = track("a", **fields)

    async def again() -> AsyncIterator[mp4gen.VideoRequest]:
        yield track("a", author="Ada")
        await asyncio.sleep(pause)
        yield other

    async with FakeService(duration=30) as service, service.client() as client:
        run = client.convert_many(again())
        found, error = await outcome(run)
    refused = [conversion for conversion in found if conversion.error]

    assert error is None
    assert len(refused) == 1
    assert refused[0].request == other
    assert isinstance(refused[0].error, mp4gen.LedgerError)
    assert "another author, watermark, callback or extra" in str(refused[0].error)
    assert (run.summary.succeeded, run.summary.failed) == (1, 1)


@pytest.mark.parametrize("sized", [True, False])
async def test_duplicates_are_counted_as_remaining(sized: bool) -> None:
    """A stopped run counts each request that it has pulled."""
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


# --- concurrent users ---------------------------------------------------------------------------


@pytest.mark.slow
async def test_single_call_takes_priority_over_a_run() -> None:
    """With hundreds of tracks in progress, one `convert` is submitted within a window."""
    async with FakeService(duration=60, seed=1) as service, service.client() as client:
        run = client.convert_many(tracks(150))
        task = asyncio.create_task(outcome(run))
        await asyncio.sleep(70)
        sent_at = asyncio.get_running_loop().time()
        await client.convert(track("direct"))
        task.cancel()
        await asyncio.wait([task])
    [at] = [call.received_at for call in service.requests if b"direct" in call.body]

    assert at - sent_at <= 10


@pytest.mark.slow
async def test_runs_of_one_client_share_its_slots() -> None:
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


# --- long outages -------------------------------------------------------------------------------


@pytest.mark.slow
async def test_run_survives_six_hours_of_maintenance() -> None:
    """Failure mode 12: one probe in five minutes; afterwards all tracks finish."""
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


@pytest.mark.slow
async def test_run_survives_ten_minutes_of_405() -> None:
    """Failure mode 10: one probe a window, and the full rate soon after."""
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


async def test_run_waits_a_window_after_430() -> None:
    """Failure mode 11: the next request comes a full window later, and nothing fails."""
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        service.script("create", "code_430")
        found, error = await outcome(client.convert_many(tracks(3)))
    times = [call.received_at for call in service.requests]

    assert (error, [conversion.error for conversion in found]) == (None, [None] * 3)
    assert times[3] - times[0] >= 10


# --- files --------------------------------------------------------------------------------------


async def test_videos_are_downloaded_as_they_complete(tmp_path: Path) -> None:
    """Each result has its complete file under the track's own name."""
    async with FakeService(duration=5) as service, service.client(polling=FAST) as client:
        run = client.convert_many(tracks(5), download_to=tmp_path / "new" / "folder")
        found, _ = await outcome(run)
    contents = {task.request.audio_id: task.content for task in service.tasks.values()}

    assert {c.path.name for c in found if c.path} == {f"{n}.mp4" for n in range(5)}
    for conversion in found:
        assert conversion.path is not None
        assert conversion.path.read_bytes() == contents[conversion.request.audio_id]


async def test_failed_download_keeps_its_video(tmp_path: Path) -> None:
    """The other tracks are not held up."""
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


async def test_file_names_are_unique_on_every_file_system(tmp_path: Path) -> None:
    """Failure mode 32: names that are the same, or differ only in case, get files of their own."""
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


async def test_first_track_of_a_name_keeps_it(tmp_path: Path) -> None:
    """Only later tracks get a number."""
    async with FakeService() as service, service.client() as client:
        run = client.convert_many(tracks(3), download_to=tmp_path, name=lambda _: "song")
        await outcome(run)
    names = files(tmp_path)

    assert len(names) == 3
    assert "song.mp4" in names
    assert sum(name.startswith("song-") for name in names) == 2


async def test_folder_that_is_a_file_fails_each_download(tmp_path: Path) -> None:
    """Nothing is overwritten, and every error says what is in the way."""
    blocked = tmp_path / "videos"
    blocked.write_text("mine")
    async with FakeService() as service, service.client() as client:
        found, _ = await outcome(client.convert_many(tracks(2), download_to=blocked))

    assert blocked.read_text() == "mine"
    assert [type(conversion.error) for conversion in found] == [mp4gen.DownloadError] * 2
    assert all(conversion.video for conversion in found)


async def test_timeout_is_a_result_with_its_task() -> None:
    """Each track has its own deadline; its id is in the result."""
    async with FakeService(duration=10**6) as service, service.client() as client:
        found, error = await outcome(client.convert_many(tracks(3), timeout=100))

    assert error is None
    assert {type(conversion.error) for conversion in found} == {mp4gen.WaitTimeoutError}
    assert {conversion.task_id for conversion in found} == set(service.tasks)


async def test_lost_response_is_an_uncertain_result_under_raise() -> None:
    """Without a 409, nothing is submitted twice."""
    async with FakeService(duplicate_policy="new_task") as service:
        service.script("create", "ok", "reset_after_accept")
        async with service.client(on_uncertain_submit="raise") as client:
            found, error = await outcome(client.convert_many(tracks(3)))
    uncertain = [conversion for conversion in found if conversion.error]

    assert error is None
    assert [type(conversion.error) for conversion in uncertain] == [mp4gen.SubmitUncertainError]
    assert len(service.tasks) == 3


async def test_lost_response_is_adopted_if_the_host_rejects_duplicates() -> None:
    """The same submit is sent again, and its task adopted."""
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


async def test_submits_of_a_run_take_priority_over_its_polls() -> None:
    """A slot freed by a poll is taken immediately, however many polls wait."""
    limit = mp4gen.RateLimit(4, per=10)
    async with (
        FakeService(rate_limit=limit, duration=1) as service,
        service.client(rate_limit=limit, concurrency=20, polling=FAST) as client,
    ):
        async for _ in client.convert_many(tracks(40)):
            pass
    calls = [call.endpoint for call in service.requests]
    polls = [number for number, endpoint in enumerate(calls) if endpoint == "details"]

    assert calls[:20] == ["create"] * 20
    assert calls[20 : polls[19]].count("create") >= 15

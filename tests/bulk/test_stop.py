"""Ends of a run: what was not sent is submitted by the next run, and a stop submits nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mp4gen
from mp4gen.bulk.ledger_entry import LedgerState
from mp4gen.bulk.ledger_schema import read_ledger
from mp4gen.testing import FakeService
from tests.support_async import now, outcome
from tests.support_proxy import ConnectionFault, FaultProxy, full_backlog

pytestmark = pytest.mark.looptime

UNKNOWN = mp4gen.Dialect.for_url("http://unknown")


def track(name: object) -> mp4gen.VideoRequest:
    return mp4gen.VideoRequest("music", str(name))


REQUESTS = [track(n) for n in range(30)]
Run = mp4gen.ConversionRun
Task = asyncio.Task[Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    """A host that accepts a track again and again."""
    async with FakeService(dialect=UNKNOWN, duplicate_policy="new_task", duration=5) as service:
        yield service


def states(path: Path) -> list[LedgerState]:
    return [entry.state for entry in read_ledger(path)[1]]


def state_of(request: mp4gen.VideoRequest, path: Path) -> LedgerState:
    """Return the state of a track, which is new as long as nothing is recorded."""
    entries = read_ledger(path)[1] if path.exists() else []
    return next((entry.state for entry in entries if entry.request == request), LedgerState.NEW)


def run_immediately(_: Any, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
    """Do the work of a thread within the step of the loop that asks for it."""
    done = asyncio.get_running_loop().create_future()
    try:
        done.set_result(work(*args))
    except Exception as error:  # noqa: BLE001 - as a thread would hand it over
        done.set_exception(error)
    return done


def refuse_key() -> str:
    raise OSError("the vault is closed")


# --- ends while submits are connecting ----------------------------------------------------------


async def cancel(_: mp4gen.Client, __: Run, task: Task) -> None:
    task.cancel()


async def cancel_again_and_again(_: mp4gen.Client, __: Run, task: Task) -> None:
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


async def close_run(_: mp4gen.Client, run: Run, __: Task) -> None:
    await run.aclose()


async def close_client(client: mp4gen.Client, _: Run, __: Task) -> None:
    await client.aclose()


async def stop_then_close(_: mp4gen.Client, run: Run, __: Task) -> None:
    run.stop()
    await asyncio.sleep(1)
    await run.aclose()


async def stop_and_wait(_: mp4gen.Client, run: Run, __: Task) -> None:
    run.stop()


ENDS = [cancel, cancel_again_and_again, close_run, close_client, stop_then_close, stop_and_wait]
End = Callable[[mp4gen.Client, Run, Task], Awaitable[None]]


@pytest.mark.parametrize("end", ENDS)
async def test_run_that_ends_while_connecting_has_sent_nothing(path: Path, end: End) -> None:
    """Failure mode 41: the intents are cleared, and the next run submits every track once."""
    with full_backlog() as url:
        async with mp4gen.Client(base_url=url) as client:
            run = client.convert_many(REQUESTS, ledger=path)
            task = asyncio.create_task(outcome(run))
            await asyncio.sleep(2)
            before = states(path)
            await end(client, run, task)
            await asyncio.wait([task])
            elapsed = now() - 2
            # The clean-up goes on without a consumer that was cancelled twice.
            runners = [one for one in asyncio.all_tasks() if one.get_name() == "mp4gen-bulk"]
            await asyncio.gather(*runners, return_exceptions=True)
    after = states(path)
    port = int(url.rpartition(":")[2])
    async with (
        FakeService(duplicate_policy="new_task", port=port) as service,
        mp4gen.Client(base_url=url) as client,
    ):
        found, error = await outcome(client.convert_many(REQUESTS, ledger=path))

    assert elapsed < 2
    assert before.count(LedgerState.INTENT) == 20
    assert set(after) == {LedgerState.NEW}
    assert run.summary.remaining == 30
    assert (len(found), error, {one.error for one in found}) == (30, None, {None})
    assert len(service.tasks) == 30


async def test_run_that_ends_after_the_head_was_sent_is_uncertain(
    service: FakeService, path: Path
) -> None:
    """The other side: the service may have accepted it, so the next run reports it."""
    service.always("create", "hang_after_accept")
    async with service.client() as client:
        task = asyncio.create_task(outcome(client.convert_many(REQUESTS[:1], ledger=path)))
        await asyncio.sleep(2)
        task.cancel()
        await asyncio.wait([task])
        interrupted = states(path)
        [conversion], _ = await outcome(client.convert_many(REQUESTS[:1], ledger=path))

    assert interrupted == [LedgerState.INTENT]
    assert isinstance(conversion.error, mp4gen.SubmitUncertainError)
    assert len(service.tasks) == 1


async def test_cancel_at_any_step_knows_what_arrived(
    service: FakeService, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 41: cancelled after 1, 2, 3 ... steps, a track is new if nothing was sent."""
    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", run_immediately)
    service.rate_limit = None
    found: list[tuple[LedgerState, int]] = []
    async with service.client(rate_limit=mp4gen.RateLimit(10_000)) as client:
        while (LedgerState.SUBMITTED, 1) not in found:
            request = track(f"step-{len(found)}")
            run = client.convert_many([request], ledger=path)
            task = asyncio.create_task(outcome(run))
            for _ in range(len(found)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await run.aclose()
            await asyncio.sleep(1)
            arrived = sum(request.audio_id.encode() in call.body for call in service.requests)
            found.append((state_of(request, path), arrived))

    assert set(found) == {
        (LedgerState.NEW, 0),
        (LedgerState.INTENT, 1),
        (LedgerState.SUBMITTED, 1),
    }


class BrokenLimiter:
    """A limiter of the user that raises when a slot is granted, or when it is given back."""

    def __init__(self, *, granted: bool) -> None:
        self.granted = granted

    def slot(self, _: Any = None) -> Any:
        return self

    async def __aenter__(self) -> None:
        if not self.granted:
            raise ConnectionError("no limiter")

    async def __aexit__(self, *_: object) -> None:
        raise ConnectionError("the limiter is gone")

    def pause(self, seconds: float) -> None:
        raise AssertionError(seconds)


@pytest.mark.parametrize(
    "settings",
    [{"api_key": refuse_key}, {"rate_limit": BrokenLimiter(granted=False)}],
    ids=["key source", "limiter"],
)
async def test_hook_that_raises_before_the_first_byte_leaves_the_track_new(
    service: FakeService, path: Path, settings: dict[str, Any]
) -> None:
    """Failure mode 42: whatever it raises, the next run submits the track."""
    async with service.client(**settings) as client:
        await outcome(client.convert_many(REQUESTS[:1], ledger=path))
    broken = states(path)
    sent = service.count("create")
    async with service.client() as client:
        [conversion], error = await outcome(
            client.convert_many(REQUESTS[:1], ledger=path, retry_failed=True)
        )

    assert broken[0] in (LedgerState.NEW, LedgerState.FAILED)
    assert (sent, error, conversion.error) == (0, None, None)
    assert len(service.tasks) == 1


async def test_hook_that_raises_after_the_last_byte_leaves_the_track_uncertain(
    service: FakeService, path: Path
) -> None:
    """The other side of failure mode 42: a second submit would pay twice."""
    async with service.client(rate_limit=BrokenLimiter(granted=True)) as client:
        [conversion], error = await outcome(client.convert_many(REQUESTS[:1], ledger=path))

    assert (type(conversion.error), error) == (mp4gen.SubmitUncertainError, None)
    assert states(path) == [LedgerState.UNCERTAIN]
    assert len(service.tasks) == 1


async def test_iterable_that_raises_while_submits_connect_leaves_the_tracks_new(
    path: Path,
) -> None:
    """Failure mode 42: nothing was sent, and nothing more is tried."""

    def rows() -> Iterator[mp4gen.VideoRequest]:
        yield from REQUESTS
        raise KeyError("row 31")

    with full_backlog() as url:
        async with mp4gen.Client(base_url=url) as client:
            run = client.convert_many(rows(), ledger=path)
            found, error = await outcome(run)

    assert (found, type(error)) == ([], KeyError)
    assert set(states(path)) == {LedgerState.NEW}
    assert run.summary.remaining == 30


# --- stop() -------------------------------------------------------------------------------------


async def stop_at(run: Run, seconds: float) -> tuple[Any, float]:
    """Return the outcome of a run that is stopped after `seconds`, and how long that took."""
    task = asyncio.create_task(outcome(run))
    await asyncio.sleep(seconds)
    run.stop()
    stopped = now()
    return await task, now() - stopped


@pytest.mark.parametrize("refusal", ["rate_limited", "code_430", "code_500", "maintenance"])
@pytest.mark.parametrize("seconds", [0.5, 2.0])
async def test_stop_sends_no_refused_submit_again(path: Path, refusal: str, seconds: float) -> None:
    """Stopped while twenty submits are on their way or wait for another attempt: no task."""
    async with FakeService(dialect=UNKNOWN, latency=0.5, rate_limit=None) as service:
        service.script("create", *[refusal] * 20)
        async with service.client() as client:
            run = client.convert_many(REQUESTS, ledger=path)
            (found, error), elapsed = await stop_at(run, seconds)

    assert (found, error, len(service.tasks)) == ([], None, 0)
    assert run.summary == mp4gen.RunSummary(remaining=30, stop_reason="stop")
    # On a busy machine the ledger may take all of the virtual time until the stop.
    assert set(states(path)) <= {LedgerState.NEW}
    assert elapsed < 2


async def test_stop_ends_the_retries_of_a_refused_connection(path: Path) -> None:
    """Nothing was sent, so the tracks remain."""
    async with FaultProxy("http://127.0.0.1:1") as gone:
        pass
    async with mp4gen.Client(base_url=gone.url) as client:
        run = client.convert_many(REQUESTS, ledger=path)
        (found, error), elapsed = await stop_at(run, 2)

    assert (found, error, run.summary.remaining) == ([], None, 30)
    assert set(states(path)) == {LedgerState.NEW}
    assert elapsed < 1


async def test_stop_waits_for_the_response_of_a_submit(service: FakeService, path: Path) -> None:
    """A submit on its way may be accepted: its conversion finishes and is yielded."""
    async with FaultProxy(service.url) as proxy:
        proxy.script(ConnectionFault(delay=3))
        async with service.client(base_url=proxy.url) as client:
            run = client.convert_many(REQUESTS[:1], ledger=path)
            ([conversion], error), _ = await stop_at(run, 1)

    assert (error, conversion.error, len(service.tasks)) == (None, None, 1)


async def test_stop_reports_a_refusal_for_good_as_failed(path: Path) -> None:
    """The next run would get the same answer."""
    async with FakeService(dialect=UNKNOWN, latency=0.5) as service:
        service.script("create", "code_400")
        async with service.client() as client:
            run = client.convert_many(REQUESTS[:1], ledger=path)
            ([conversion], _), _ = await stop_at(run, 0.7)

    assert isinstance(conversion.error, mp4gen.InvalidRequestError)
    assert states(path) == [LedgerState.FAILED]


@pytest.mark.parametrize("seconds", [0.7, 20.0])
@pytest.mark.parametrize("dialect", [UNKNOWN, mp4gen.Dialect.SUNO], ids=["unknown", "409"])
async def test_stop_reports_a_lost_response_as_uncertain(
    path: Path, dialect: mp4gen.Dialect, seconds: float
) -> None:
    """It is not sent again, and the error says whether the next run may do so."""
    async with FakeService(dialect=dialect, latency=0.5) as service:
        service.script("create", "reset_after_accept", *["maintenance"] * 2)
        async with service.client() as client:
            run = client.convert_many(REQUESTS[:1], ledger=path)
            ([conversion], error), elapsed = await stop_at(run, seconds)
        stopped = service.count("create")
        service.clear()
        async with service.client() as client:
            [resumed], _ = await outcome(client.convert_many(REQUESTS[:1], ledger=path))

    known = dialect.rejects_duplicates
    assert (type(conversion.error), error) == (mp4gen.SubmitUncertainError, None)
    assert conversion.error.rejects_duplicates is known
    assert stopped == (2 if known and seconds > 1 else 1)
    assert elapsed < 2
    assert type(resumed.error) is (type(None) if known else mp4gen.SubmitUncertainError)
    assert len(service.tasks) == 1


async def test_stop_reports_the_uncertain_tracks_of_earlier_runs(
    service: FakeService, path: Path
) -> None:
    """A track that was perhaps submitted never counts as one that was not."""
    service.script("create", *["reset_after_accept"] * 3)
    async with service.client() as client:
        await outcome(client.convert_many(REQUESTS[:3], ledger=path))
    limit = mp4gen.RateLimit(1, per=1000.0)
    async with service.client(rate_limit=limit, on_uncertain_submit="resubmit") as client:
        await client.get_credits()
        run = client.convert_many(REQUESTS[:5], ledger=path)
        (found, _), _ = await stop_at(run, 1)

    assert [type(one.error) for one in found] == [mp4gen.SubmitUncertainError] * 3
    assert run.summary == mp4gen.RunSummary(0, 3, 2, "stop")
    assert service.count("create") == 3

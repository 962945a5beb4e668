"""A track that fails costs neither the other tracks nor the run."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

import mp4gen
from mp4gen.testing import FakeService, ScriptedResponse
from mp4gen.testing.faults import by_name
from mp4gen.testing.state import RecordedRequest
from tests.support_async import Outcome, now, outcome

pytestmark = pytest.mark.looptime
FAST = mp4gen.Polling(initial_delay=1, max_interval=2)


def tracks(number: int) -> list[mp4gen.VideoRequest]:
    return [mp4gen.VideoRequest("music", f"track{n:03}") for n in range(number)]


class SelectiveService(FakeService):
    """Answers every request that names one of `bad` with the same fault."""

    def __init__(self, fault: str | ScriptedResponse, *bad: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.fault, self.bad = fault, bad

    def _next_response(self, recorded: RecordedRequest) -> ScriptedResponse:
        text = f"{recorded.body!r}{recorded.query}"
        if not recorded.rate_limited and any(name in text for name in self.bad):
            is_name = isinstance(self.fault, str)
            return by_name(self.fault, self.dialect) if is_name else self.fault  # type: ignore[arg-type,return-value]
        return super()._next_response(recorded)


async def convert(service: FakeService, number: int, **settings: Any) -> Outcome:
    """Convert `number` tracks."""
    async with service, service.client(polling=FAST, **settings) as client:
        client.random.seed(1)
        return await outcome(client.convert_many(tracks(number)))


@pytest.mark.parametrize("bad", [("track000",), ("track019",), ("track000", "track007")])
@pytest.mark.parametrize("fault", ["code_500", "reset", "html_502"])
async def test_submit_that_always_fails_is_one_failed_conversion(
    bad: tuple[str, ...], fault: str
) -> None:
    """Failure mode 66: the others are converted, and the run ends soon after its retries."""
    service = SelectiveService(fault, *bad, duration=5)
    found, error = await convert(service, 20)
    failed = {c.request.audio_id: c.error for c in found if c.error is not None}

    assert error is None
    assert len(found) == 20
    assert set(failed) == set(bad)
    assert now() <= 300 + 10 + 1


@pytest.mark.parametrize("number", [1, 5, 19])
async def test_run_of_nothing_but_failing_submits_ends_after_their_retries(number: int) -> None:
    """Failure mode 66: no other call succeeds, so the client asks for the credits."""
    service = SelectiveService("code_500", "track", duration=5)
    found, error = await convert(service, number)

    assert error is None
    assert {type(conversion.error) for conversion in found} == {mp4gen.ServerError}
    assert len(found) == number
    assert now() <= 300 + 10 * number / 20 + 11


async def test_submits_that_keep_failing_do_not_slow_down_the_others() -> None:
    """Their retries go after the first submits of all other tracks: they cost one window."""
    bad = [f"track{n:03}" for n in range(0, 60, 6)]
    seconds = []
    for names in ([], bad):
        service = SelectiveService("code_500", *names, duration=5)
        start = now()
        done = 0.0
        async with service, service.client(polling=FAST) as client:
            client.random.seed(1)
            async for conversion in client.convert_many(tracks(60)):
                if conversion.error is None:
                    done = now() - start
        seconds.append(done)

    assert seconds[1] <= seconds[0] + 10.1


@pytest.mark.parametrize("fault", ["blocked", "html_404", "html_405", "redirect"])
@pytest.mark.parametrize("bad", ["track000", "track010"])
async def test_track_that_a_firewall_answers_is_one_failed_conversion(
    fault: str, bad: str, tmp_path: Path
) -> None:
    """Failure mode 67: others get through, so neither this run ends at it nor the next one."""
    service = SelectiveService(fault, bad, duration=5)
    async with service, service.client(polling=FAST) as client:
        run = client.convert_many(tracks(20), ledger=tmp_path / "run.sqlite")
        found, error = await outcome(run)
    failed = [c.request.audio_id for c in found if c.error is not None]

    assert error is None
    assert (len(found), failed) == (20, [bad])
    assert run.summary == mp4gen.RunSummary(succeeded=19, failed=1)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("blocked", mp4gen.AuthenticationError),
        ("html_404", mp4gen.ConfigurationError),
        ("unauthorized", mp4gen.AuthenticationError),
        ("no_credits", mp4gen.InsufficientCreditsError),
    ],
)
async def test_failure_of_every_call_ends_the_run_and_names_the_track(
    fault: str, expected: type
) -> None:
    """Failure mode 14: a bad key, a wrong address or no credits stop the run at once."""
    service = FakeService()
    service.always("*", fault)
    found, error = await convert(service, 100)

    assert type(error) is expected
    assert found == []
    assert service.count() <= 40
    assert isinstance(error, mp4gen.Mp4GenError)
    assert error.audio_id is not None
    assert error.audio_id in str(error)


async def test_run_ends_if_no_submit_gets_through_although_other_calls_do() -> None:
    """Failure mode 67: if every submit is refused, a thousand tracks do not fail one by one."""
    service = SelectiveService("blocked", "track", duration=5)
    found, error = await convert(service, 1000)

    assert isinstance(error, mp4gen.AuthenticationError)
    assert len(found) <= 20
    assert service.count() <= 60


@pytest.mark.parametrize("fault", ["blocked", "html_404", "code_500", "html_502"])
async def test_polls_that_a_firewall_answers_do_not_fail_a_paid_video(fault: str) -> None:
    """Failure mode 67: the wait goes on to its deadline, and the id is in the result."""
    service = SelectiveService(fault, "video_000003", duration=5)
    async with service, service.client(polling=FAST) as client:
        found, error = await outcome(client.convert_many(tracks(5), timeout=400))
    failed = [conversion for conversion in found if conversion.error is not None]

    assert error is None
    assert len(found) == 5
    assert [type(conversion.error) for conversion in failed] == [mp4gen.WaitTimeoutError]
    assert failed[0].task_id == "video_000003"


@pytest.mark.parametrize("fault", ["code_500", "html_502", "reset"])
async def test_outage_of_submits_alone_fails_no_track(fault: str) -> None:
    """Failure mode 66: so many submits fail that single tracks are not the cause."""
    async with (
        FakeService(duration=30) as service,
        service.client(polling=FAST, concurrency=100) as client,
    ):
        client.random.seed(4)
        run = asyncio.create_task(outcome(client.convert_many(tracks(150))))
        await asyncio.sleep(15)
        service.always("create", fault)
        before = service.count("create")
        await asyncio.sleep(900)
        during = service.count("create") - before
        service.clear()
        found, error = await run

    assert error is None
    assert [conversion.error for conversion in found] == [None] * 150
    assert len(service.tasks) == 150
    assert during <= 100 + 900 / 30


async def test_run_ends_if_no_submit_is_accepted_for_an_hour() -> None:
    """No track fails, since none is the cause: all remain for another run."""
    service = SelectiveService("code_500", "track", duration=5)
    async with service, service.client(polling=FAST) as client:
        run = client.convert_many(tracks(200))
        found, error = await outcome(run)

    assert isinstance(error, mp4gen.ServerError | mp4gen.TransportError)
    assert "The API answered 500: scripted" in str(error)
    assert found == []
    assert run.summary.remaining == 200
    assert 3600 <= now() <= 3600 + 700


@pytest.mark.parametrize("endpoint", ["*", "create"])
@pytest.mark.parametrize("fault", ["code_500", "html_503", "maintenance", "reset"])
async def test_run_after_an_outage_of_the_night_before_converts_all(
    endpoint: Any, fault: str, tmp_path: Path
) -> None:
    """Failure mode 66: one client runs every night; nothing has closed its breakers by day."""
    retry = mp4gen.Retry(maintenance_timeout=900)
    async with FakeService(duration=5) as service, service.client(retry=retry) as client:
        client.random.seed(5)
        service.always(endpoint, fault)
        first = client.convert_many(tracks(40), ledger=tmp_path / "run.sqlite")
        await outcome(first)
        service.clear()
        await asyncio.sleep(24 * 3600)
        found, error = await outcome(
            client.convert_many(tracks(40), ledger=tmp_path / "run.sqlite")
        )

    assert first.summary.succeeded == 0
    assert error is None
    assert [c.error for c in found] == 40 * [None]
    assert len(service.tasks) == 40


async def test_stop_ends_a_run_at_once_while_no_submit_gets_through() -> None:
    """The run sends a probe now and then for up to an hour; no track waits for its end."""
    service = SelectiveService("code_500", "track")
    async with service, service.client() as client:
        run = client.convert_many(tracks(40))
        asyncio.get_running_loop().call_later(1000, run.stop)
        found, error = await outcome(run)

    assert (found, error) == ([], None)
    assert run.summary == mp4gen.RunSummary(0, 0, 40, "stop")
    assert now() < 1001


@pytest.mark.parametrize("fault", ["retry_after", "html_502"])
async def test_outage_leaves_few_submits_uncertain_on_an_unknown_host(fault: str) -> None:
    """Those of one window, which were on their way; a probe is rarely a submit."""
    busy = ScriptedResponse(status=503, body=b"busy", headers={"Retry-After": "600"})
    unknown = mp4gen.Dialect.for_url("http://unknown")
    async with (
        FakeService(duration=30, dialect=unknown, duplicate_policy="new_task") as service,
        service.client(polling=FAST) as client,
    ):
        client.random.seed(3)
        run = asyncio.create_task(outcome(client.convert_many(tracks(150))))
        await asyncio.sleep(15)
        service.always("*", busy if fault == "retry_after" else fault)
        await asyncio.sleep(600)
        service.clear()
        found, error = await run
    uncertain = [conversion for conversion in found if conversion.error is not None]

    assert error is None
    assert {type(c.error) for c in uncertain} <= {mp4gen.SubmitUncertainError}
    assert len(uncertain) <= 20 + 12


@pytest.mark.parametrize("seconds", [100, 600, 3600])
@pytest.mark.parametrize("fault", ["retry_after", "reset", "code_500", "hang"])
async def test_outage_fails_no_track_of_a_run(seconds: float, fault: str) -> None:
    """Failure mode 68: whatever `Retry-After` says, the run waits, and few requests are sent."""
    busy = ScriptedResponse(status=503, body=b"busy", headers={"Retry-After": "600"})
    async with (
        FakeService(duration=30) as service,
        service.client(polling=FAST, concurrency=100) as client,
    ):
        client.random.seed(3)
        run = asyncio.create_task(outcome(client.convert_many(tracks(150))))
        await asyncio.sleep(15)
        service.always("*", busy if fault == "retry_after" else fault)
        before = service.count()
        await asyncio.sleep(seconds)
        during = service.count() - before
        service.clear()
        found, error = await run

    assert error is None
    assert [conversion.error for conversion in found] == [None] * 150
    assert len(service.tasks) == 150
    assert during <= 60 + 4 * seconds / 30

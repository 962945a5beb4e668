"""One call with everything around it: slots, pauses, maintenance and retries."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from random import Random
from typing import Any

import attrs
import pytest

import mp4gen
from mp4gen import Dialect, RateLimit, Retry, SlidingWindowLimiter
from mp4gen.api import protocol
from mp4gen.secret import Secret
from mp4gen.testing import FakeService, ScriptedResponse
from mp4gen.testing.service import FAKE_KEY
from mp4gen.transport.caller import ApiCaller, CallOptions
from mp4gen.transport.event_emitter import EventEmitter
from mp4gen.transport.http import Transport
from tests.support_async import failure, now

pytestmark = pytest.mark.looptime
REQUEST = mp4gen.VideoRequest("music", "track")


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with FakeService() as service:
        service.music["music"] = [mp4gen.Track("music", "track")]
        yield service


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[mp4gen.Client]:
    async with service.client() as client:
        client.random.seed(1)
        yield client


@pytest.mark.parametrize(
    "fault", "reset close_without_answer half_headers truncated html_502 empty code_500".split()
)
async def test_send_with_retries_retries_after_a_fault(
    service: FakeService, client: mp4gen.Client, fault: str
) -> None:
    """Failure mode 4: after any fault the next response counts."""
    service.script("credits", fault, fault)

    assert await client.get_credits() == 1000
    assert service.count("credits") == 3


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("code_400", mp4gen.InvalidRequestError),
        ("unauthorized", mp4gen.AuthenticationError),
        ("blocked", mp4gen.AuthenticationError),
        ("code_404", mp4gen.NotFoundError),
        ("no_credits", mp4gen.InsufficientCreditsError),
        ("html_404", mp4gen.ConfigurationError),
        ("html_405", mp4gen.ConfigurationError),
        ("redirect", mp4gen.ConfigurationError),
        ("code_299", mp4gen.ApiError),
    ],
)
async def test_send_with_retries_does_not_retry_permanent_errors(
    service: FakeService, client: mp4gen.Client, fault: str, expected: type
) -> None:
    """One request, one typed error."""
    service.script("credits", fault)

    assert type(await failure(client.get_credits())) is expected
    assert service.count() == 1


@pytest.mark.parametrize(("timeout", "seconds"), [(5.0, 5), (None, 60)])
async def test_send_ends_after_its_timeout(
    service: FakeService, timeout: float | None, seconds: float
) -> None:
    """Without one of its own, after that of all requests."""
    service.script("credits", "hang")
    transport = Transport(service.url, lambda: Secret(FAKE_KEY))
    retry = Retry(request_timeout=60)
    caller = ApiCaller(transport, SlidingWindowLimiter(), retry, EventEmitter(), Random(1))
    request = protocol.build_credits_request(Dialect.SUNO)
    error = await failure(caller.send(request, lambda _: None, CallOptions(), timeout=timeout))
    await caller.aclose()

    assert str(error).endswith(f"no response within {seconds} s.")
    assert now() == pytest.approx(seconds, abs=0.1)


async def test_retry_timeout_ends_the_retries(service: FakeService) -> None:
    """The call raises its last error."""
    service.always("credits", "code_500")
    async with service.client(retry=Retry(timeout=20.0)) as client:
        client.random.seed(2)
        error = await failure(client.get_credits())

    assert type(error) is mp4gen.ServerError
    assert 0 < now() <= 20
    assert 3 <= service.count() <= 11


async def test_retry_timeout_starts_with_the_first_failure(
    service: FakeService, client: mp4gen.Client
) -> None:
    """The age of the client does not count."""
    await asyncio.sleep(1000)
    service.script("credits", "code_500", "code_500")

    assert await client.get_credits() == 1000


@pytest.mark.parametrize(
    ("retry", "single", "bulk"),
    [
        (Retry(), 0.0, 6 * 3600 + 600),
        (Retry(maintenance_timeout=0.0), 0.0, 0.0),
        (Retry(maintenance_timeout=70.0), 70.0, 70.0),
    ],
)
def test_call_options_follow_the_maintenance_timeout(
    retry: Retry, single: float, bulk: float
) -> None:
    """By default only a bulk run waits for the end of maintenance."""
    assert CallOptions.for_single_calls(retry).max_maintenance == single
    assert CallOptions.for_bulk_run(retry).max_maintenance == bulk


async def test_storm_of_calls_during_an_outage_stays_small(service: FakeService) -> None:
    """Fifty calls in five minutes of outage: one request each, then one probe at a time."""
    service.always("credits", "code_500")
    service.rate_limit = None
    async with service.client(rate_limit=RateLimit(1000, per=1.0)) as client:
        client.random.seed(1)
        calls = [client.get_credits() for _ in range(50)]
        errors = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(error) for error in errors} == {mp4gen.ServerError}
    assert now() == pytest.approx(300, abs=31)
    assert service.count() <= 50 + 50


@pytest.mark.parametrize("fault", ["reset", "html_503", "code_500"])
@pytest.mark.parametrize("calls", [1, 5, 50])
@pytest.mark.parametrize("seconds", [2, 100, 250])
async def test_outage_shorter_than_the_retry_timeout_fails_no_call(
    service: FakeService, fault: str, calls: int, seconds: float
) -> None:
    """`Retry.timeout` decides, however many calls share the client."""
    service.always("*", fault)
    service.rate_limit = None
    asyncio.get_running_loop().call_later(seconds, service.clear)
    async with service.client(rate_limit=RateLimit(1000, per=1.0)) as client:
        client.random.seed(calls)
        requests = [mp4gen.VideoRequest("music", str(n)) for n in range(calls)]
        await asyncio.gather(*(client.create_music_video(request) for request in requests))

    assert len(service.tasks) == calls
    assert now() <= seconds + 31


async def test_call_ends_with_its_own_error_at_the_retry_timeout(service: FakeService) -> None:
    """It waited for a probe of another call; its error is that of its last attempt."""
    service.always("credits", "code_500")
    service.always("tracks", "html_502")
    async with service.client(retry=Retry(timeout=60)) as client:
        client.random.seed(1)
        first, second = await asyncio.gather(
            failure(client.get_credits()), failure(client.get_tracks("music"))
        )

    assert (first.code, second.code) == (500, 502)
    assert 50 <= now() <= 60.5


async def test_longer_retry_after_wins(service: FakeService, client: mp4gen.Client) -> None:
    """The retry waits as long as the server asks."""
    page = ScriptedResponse(status=503, body=b"busy", headers={"Retry-After": "40"})
    service.script("credits", page)
    await client.get_credits()

    assert 40 <= now() < 41


async def test_retry_after_beyond_the_timeout_raises(
    service: FakeService, client: mp4gen.Client
) -> None:
    """The error comes immediately, not in an hour."""
    service.script(
        "credits", ScriptedResponse(status=503, body=b"", headers={"Retry-After": "3600"})
    )

    assert type(await failure(client.get_credits())) is mp4gen.ServerError
    assert now() < 1


@pytest.mark.parametrize("dialect", [Dialect.SUNO, Dialect.KIE])
@pytest.mark.parametrize("endpoint", ["create", "credits"])
async def test_rate_refusal_pauses_every_call(dialect: Dialect, endpoint: Any) -> None:
    """Failure mode 11: 405, 430 and kie's 429 pause all calls for a window."""
    async with FakeService(dialect=dialect) as service, service.client() as client:
        service.script(endpoint, "rate_limited")
        await asyncio.gather(client.create_music_video(REQUEST), client.get_credits())
    times = [call.received_at for call in service.requests]

    assert len(service.tasks) == 1
    assert [time for time in times if 0.5 < time < 10] == []
    assert max(times) == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "3"}])
async def test_pause_lasts_the_period_of_the_limit(
    service: FakeService, headers: dict[str, str]
) -> None:
    """No call goes out for a full window; a shorter `Retry-After` does not change that."""
    service.script("credits", ScriptedResponse(status=429, body=b"", headers=headers))
    async with service.client(rate_limit=RateLimit(20, per=45.0)) as client:
        await client.get_credits()

    first, second = (call.received_at for call in service.requests)
    assert second - first >= 45


async def test_bulk_retry_timeout_excludes_the_wait_for_slots() -> None:
    """Two failures with 100 seconds of waiting between count as a moment, not as 100 seconds."""
    retry = Retry(timeout=50, max_delay=1)
    async with FakeService(duration=5) as service:
        service.script("create", "code_500", "code_500")
        async with service.client(rate_limit=RateLimit(1, per=100.0), retry=retry) as client:
            run = client.convert_many([REQUEST])
            (conversion,) = [conversion async for conversion in run]

    assert conversion.error is None
    assert service.count("create") == 3


async def test_bulk_run_leaves_the_slots_of_single_calls_free() -> None:
    """A run that fills its own slots for ten minutes delays no `convert`."""
    async with FakeService(duration=600) as service, service.client(concurrency=1) as client:
        run = client.convert_many([REQUEST])
        results = asyncio.create_task(anext(aiter(run)))
        await asyncio.sleep(10)
        start = now()
        single = asyncio.create_task(client.convert(mp4gen.VideoRequest("music", "other")))
        await asyncio.sleep(60)
        submitted_at = service.requests[-1].received_at if len(service.tasks) == 2 else None
        await asyncio.gather(results, single)
        await run.aclose()

    assert submitted_at is not None
    assert submitted_at >= start


@pytest.mark.parametrize("fault", ["code_405", "code_430", "html_429"])
async def test_refusals_for_ten_minutes_cost_one_call_per_window(
    service: FakeService, fault: str
) -> None:
    """Failure mode 10: every call is refused; none fails, then all run at full speed."""
    service.always("*", fault)
    asyncio.get_running_loop().call_later(600, service.clear)
    retry = Retry(timeout=3600)
    async with service.client(retry=retry) as client:
        requests = [mp4gen.VideoRequest("music", str(n)) for n in range(60)]
        await asyncio.gather(*(client.create_music_video(r) for r in requests))
    during = [call.received_at for call in service.requests if call.received_at < 600]
    after = [call.received_at for call in service.requests if call.received_at >= 600]

    assert len(during) <= 20 + 60
    assert len(service.tasks) == 60
    assert max(after) - min(after) <= 31


async def test_single_call_gives_up_on_endless_refusals(
    service: FakeService, client: mp4gen.Client
) -> None:
    """Failure mode 10: after its retry timeout it raises the refusal itself."""
    service.always("*", "rate_limited")

    assert type(await failure(client.get_credits())) is mp4gen.RateLimitError
    assert 290 <= now() <= 320


async def test_pause_applies_to_calls_without_limit(service: FakeService) -> None:
    """If polls do not count towards the limit, a refused poll still pauses all polls."""
    dialect = attrs.evolve(Dialect.SUNO, polls_count_toward_limit=False)
    service.script("credits", "rate_limited")
    async with service.client(dialect=dialect) as client:
        await asyncio.gather(client.get_credits(), client.get_tracks("music"))
        await client.get_tracks("music")

    assert sorted(round(call.received_at) for call in service.requests) == [0, 0, 10, 10]


async def test_longer_pause_wins_for_calls_without_limit(service: FakeService) -> None:
    """A second refusal does not shorten the pause of the first."""
    dialect = attrs.evolve(Dialect.SUNO, polls_count_toward_limit=False)
    headers = {"Retry-After": "100"}
    service.script("credits", ScriptedResponse(status=429, body=b"", headers=headers))
    service.script("tracks", ScriptedResponse(status=429, body=b"", delay=1))
    async with service.client(dialect=dialect) as client:
        await asyncio.gather(client.get_credits(), client.get_tracks("music"))

    assert sorted(round(call.received_at) for call in service.requests) == [0, 0, 100, 100]


async def test_pause_of_hours_is_capped(service: FakeService, client: mp4gen.Client) -> None:
    """A faulty gateway does not stop a client for a day."""
    headers = {"Retry-After": "86400"}
    service.script("credits", ScriptedResponse(status=429, body=b"", headers=headers))
    await client.get_credits()

    assert now() == pytest.approx(300, abs=1)


# --- maintenance ------------------------------------------------------------------------------


async def test_single_call_fails_immediately_in_maintenance(
    service: FakeService, client: mp4gen.Client
) -> None:
    """By default it does not wait; the calls after it are not even sent."""
    service.always("*", "maintenance")
    first = await failure(client.get_credits())
    second = await failure(client.create_music_video(REQUEST))

    assert type(first) is type(second) is mp4gen.MaintenanceError
    assert (service.count(), now() < 1) == (1, True)


async def test_maintenance_timeout_lets_a_call_wait(service: FakeService) -> None:
    """One probe every five minutes, and the call itself when maintenance is over."""
    service.always("*", "maintenance")
    asyncio.get_running_loop().call_later(1000, service.clear)
    async with service.client(retry=Retry(maintenance_timeout=3600)) as client:
        assert await client.get_credits() == 1000

    assert [round(call.received_at) for call in service.requests] == [0, 300, 600, 900, 1200]


async def test_maintenance_timeout_ends_the_wait(service: FakeService) -> None:
    """After `maintenance_timeout` the call raises the refusal."""
    service.always("*", "maintenance")
    async with service.client(retry=Retry(maintenance_timeout=700)) as client:
        error = await failure(client.get_credits())

    assert type(error) is mp4gen.MaintenanceError
    assert now() == pytest.approx(700, abs=1)
    assert service.count() == 3


@pytest.mark.parametrize("other", ["html_503", "reset", "code_500", "empty", "hang"])
async def test_probes_keep_their_interval_amid_other_faults(
    service: FakeService, other: str
) -> None:
    """Failure mode 12: after the page of a gateway, too, the next probe waits."""
    service.always("*", "maintenance")
    asyncio.get_running_loop().call_later(5, service.always, "*", other)
    retry = Retry(maintenance_timeout=6 * 3600, timeout=6 * 3600)
    async with service.client(retry=retry) as client:
        calls = [asyncio.create_task(client.get_credits()) for _ in range(50)]
        await asyncio.sleep(3600)
        arrived = service.count()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    assert 20 + 6 <= arrived <= 20 + 12


async def test_conversions_survive_six_hours_of_maintenance(service: FakeService) -> None:
    """Failure mode 12: a probe every five minutes, and all conversions finish after it."""
    service.always("*", "maintenance")
    asyncio.get_running_loop().call_later(6 * 3600, service.clear)
    requests = [mp4gen.VideoRequest("music", str(n)) for n in range(150)]
    async with service.client(retry=Retry(maintenance_timeout=7 * 3600)) as client:
        conversions = [asyncio.create_task(client.convert(request)) for request in requests]
        await asyncio.sleep(6 * 3600 - 1)
        arrived = service.count()
        await asyncio.gather(*conversions)

    assert arrived <= 20 + 72
    assert len(service.tasks) == 150


async def test_calls_with_a_slot_stop_at_an_open_breaker(
    service: FakeService,
) -> None:
    """The queue of the limiter does not drain into a service that is down."""
    async with service.client(retry=Retry(maintenance_timeout=3600)) as client:
        calls = [asyncio.create_task(client.get_credits()) for _ in range(100)]
        await asyncio.sleep(5)
        service.always("*", "maintenance")
        await asyncio.sleep(295)
        arrived = service.count()
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    assert arrived == 40


async def test_refusal_of_a_firewall_does_not_close_the_breaker(service: FakeService) -> None:
    """Only a response of the API itself closes it."""
    async with service.client(retry=Retry(maintenance_timeout=1000)) as client:
        service.script("credits", "maintenance", "blocked")
        error = await failure(client.get_credits())

        assert type(error) is mp4gen.AuthenticationError
        assert await client.get_credits() == 1000
    assert now() >= 600


async def test_single_call_is_sent_in_an_outage(service: FakeService) -> None:
    """A bulk run that found the API down does not stop single calls; their retries wait for it."""
    transport = Transport(service.url, lambda: Secret(FAKE_KEY))
    caller = ApiCaller(transport, SlidingWindowLimiter(), Retry(), EventEmitter(), Random(1))
    caller.circuit_breaker.trip(mp4gen.TransportError("No connection.", sent=False), 30)
    request = protocol.build_credits_request(Dialect.SUNO)
    parse = partial(protocol.parse_credits, dialect=Dialect.SUNO)
    service.script("credits", "reset")
    call = asyncio.create_task(caller.send_with_retries(request, parse, CallOptions()))
    await asyncio.sleep(1)
    sent_immediately = service.count("credits")
    credits_left = await call
    await caller.aclose()

    assert (sent_immediately, credits_left) == (1, 1000)
    assert now() == pytest.approx(30, abs=1)
    assert not caller.circuit_breaker.is_open


async def test_aclose_ends_everything_that_waits(service: FakeService) -> None:
    """A wait for a video, a queue for slots, an open breaker: all end immediately."""
    client = service.client(rate_limit=RateLimit(2, per=1000), retry=Retry(maintenance_timeout=1e6))
    task_id = await client.create_music_video(REQUEST)
    service.script("credits", "maintenance")
    at_breaker, asleep = client.get_credits(), client.wait_for_video(task_id)
    in_queue = [client.convert(REQUEST) for _ in range(3)]
    tasks = [asyncio.create_task(call) for call in (at_breaker, asleep, *in_queue)]
    await asyncio.sleep(2)
    start = now()
    await client.aclose()
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert {str(error) for error in ended} == {"This client is closed. Create a new one."}
    assert now() - start < 1


async def test_aclose_ends_the_delay_before_a_retry(service: FakeService) -> None:
    """The length of the delay does not matter."""
    client = service.client(retry=Retry(initial_delay=1000, max_delay=1000, timeout=1e6))
    client.random.seed(1)
    service.script("credits", "code_500")
    work = asyncio.create_task(client.get_credits())
    await asyncio.sleep(1)
    start = now()
    await client.aclose()

    with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
        await work
    assert now() - start < 1

"""What an open breaker lets pass: a probe, and before one of a run the health check."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from random import Random

import attrs
import pytest

import mp4gen
from mp4gen import Dialect, Retry
from mp4gen.api.protocol import (
    ApiRequest,
    build_create_request,
    build_details_request,
    parse_create,
    parse_details,
)
from mp4gen.secret import Secret
from mp4gen.testing import FakeService
from mp4gen.testing.service import FAKE_KEY
from mp4gen.transport.caller import ApiCaller, CallOptions
from mp4gen.transport.event_emitter import EventEmitter
from mp4gen.transport.http import Transport
from mp4gen.transport.retry_loop import RetryLoop
from tests.support_async import failure

pytestmark = pytest.mark.looptime
SUNO = Dialect.SUNO
OUTAGE = mp4gen.TransportError("No response.", sent=True)
RETRY = Retry(timeout=300, initial_delay=1, max_delay=60)
BULK, SINGLE = CallOptions.for_bulk_run(RETRY), CallOptions.for_single_calls(RETRY)
SUBMIT = build_create_request(mp4gen.VideoRequest("music", "track"))


@attrs.define
class Outage:
    """A service, and a caller that takes it to be down."""

    service: FakeService
    caller: ApiCaller

    def begin(self) -> None:
        """Open the breaker."""
        self.caller.circuit_breaker.record_failure(OUTAGE)
        self.caller.breakers.trip(OUTAGE)

    async def submit(self, options: CallOptions) -> str:
        """Send a submit that was sent before, and failed."""
        task_id, _ = await self.send(SUBMIT, partial(parse_create, dialect=SUNO), options)
        return task_id

    async def poll(self, options: CallOptions) -> mp4gen.VideoDetails:
        """Send a poll that was sent before, and failed."""
        request = build_details_request("t", SUNO)
        parse = partial(parse_details, dialect=SUNO, task_id="t")
        details, _ = await self.send(request, parse, options)
        return details

    async def send(self, request: ApiRequest, parse: object, options: CallOptions) -> object:
        loop = RetryLoop(self.caller, request, options)
        await loop.wait(OUTAGE, immediately=True)
        return await self.caller.send(request, parse, options, retry_loop=loop)

    @property
    def sent(self) -> list[str]:
        """The endpoints of all requests so far."""
        return [request.endpoint for request in self.service.requests]


@pytest.fixture
async def outage() -> AsyncIterator[Outage]:
    async with FakeService() as service:
        service.music["music"] = [mp4gen.Track("music", "track")]
        caller = ApiCaller(
            Transport(service.url, lambda: Secret(FAKE_KEY)),
            mp4gen.SlidingWindowLimiter(),
            RETRY,
            EventEmitter(),
            Random(1),
            dialect=SUNO,
        )
        yield Outage(service, caller)
        await caller.aclose()


async def test_health_check_that_succeeds_lets_a_submit_of_a_run_pass(outage: Outage) -> None:
    """It asks for the credits, which costs nothing, and closes the breaker."""
    outage.begin()
    await outage.submit(BULK)
    closed = not outage.caller.circuit_breaker.is_open
    outage.begin()
    error = await failure(outage.submit(BULK))

    assert closed
    assert type(error) is mp4gen.AlreadyExistsError
    assert outage.sent == ["credits", "create"] * 2


async def test_fourth_submit_of_a_run_passes_if_the_health_check_fails(outage: Outage) -> None:
    """The check itself may be what fails; a submit whose response is lost can cost twice."""
    outage.begin()
    outage.service.always("credits", "html_502")
    await outage.submit(BULK)

    assert outage.sent == ["credits"] * 4 + ["create"]


async def test_submits_of_a_run_are_rare_while_all_fails(outage: Outage) -> None:
    """Each fourth probe is one."""
    outage.begin()
    outage.service.always("*", "html_502")
    for _ in range(3):
        await failure(outage.submit(BULK))

    assert outage.sent == (["credits"] * 4 + ["create"]) * 3


async def test_health_check_that_succeeds_starts_the_count_again(outage: Outage) -> None:
    """Three checks that failed in an earlier outage do not count in the next one."""
    outage.begin()
    outage.service.script("credits", "html_502", "html_502", "html_502", "ok")
    outage.service.script("create", "html_502")
    await failure(outage.submit(BULK))
    outage.begin()
    outage.service.always("credits", "html_502")
    await outage.submit(BULK)

    assert outage.sent == (["credits"] * 4 + ["create"]) * 2


async def test_poll_of_a_run_passes_though_the_health_check_fails(outage: Outage) -> None:
    """It costs nothing either."""
    outage.begin()
    outage.service.always("credits", "html_502")
    outage.service.always("details", "code_404")
    await failure(outage.poll(BULK))

    assert outage.sent == ["credits", "details"]


async def test_single_call_passes_without_a_health_check(outage: Outage) -> None:
    """It is one call, and its user waits for it."""
    outage.begin()
    await outage.submit(SINGLE)

    assert outage.sent == ["create"]


async def test_maintenance_ends_without_a_health_check(outage: Outage) -> None:
    """The API answers, and says that nothing was created."""
    outage.caller.circuit_breaker.trip(mp4gen.MaintenanceError("Maintenance.", code=455), 300)
    await outage.submit(BULK)

    assert outage.sent == ["create"]


async def test_is_up_asks_each_time(outage: Outage) -> None:
    """An earlier answer says nothing about now."""
    found = [await outage.caller.is_up() for _ in range(3)]
    outage.service.always("credits", "html_502")
    found.append(await outage.caller.is_up())

    assert found == [True, True, True, False]
    assert outage.sent == ["credits"] * 4


async def test_is_up_asks_once_more_for_calls_that_come_during_a_check(outage: Outage) -> None:
    """A check that had begun before them counts for them only if it succeeds."""
    up = await asyncio.gather(*(outage.caller.is_up() for _ in range(5)))
    outage.service.always("credits", "html_502")
    asked = len(outage.sent)
    down = await asyncio.gather(*(outage.caller.is_up() for _ in range(5)))

    assert (up, down) == ([True] * 5, [False] * 5)
    assert (asked, len(outage.sent) - asked) == (1, 2)

"""The breaker of submits: open after twenty different ones failed, with none answered between."""

import asyncio

import pytest

import mp4gen
from mp4gen.transport.breakers import SubmitBreaker
from mp4gen.transport.sleeper import Sleeper
from tests.support_async import now

pytestmark = pytest.mark.looptime
FAILURE = mp4gen.TransportError("No response.", sent=True)


def fail(breaker: SubmitBreaker, number: int) -> None:
    """Let `number` submits fail."""
    for _ in range(number):
        breaker.record_first_failure(FAILURE, probe_interval=30)


@pytest.mark.parametrize("earlier", [0, 20])
async def test_twentieth_failure_in_a_row_opens_it(earlier: int) -> None:
    """Up to nineteen can be the fault of their tracks; a response starts the count again."""
    breaker = SubmitBreaker(Sleeper())
    fail(breaker, earlier)
    breaker.record_response()
    fail(breaker, 19)
    before = breaker.breaker.is_open
    fail(breaker, 1)

    assert not before
    assert breaker.breaker.is_open


async def test_error_of_a_held_back_submit_says_that_none_is_accepted() -> None:
    """Other calls get through, so the API is not down."""
    breaker = SubmitBreaker(Sleeper())
    fail(breaker, 20)
    with pytest.raises(mp4gen.TransportError) as caught:
        async with breaker.breaker.permit(0):
            pass

    assert str(caught.value).startswith("The API accepts no submits: No response.")


async def test_later_failures_do_not_put_off_the_next_probe() -> None:
    """It is due thirty seconds after the twentieth failure."""
    breaker = SubmitBreaker(Sleeper())
    fail(breaker, 20)
    await asyncio.sleep(20)
    fail(breaker, 5)
    async with breaker.breaker.permit(3600) as probe:
        assert probe
        assert now() == pytest.approx(30)


async def test_close_of_the_client_ends_the_wait_of_a_submit() -> None:
    """Its sleeper is that of the client."""
    sleeper = Sleeper()
    breaker = SubmitBreaker(sleeper)
    fail(breaker, 20)
    asyncio.get_running_loop().call_later(1, sleeper.close)
    with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
        async with breaker.breaker.permit(3600):
            pass

    assert now() == pytest.approx(1)

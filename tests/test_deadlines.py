"""The `timeout` of single calls: their deadline, whatever they wait for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

import mp4gen
from mp4gen.testing import FakeService
from tests.support_async import failure, now

pytestmark = pytest.mark.looptime
REQUEST = mp4gen.VideoRequest("music", "track")
Call = Callable[..., Awaitable[object]]
CREATE: Call = lambda client, **kwargs: client.create_music_video(REQUEST, **kwargs)  # noqa: E731
FETCHES: dict[Any, Call] = {
    "details": lambda client, **kwargs: client.get_music_video_details("t", **kwargs),
    "tracks": lambda client, **kwargs: client.get_tracks("music", **kwargs),
    "lyrics": lambda client, **kwargs: client.get_timestamped_lyrics("music", "track", **kwargs),
    "credits": lambda client, **kwargs: client.get_credits(**kwargs),
}
CALLS = FETCHES | {"create": CREATE}
each_call = pytest.mark.parametrize(("endpoint", "call"), CALLS.items(), ids=CALLS)
each_fetch = pytest.mark.parametrize(("endpoint", "call"), FETCHES.items(), ids=FETCHES)


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with FakeService() as service:
        yield service


@each_call
async def test_failing_call_ends_at_its_deadline(
    service: FakeService, endpoint: Any, call: Call
) -> None:
    """The error is a timeout of ours and of Python, and its cause is the last failure."""
    service.always(endpoint, "code_500")
    async with service.client() as client:
        start = now()
        error = await failure(call(client, timeout=7.5))
        elapsed = now() - start

    assert type(error) is mp4gen.RequestTimeoutError
    assert isinstance(error, mp4gen.TransportError)
    assert isinstance(error, TimeoutError)
    assert elapsed == pytest.approx(7.5, abs=0.1)
    assert isinstance(error.__cause__, mp4gen.ServerError)
    assert str(error) == f"No result within 7.5 s: the last attempt failed. {error.__cause__}"
    assert service.count(endpoint) > 1


@each_call
async def test_wait_for_the_rate_limit_counts(
    service: FakeService, endpoint: Any, call: Call
) -> None:
    """A call whose slot comes too late is not sent."""
    async with service.client(rate_limit=mp4gen.RateLimit(1, per=1000)) as client:
        await client.get_credits()
        sent = service.count()
        start = now()
        error = await failure(call(client, timeout=5))

        assert now() - start == pytest.approx(5, abs=0.1)
    assert type(error) is mp4gen.RequestTimeoutError
    assert (error.sent, service.count()) == (False, sent)
    assert str(error).startswith("No result within 5 s: the call was not sent yet. Wait for")


@each_fetch
async def test_call_without_a_response_ends_at_its_deadline(
    service: FakeService, endpoint: Any, call: Call
) -> None:
    """The deadline may be shorter than `Retry.request_timeout`."""
    service.always(endpoint, "hang")
    async with service.client() as client:
        start = now()
        error = await failure(call(client, timeout=2))

        assert now() - start == pytest.approx(2, abs=0.1)
    assert type(error) is mp4gen.RequestTimeoutError
    assert error.sent
    assert "the server has not responded" in str(error)


@pytest.mark.parametrize("fault", ["hang", "reset_after_accept"])
async def test_submit_that_may_have_arrived_is_uncertain(service: FakeService, fault: Any) -> None:
    """The video may be paid for: the error must not say that nothing happened."""
    service.always("create", fault)
    events: list[mp4gen.Event] = []
    async with service.client(on_event=events.append) as client:
        error = await failure(client.create_music_video(REQUEST, timeout=5))

    assert type(error) is mp4gen.SubmitUncertainError
    assert error.request == REQUEST
    assert events[-1] == mp4gen.FailedEvent(None, error)


async def test_deadline_frees_the_slot_when_the_call_can_arrive_no_more(
    service: FakeService,
) -> None:
    """A call that was cut off counts while it can still arrive; one that was not sent, never."""
    service.script("credits", "hang")
    async with service.client(rate_limit=mp4gen.RateLimit(1, per=10)) as client:
        start = now()
        await failure(client.get_credits(timeout=2))
        await failure(client.get_credits(timeout=2))
        await client.get_credits()

        # The request may arrive within `Retry.request_timeout`, and then counts for a window.
        assert now() - start == pytest.approx(40, abs=0.5)


async def test_call_in_time_returns_its_value(service: FakeService) -> None:
    """A deadline changes nothing for a call that meets it."""
    service.script("credits", "code_500", "reset")
    async with service.client() as client:
        assert await client.get_credits(timeout=60) == 1000
        assert await client.create_music_video(REQUEST, timeout=60)


async def test_retry_still_ends_a_call_before_its_deadline(service: FakeService) -> None:
    """The deadline is a second limit; the last failure is raised as without it."""
    service.always("credits", "code_500")
    async with service.client(retry=mp4gen.Retry(timeout=5)) as client:
        start = now()
        error = await failure(client.get_credits(timeout=60))

        assert now() - start <= 5.1
    assert type(error) is mp4gen.ServerError


@each_call
@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "5", True])
async def test_invalid_timeout_sends_nothing(
    service: FakeService, endpoint: Any, call: Call, timeout: Any
) -> None:
    """An invalid timeout is refused before anything is sent."""
    async with service.client() as client:
        error = await failure(call(client, timeout=timeout))

    assert isinstance(error, mp4gen.ConfigurationError)
    assert str(error) == f"Invalid timeout: {timeout!r}. Use a number of seconds above 0."
    assert service.count() == 0

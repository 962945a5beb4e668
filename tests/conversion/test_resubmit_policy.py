"""Whether a lost submit is sent again: the user's choice, the dialect, the host's own word."""

import asyncio
from typing import Any

import pytest

import mp4gen
from mp4gen.testing import FakeService
from tests.support_async import failure, now

pytestmark = pytest.mark.looptime

REQUEST = mp4gen.VideoRequest("music", "track")
UNKNOWN = mp4gen.Dialect.for_url("http://unknown")
SUNO, KIE = mp4gen.Dialect.SUNO, mp4gen.Dialect.KIE


@pytest.mark.parametrize(
    ("choice", "dialect", "announces", "resubmits"),
    [
        ("resubmit", UNKNOWN, False, True),
        ("resubmit", KIE, False, True),
        ("raise", UNKNOWN, True, False),
        ("raise", SUNO, False, False),
        (None, SUNO, False, True),
        (None, UNKNOWN, True, True),
        (None, KIE, True, True),
        (None, UNKNOWN, False, False),
        (None, KIE, False, False),
    ],
)
async def test_choice_comes_before_the_dialect_and_the_host(
    choice: Any, dialect: mp4gen.Dialect, announces: bool, resubmits: bool
) -> None:
    """The first response of the host is lost, so it must be asked before the submit is resent."""
    async with FakeService(dialect=dialect, announces_duplicates=announces) as service:
        service.script("create", "reset_after_accept")
        async with service.client(on_uncertain_submit=choice) as client:
            try:
                ended = (await client.convert(REQUEST)).adopted
            except mp4gen.SubmitUncertainError as error:
                ended = error.rejects_duplicates
    asked = choice is None and not dialect.rejects_duplicates

    assert service.count("create") == 1 + resubmits
    assert ended is (resubmits or dialect.rejects_duplicates)
    assert service.count("credits") == int(asked)
    assert len(service.tasks) == 1


async def test_host_is_asked_once_for_many_lost_submits() -> None:
    """Twenty conversions wait for the same answer."""
    async with FakeService(dialect=UNKNOWN, announces_duplicates=True, rate_limit=None) as service:
        service.script("create", *["reset_after_accept"] * 20)
        async with service.client() as client:
            requests = [mp4gen.VideoRequest("music", str(n)) for n in range(20)]
            await asyncio.gather(*map(client.convert, requests))

    assert service.count("credits") == 1
    assert len(service.tasks) == 20


async def test_host_that_has_responded_without_the_word_is_not_asked() -> None:
    """Each response would have said it."""
    async with FakeService(dialect=UNKNOWN) as service, service.client() as client:
        await client.get_credits()
        service.script("create", "reset_after_accept")
        await failure(client.convert(REQUEST))

    assert service.count("credits") == 1
    assert service.count("create") == 1


async def test_page_of_a_gateway_says_nothing_about_the_host() -> None:
    """It carries no header of the API, and the API is asked."""
    async with FakeService(dialect=UNKNOWN, announces_duplicates=True) as service:
        service.script("create", "html_502_after_accept")
        async with service.client() as client:
            video = await client.convert(REQUEST)

    assert video.adopted
    assert service.count("credits") == 1


async def test_refusal_of_the_api_says_what_the_host_does() -> None:
    """Whatever the first response is, the host need not be asked again."""
    async with FakeService(dialect=UNKNOWN, announces_duplicates=True) as service:
        service.script("create", "code_500", "reset_after_accept")
        async with service.client() as client:
            video = await client.convert(REQUEST)

    assert video.adopted
    assert service.count("credits") == 0


async def test_host_that_never_answers_is_asked_once() -> None:
    """Then a lost submit ends at once instead of waiting for `Retry.timeout` each time."""
    async with FakeService(dialect=UNKNOWN) as service:
        service.always("*", "hang")
        retry = mp4gen.Retry(timeout=60, request_timeout=10)
        async with service.client(retry=retry) as client:
            first = await failure(client.convert(REQUEST))
            started = now()
            second = await failure(client.convert(REQUEST))

    assert type(first) is type(second) is mp4gen.SubmitUncertainError
    assert now() - started < 20
    assert service.count("create") == 2

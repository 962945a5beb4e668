"""Requests through an HTTP proxy, over real loopback sockets."""

from __future__ import annotations

import pytest

import mp4gen
from mp4gen import VideoRequest
from tests.support_proxy import RefusingProxy

pytestmark = pytest.mark.looptime
API = "https://api.example.com"


@pytest.mark.parametrize(("status", "text"), [(407, "user and a password (407)"), (403, "(403)")])
async def test_refusal_of_the_proxy_is_not_retried(status: int, text: str) -> None:
    """Failure mode 51: one CONNECT, nothing was sent, and the text says what to do."""
    async with (
        RefusingProxy(status) as proxy,
        mp4gen.Client("some-key", base_url=API, proxy=proxy.url) as client,
    ):
        with pytest.raises(mp4gen.ConfigurationError, match=r"^Refused by the proxy: ") as caught:
            await client.convert(VideoRequest("music", "track"))

    assert text in str(caught.value)
    # It would be aiohttp's error, which holds the headers of the request.
    assert caught.value.__context__ is None
    assert proxy.heads == ["CONNECT api.example.com:443 HTTP/1.1"]


async def test_plain_request_refused_by_the_proxy_is_not_retried() -> None:
    """Failure mode 51: a 407 to an http:// request is the proxy's, too."""
    async with (
        RefusingProxy(407) as proxy,
        mp4gen.Client(base_url="http://127.0.0.1:9", proxy=proxy.url) as client,
    ):
        with pytest.raises(mp4gen.ConfigurationError, match=r"password \(407\)"):
            await client.get_credits()

    assert proxy.heads == ["GET http://127.0.0.1:9/api/v1/generate/credit HTTP/1.1"]


async def test_other_answers_of_the_proxy_are_retried() -> None:
    """A proxy that cannot reach the host now is an outage; the text names the proxy."""
    retry = mp4gen.Retry(timeout=10)
    async with (
        RefusingProxy(502) as proxy,
        mp4gen.Client("some-key", base_url=API, proxy=proxy.url, retry=retry) as client,
    ):
        with pytest.raises(mp4gen.TransportError, match="the proxy answered 502") as caught:
            await client.create_music_video(VideoRequest("music", "track"))

    assert not caught.value.sent
    assert len(proxy.heads) > 2


async def test_unreachable_proxy_is_named() -> None:
    """The text does not blame the API's host."""
    async with RefusingProxy(502) as proxy:
        url = proxy.url
    retry = mp4gen.Retry(timeout=0)
    async with mp4gen.Client("some-key", base_url=API, proxy=url, retry=retry) as client:
        with pytest.raises(
            mp4gen.TransportError, match=r"the proxy cannot be reached \(Connection refused\)"
        ):
            await client.get_credits()

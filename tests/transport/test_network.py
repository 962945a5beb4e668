"""TLS settings and unencrypted keys, over real loopback sockets."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import mp4gen
from mp4gen.testing.media import tiny_mp4

pytestmark = pytest.mark.looptime
CERTIFICATE = Path(__file__).parents[1] / "support_self_signed.pem"


def resolve_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Make the running loop resolve every name to one address."""

    async def getaddrinfo(_: Any, port: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_unencrypted_key_never_reaches_a_public_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A private name that resolves to a public address is refused before it is connected to."""
    resolve_to(monkeypatch, "8.8.8.8")
    async with mp4gen.Client("k", base_url="http://studio.test:8787", allow_http=True) as client:
        with pytest.raises(mp4gen.ConfigurationError, match=r"to a public address: studio\.test"):
            await client.get_credits()


async def test_unencrypted_key_reaches_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client and our own server on two machines of one network."""
    resolve_to(monkeypatch, "127.0.0.1")
    async with mp4gen.testing.FakeService(api_key="sentinel") as service:
        url = f"http://studio.test:{service.url.rpartition(':')[2]}"
        async with mp4gen.Client("sentinel", base_url=url, allow_http=True) as client:
            assert await client.get_credits() > 0


async def test_ssl_context_is_used_for_calls_and_downloads(
    tmp_path: Path,
) -> None:
    """A self-signed certificate is trusted if the context trusts it."""
    content = tiny_mp4("a")

    async def credits_left(_: web.Request) -> web.Response:
        return web.json_response({"code": 200, "msg": "success", "data": 7})

    async def video(_: web.Request) -> web.Response:
        return web.Response(body=content, content_type="video/mp4")

    app = web.Application()
    app.add_routes([web.get("/api/v1/generate/credit", credits_left), web.get("/a.mp4", video)])
    runner = web.AppRunner(app)
    await runner.setup()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    trusting = ssl.create_default_context(cafile=CERTIFICATE)

    async with mp4gen.Client("k", base_url=url, ssl_context=trusting) as client:
        amount = await client.get_credits()
        path = await client.download(f"{url}/a.mp4", tmp_path / "a.mp4")
    await runner.cleanup()

    assert amount == 7
    assert path.read_bytes() == content


@pytest.mark.parametrize("value", [True, False, "cert.pem", 3])
def test_client_refuses_other_values_as_ssl_context(value: Any) -> None:
    """`False` would switch the verification off unnoticed."""
    with pytest.raises(mp4gen.ConfigurationError, match=r"Use an ssl\.SSLContext"):
        mp4gen.Client("k", ssl_context=value)

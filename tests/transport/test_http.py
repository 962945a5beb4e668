"""One HTTP request: bytes out, bytes in, capped; `sent` says whether a byte left."""

import asyncio
import gzip
import ssl
import traceback
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import mp4gen
from mp4gen.api.protocol import ApiRequest
from mp4gen.api.responses import MAX_BODY_BYTES
from mp4gen.secret import Secret
from mp4gen.testing import FakeService, ScriptedResponse
from mp4gen.testing.service import FAKE_KEY
from mp4gen.transport.http import Delivery, Transport, user_agent
from mp4gen.transport.network import Network
from mp4gen.transport.proxies import Proxy
from tests.support_proxy import ConnectionFault, FaultProxy, free_port, full_backlog

pytestmark = pytest.mark.looptime
SUBMIT = ApiRequest("POST", "/api/v1/mp4/generate", b'{"taskId":"m"}', is_submit=True)
POLL = ApiRequest("GET", "/api/v1/mp4/record-info?taskId=t")


def transport_to(url: str, key: str | None = FAKE_KEY) -> Transport:
    return Transport(url, lambda: None if key is None else Secret(key))


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with FakeService() as service:
        yield service


@pytest.fixture
async def transport(service: FakeService) -> AsyncIterator[Transport]:
    transport = transport_to(service.url)
    yield transport
    await transport.aclose()


async def failure(transport: Transport, call: ApiRequest, timeout: float = 30.0) -> Any:
    with pytest.raises(mp4gen.Mp4GenError) as caught:
        await transport.send(call, timeout)
    return caught.value


async def test_send_sends_the_documented_headers(
    service: FakeService, transport: Transport
) -> None:
    """The key, our user agent, and no other trace of the client."""
    await transport.send(SUBMIT, 30)
    await transport.send(POLL, 30)
    submit, poll = service.requests
    assert transport.has_sent

    assert (submit.key, poll.key) == (FAKE_KEY, FAKE_KEY)
    assert submit.body == SUBMIT.body
    assert submit.headers["user-agent"] == user_agent() == f"mp4gen/{mp4gen.__version__}"
    assert submit.headers["content-type"] == "application/json"
    assert "content-type" not in poll.headers
    assert set(poll.headers) <= {"host", "user-agent", "accept", "accept-encoding"}


@pytest.mark.parametrize("prefix", ["", "/", "/proxied/suno", "/proxied/suno/"])
async def test_send_appends_the_path_to_the_base_url(service: FakeService, prefix: str) -> None:
    """A slash at its end is not doubled."""
    transport = transport_to(service.url + prefix)
    await transport.send(POLL, 30)
    await transport.aclose()

    assert service.requests[0].path == f"{prefix.rstrip('/')}/api/v1/mp4/record-info"


async def test_send_without_key_sends_no_authorization(service: FakeService) -> None:
    """A server on this machine needs none."""
    transport = transport_to(service.url, None)
    await transport.send(POLL, 30)
    await transport.aclose()

    assert service.requests[0].key is None


async def test_refused_connection_sent_nothing() -> None:
    """Failure mode 1: no server listens, so the call was certainly not accepted."""
    port = free_port()
    transport = transport_to(f"http://127.0.0.1:{port}")
    error = await failure(transport, SUBMIT)
    await transport.aclose()

    assert type(error) is mp4gen.TransportError
    assert not error.sent
    assert str(error) == (
        f"Request to 127.0.0.1:{port} failed: connection refused. "
        "Start `mp4gen serve`, or check the port."
    )


async def test_unknown_host_sent_nothing() -> None:
    """Failure mode 9: certainly not accepted, and the text says what to check."""
    transport = transport_to("http://nowhere.invalid")
    error = await failure(transport, SUBMIT)
    await transport.aclose()

    assert not error.sent
    assert str(error) == (
        "Request to nowhere.invalid failed: "
        "the host name is unknown; check base_url and the network."
    )


async def test_connection_that_is_never_accepted_sent_nothing() -> None:
    """Failure mode 41: the handshake never ends, so the call was certainly not accepted."""
    with full_backlog() as url:
        transport = transport_to(url)
        error = await failure(transport, SUBMIT)
        await transport.aclose()

    assert not error.sent
    assert str(error) == (
        f"Request to {url.removeprefix('http://')} failed: no connection within 10 s. "
        "Check the network, the firewall and the proxy."
    )


async def end_by_cancel(_: Transport, call: asyncio.Task[Any]) -> None:
    call.cancel()


async def end_by_close(transport: Transport, _: asyncio.Task[Any]) -> None:
    await transport.aclose()


@pytest.mark.parametrize("end", [end_by_cancel, end_by_close])
async def test_delivery_is_known_when_a_call_ends_early(service: FakeService, end: Any) -> None:
    """Failure mode 41: False while the call was connecting, True once its head was sent."""
    service.script("create", "hang")
    sent = []
    with full_backlog() as connecting:
        for url in (connecting, service.url):
            transport, delivery = transport_to(url), Delivery()
            call = asyncio.create_task(transport.send(SUBMIT, 30, delivery))
            await asyncio.sleep(1)
            await end(transport, call)
            await asyncio.wait([call], timeout=1)
            assert call.done()
            if end is end_by_close:
                assert "failed: the client was closed." in str(call.exception())
            assert transport.has_sent == delivery.head_sent
            sent.append(delivery.head_sent)
            await transport.aclose()

    assert sent == [False, True]


async def test_delivery_is_known_when_the_key_source_raises(service: FakeService) -> None:
    """Failure mode 42: the key is read before the connection is made."""
    transport, delivery = Transport(service.url, {}.popitem), Delivery()  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        await transport.send(SUBMIT, 30, delivery)
    await transport.aclose()

    assert not delivery.head_sent


async def test_refused_tunnel_sent_nothing() -> None:
    """Only the proxy has seen a request, and it was not ours."""
    seen = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = Transport("https://api.example", lambda: Secret(FAKE_KEY), Network(Proxy(proxy)))
    error = await failure(transport, SUBMIT)
    await transport.aclose()
    server.close()
    await server.wait_closed()

    assert seen[0].startswith(b"CONNECT api.example:443")
    assert not error.sent


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_connection_cut_at_any_byte_may_have_sent(service: FakeService, how: Any) -> None:
    """Failure mode 2: cut after N bytes of the request, for every N: `sent` is True."""
    async with FaultProxy(service.url) as proxy:
        transport = transport_to(proxy.url)
        await transport.send(SUBMIT, 30)
        length = 400
        facts = set()
        for after in range(1, length, 7):
            proxy.script(ConnectionFault(upstream_bytes=after, kind=how))
            error = await failure(transport, SUBMIT) if after < 200 else None
            if error is not None:
                facts.add((type(error), error.sent))
        proxy.script(ConnectionFault(downstream_bytes=0, kind=how))
        facts.add((mp4gen.TransportError, (await failure(transport, SUBMIT)).sent))
        await transport.aclose()

    assert facts == {(mp4gen.TransportError, True)}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("reset", "no usable connection (Connection reset by peer)"),
        ("close_without_answer", "the server closed the connection without a response"),
        ("half_headers", "the server closed the connection without a response"),
        ("truncated", "the response was cut off"),
        ("garbage", "the response is not readable HTTP"),
        ("hang", "no response within 30 s"),
    ],
)
async def test_broken_response_is_described_in_words(
    service: FakeService, transport: Transport, fault: str, expected: str
) -> None:
    """The text is ours, not the library's, and `sent` is True."""
    service.script("create", fault)

    error = await failure(transport, SUBMIT)

    address = service.url.removeprefix("http://")
    assert str(error) == f"Request to {address} failed: {expected}."
    assert error.sent


async def test_response_cut_at_any_byte_is_a_typed_error(
    service: FakeService, transport: Transport
) -> None:
    """Failure mode 7: at every offset an error with `sent`, or the whole response."""
    service.script("details", ScriptedResponse())
    whole = await transport.send(POLL, 30)
    head = 180
    kinds = set()
    for end in range(0, head + len(whole.body), 3):
        service.clear()
        service.always("details", ScriptedResponse(truncate_at=end, connection="close"))
        try:
            kinds.add((await transport.send(POLL, 30)).body == whole.body)
        except mp4gen.TransportError as error:
            kinds.add(type(error))
        await asyncio.sleep(10)

    assert kinds <= {mp4gen.TransportError, True}
    assert mp4gen.TransportError in kinds


async def test_slow_response_ends_at_the_total_timeout(
    service: FakeService, transport: Transport
) -> None:
    """Failure mode 8: one byte a second does not extend the timeout."""
    service.script("create", ScriptedResponse(byte_delay=1.0))

    error = await failure(transport, SUBMIT, timeout=20)

    address = service.url.removeprefix("http://")
    assert str(error) == f"Request to {address} failed: no response within 20 s."
    assert asyncio.get_running_loop().time() == pytest.approx(20, abs=0.1)


async def test_submit_uses_a_new_connection(service: FakeService) -> None:
    """A kept-alive connection could have been dropped unnoticed."""
    async with FaultProxy(service.url) as proxy:
        transport = transport_to(proxy.url)
        for _ in range(3):
            await transport.send(SUBMIT, 30)
        submits = proxy.connections
        for _ in range(3):
            await transport.send(POLL, 30)
        await transport.aclose()

        assert submits == 3
        assert proxy.connections == 4


@pytest.mark.parametrize("fault", ["reset", "close_without_answer", "half_headers"])
async def test_broken_get_is_not_resent_by_aiohttp(
    service: FakeService, transport: Transport, fault: Any
) -> None:
    """By default aiohttp repeats a GET whose connection broke: two arrivals for one slot."""
    service.script("details", fault)

    error = await failure(transport, POLL)

    assert error.sent
    assert service.count() == 1


async def test_response_over_the_maximum_is_a_protocol_error(
    service: FakeService, transport: Transport
) -> None:
    """Failure mode 33: one MiB is the maximum, before and after inflating."""
    service.script("details", "huge", "gzip_bomb")
    plain = await failure(transport, POLL)
    squeezed = await failure(transport, POLL)

    assert type(plain) is type(squeezed) is mp4gen.ProtocolError
    expected = "Response too large: over 1048576 bytes. Check base_url."
    assert str(plain) == str(squeezed) == expected


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress])
async def test_compressed_response_is_inflated(
    service: FakeService, transport: Transport, squeeze: Any
) -> None:
    """The transport inflates it, up to the maximum."""
    body = b'{"code":200,"data":"' + b"x" * (MAX_BODY_BYTES - 100) + b'"}'
    name = "gzip" if squeeze is gzip.compress else "deflate"
    headers = {"Content-Encoding": name}
    service.script("details", ScriptedResponse(body=squeeze(body), headers=headers))

    assert (await transport.send(POLL, 30)).body == body


async def test_broken_compression_is_a_transport_error(
    service: FakeService, transport: Transport
) -> None:
    """The error of zlib does not escape."""
    reply = ScriptedResponse(body=b"no gzip at all", headers={"Content-Encoding": "gzip"})
    service.script("details", reply)

    error = await failure(transport, POLL)

    assert type(error) is mp4gen.TransportError
    assert error.sent


async def test_redirect_is_not_followed(service: FakeService, transport: Transport) -> None:
    """The key would go along."""
    service.script("details", "redirect")

    response = await transport.send(POLL, 30)

    assert response.status == 302
    assert service.count() == 1


async def test_response_that_repeats_the_key_is_redacted(
    service: FakeService, transport: Transport
) -> None:
    """Failure mode 34: in body and headers, so that no error that quotes them shows the key."""
    headers = {"X-Echo": f"Bearer {FAKE_KEY}"}
    service.script(
        "details", ScriptedResponse(body=f'{{"you":"{FAKE_KEY}"}}'.encode(), headers=headers)
    )

    response = await transport.send(POLL, 30)

    assert FAKE_KEY not in repr(response)
    assert response.headers["x-echo"] == "Bearer ***"


FAULTS = (
    "reset close_without_answer half_headers truncated garbage hang slow_drip huge gzip_bomb"
).split()


@pytest.mark.parametrize("fault", FAULTS)
async def test_traceback_does_not_show_the_key(
    service: FakeService, transport: Transport, fault: str
) -> None:
    """Failure mode 34: not even with the locals of every frame of every cause."""
    service.script("create", fault)
    call = ApiRequest("POST", SUBMIT.path, SUBMIT.body, is_submit=True)

    error = await failure(transport, call)
    shown_traceback = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = "".join(shown_traceback.format())

    assert FAKE_KEY not in shown
    assert "TransportError" in shown or "ProtocolError" in shown


async def test_cancelled_call_does_not_show_the_key(
    service: FakeService, transport: Transport
) -> None:
    """Failure mode 34: a cancel passes through frames of aiohttp whose locals hold the headers."""
    service.script("details", "hang")
    task = asyncio.create_task(transport.send(POLL, 30))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task

    shown_traceback = traceback.TracebackException.from_exception(caught.value, capture_locals=True)

    assert FAKE_KEY not in "".join(shown_traceback.format())


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "a\nb", "schlüssel", " ", "a\x00b"])
async def test_invalid_key_is_refused(service: FakeService, key: str) -> None:
    """Failure mode 35: before anything is sent, and without showing the key."""
    transport = transport_to(service.url, key)
    error = await failure(transport, POLL)
    await transport.aclose()

    assert type(error) is mp4gen.ConfigurationError
    assert "Invalid API key: it is empty or contains" in str(error)
    assert key.strip() == "" or key not in str(error)
    assert service.requests == []


async def test_send_raises_after_aclose(transport: Transport) -> None:
    """A second `aclose` does nothing."""
    await transport.aclose()
    await transport.aclose()

    error = await failure(transport, POLL)

    assert str(error) == "This client is closed. Create a new one."


async def test_aclose_ends_a_call_that_reads_its_response(
    service: FakeService, transport: Transport
) -> None:
    """The call does not wait for its own timeout."""
    service.script("details", "slow_drip")
    reading = asyncio.create_task(failure(transport, POLL, timeout=1000))
    await asyncio.sleep(5)
    start = asyncio.get_running_loop().time()
    await transport.aclose()
    error = await reading

    assert type(error) is mp4gen.TransportError
    assert asyncio.get_running_loop().time() - start < 1


async def test_send_raises_in_another_event_loop(transport: Transport) -> None:
    """Connections belong to one loop; without the check the call would hang."""
    await transport.send(POLL, 30)

    def elsewhere() -> str:
        try:
            asyncio.run(transport.send(POLL, 30))
        except mp4gen.ConfigurationError as error:
            return str(error)
        return ""

    assert "belongs to another event loop" in await asyncio.to_thread(elsewhere)


async def test_cookies_are_not_kept(service: FakeService, transport: Transport) -> None:
    """A call leaves no trace in the next one."""
    service.script("details", ScriptedResponse(headers={"Set-Cookie": "id=1"}, body=b"{}"))
    await transport.send(POLL, 30)
    await transport.send(POLL, 30)

    assert "cookie" not in service.requests[1].headers


@pytest.mark.parametrize(
    ("field", "count"),
    [("x" * 60_000, 1), ("x", 900), ("x" * 100, 129)],
    ids=["long", "many", "few"],
)
async def test_send_reads_large_headers(service: FakeService, field: str, count: int) -> None:
    """Failure mode 57: some hosts send long policies and more than 128 headers."""
    headers = {f"X-{number}": field for number in range(count)}
    service.script("details", ScriptedResponse(body=b"{}", headers=headers))
    transport = transport_to(service.url)
    response = await transport.send(POLL, 30)
    await transport.aclose()

    assert response.headers[f"x-{count - 1}"] == field


async def test_send_reads_a_long_status_line() -> None:
    """Failure mode 57: some gateways put their whole explanation into it."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 %b\r\nContent-Length: 2\r\n\r\n{}" % (b"x" * 60_000))
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        transport = transport_to(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        response = await transport.send(POLL, 30)
        await transport.aclose()

    assert (response.status, response.body) == (200, b"{}")


@pytest.mark.parametrize(("field", "count"), [("x" * 70_000, 1), ("x", 2000)])
async def test_unreadable_response_to_a_submit_is_uncertain(
    service: FakeService, field: str, count: int
) -> None:
    """Failure mode 57: the submit was sent, so it is not sent again to a host without 409."""
    headers = {f"X-{number}": field for number in range(count)}
    answer = ScriptedResponse(body=b"{}", headers=headers, take_effect=True)
    service.always("create", answer)
    async with service.client(on_uncertain_submit="raise") as client:
        with pytest.raises(mp4gen.SubmitUncertainError) as caught:
            await client.create_music_video(mp4gen.VideoRequest("music", "track"))

    assert "the response is not readable HTTP" in str(caught.value.__cause__)
    assert service.count("create") == len(service.tasks) == 1


async def test_key_wins_over_netrc(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """With `trust_env` aiohttp reads netrc; its entry is not sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    transport = Transport(service.url, lambda: Secret(FAKE_KEY), Network(trust_env=True))
    await transport.send(POLL, 30)
    await transport.aclose()

    assert service.requests[0].key == FAKE_KEY


@pytest.mark.parametrize("by_environment", [False, True])
async def test_send_uses_the_proxy(
    monkeypatch: pytest.MonkeyPatch, *, by_environment: bool
) -> None:
    """An http:// proxy gets the whole URL, from the argument or the environment."""
    seen: list[str] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        seen.append(request.raw_path if hasattr(request, "raw_path") else str(request.rel_url))
        return web.json_response({"code": 200})

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    proxy = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    url = "http://api.example.com"
    if by_environment:
        transport = Transport(url, lambda: None, Network(trust_env=True))
    else:
        transport = Transport(url, lambda: None, Network(Proxy(proxy)))
    response = await transport.send(POLL, 30)
    await transport.aclose()
    await runner.cleanup()

    assert response.status == 200
    assert seen[0].startswith("http://api.example.com/api/v1")


async def test_untrusted_certificate_is_not_retried() -> None:
    """Nothing was sent, and the text says what to check."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).parents[1] / "support_self_signed.pem")
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", ssl=tls)
    port = server.sockets[0].getsockname()[1]
    async with mp4gen.Client("some-key", base_url=f"https://127.0.0.1:{port}") as client:
        start = asyncio.get_running_loop().time()
        with pytest.raises(mp4gen.ConfigurationError) as caught:
            await client.convert(mp4gen.VideoRequest("music", "track"))
        spent = asyncio.get_running_loop().time() - start
    server.close()
    await server.wait_closed()

    assert str(caught.value) == (
        "Invalid TLS certificate of 127.0.0.1: self-signed certificate. Check base_url, this "
        "machine's clock and the authorities that it trusts (ssl_context, --ca-file)."
    )
    assert spent < 1

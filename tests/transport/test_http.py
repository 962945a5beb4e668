"""One HTTP call: bytes out, bytes in, capped; and whether anything was sent is a fact."""

import asyncio
import gzip
import socket
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
from mp4gen.testing import FakeService, ScriptedResponse
from mp4gen.testing.service import FAKE_KEY
from mp4gen.transport.http import Secret, Transport, user_agent
from tests.support_proxy import ConnectionFault, FaultProxy

pytestmark = pytest.mark.looptime
SUBMIT = ApiRequest("POST", "/api/v1/mp4/generate", b'{"taskId":"m"}', is_submit=True)
LOOK = ApiRequest("GET", "/api/v1/mp4/record-info?taskId=t")


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def test_what_goes_out(service: FakeService, transport: Transport) -> None:
    """The key in each call, a user agent of our own, nothing else that tells of us."""
    await transport.send(SUBMIT, 30)
    await transport.send(LOOK, 30)
    submit, look = service.requests

    assert (submit.key, look.key) == (FAKE_KEY, FAKE_KEY)
    assert submit.body == SUBMIT.body
    assert submit.headers["user-agent"] == user_agent()
    assert submit.headers["content-type"] == "application/json"
    assert "content-type" not in look.headers
    assert set(look.headers) <= {"host", "user-agent", "accept", "accept-encoding"}


async def test_without_a_key_none_is_sent(service: FakeService) -> None:
    """A server on this machine may do without."""
    transport = transport_to(service.url, None)
    await transport.send(LOOK, 30)
    await transport.aclose()

    assert service.requests[0].key is None


async def test_row_01_a_refused_connection_sent_nothing() -> None:
    """Nobody listens: certainly not accepted."""
    transport = transport_to(f"http://127.0.0.1:{free_port()}")
    error = await failure(transport, SUBMIT)
    await transport.aclose()

    assert type(error) is mp4gen.TransportError
    assert not error.sent
    assert str(error) == ("Request to 127.0.0.1 failed: no usable connection (Connection refused).")


async def test_row_09_an_unknown_host_sent_nothing() -> None:
    """The name is not known: certainly not accepted, and the text says what to check."""
    transport = transport_to("http://nowhere.invalid")
    error = await failure(transport, SUBMIT)
    await transport.aclose()

    assert not error.sent
    assert str(error) == (
        "Request to nowhere.invalid failed: "
        "the host name is unknown; check base_url and the network."
    )


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_row_02_a_connection_cut_at_any_byte_may_have_sent(
    service: FakeService, how: Any
) -> None:
    """Cut after N bytes of the request, for every N: sent, whatever arrived; never a raw error."""
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
        ("garbage", "no usable connection (ClientResponseError)"),
        ("hang", "no response within 30 s"),
    ],
)
async def test_broken_answers_are_told_in_plain_words(
    service: FakeService, transport: Transport, fault: str, expected: str
) -> None:
    """What happened, never the library's own text; and the request was sent."""
    service.script("create", fault)

    error = await failure(transport, SUBMIT)

    assert str(error) == f"Request to 127.0.0.1 failed: {expected}."
    assert error.sent


async def test_row_07_an_answer_cut_at_any_byte_of_all(
    service: FakeService, transport: Transport
) -> None:
    """Head and body, every offset: a typed error that says it was sent, or the whole answer."""
    service.script("details", ScriptedResponse())
    whole = await transport.send(LOOK, 30)
    head = 180
    kinds = set()
    for end in range(0, head + len(whole.body), 3):
        service.clear()
        service.always("details", ScriptedResponse(truncate_at=end, connection="close"))
        try:
            kinds.add((await transport.send(LOOK, 30)).body == whole.body)
        except mp4gen.TransportError as error:
            kinds.add(type(error))
        await asyncio.sleep(10)

    assert kinds <= {mp4gen.TransportError, True}
    assert mp4gen.TransportError in kinds


async def test_row_08_a_dripping_answer_ends_at_the_total_timeout(
    service: FakeService, transport: Transport
) -> None:
    """One byte a second keeps no call alive: the limit is for all of it."""
    service.script("create", ScriptedResponse(byte_delay=1.0))

    error = await failure(transport, SUBMIT, timeout=20)

    assert str(error) == "Request to 127.0.0.1 failed: no response within 20 s."
    assert asyncio.get_running_loop().time() == pytest.approx(20, abs=0.1)


async def test_an_idle_connection_that_died_makes_no_false_doubt(service: FakeService) -> None:
    """Submits go out on connections of their own, so that none can have been dropped unseen."""
    async with FaultProxy(service.url) as proxy:
        transport = transport_to(proxy.url)
        for _ in range(3):
            await transport.send(SUBMIT, 30)
        submits = proxy.connections
        for _ in range(3):
            await transport.send(LOOK, 30)
        await transport.aclose()

        assert submits == 3
        assert proxy.connections == 4


@pytest.mark.parametrize("fault", ["reset", "close_without_answer", "half_headers"])
async def test_nothing_is_sent_twice_behind_the_limiters_back(
    service: FakeService, transport: Transport, fault: Any
) -> None:
    """Left alone, aiohttp repeats a GET whose connection broke: two arrivals for one slot."""
    service.script("details", fault)

    error = await failure(transport, LOOK)

    assert error.sent
    assert service.count() == 1


async def test_row_33_an_answer_beyond_the_cap_is_not_read(
    service: FakeService, transport: Transport
) -> None:
    """A mebibyte, before and after inflating: whatever is more is not the API's."""
    service.script("details", "huge", "gzip_bomb")
    plain = await failure(transport, LOOK)
    squeezed = await failure(transport, LOOK)

    assert type(plain) is type(squeezed) is mp4gen.ProtocolError
    expected = "Response too large: over 1048576 bytes. Check base_url."
    assert str(plain) == str(squeezed) == expected


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress])
async def test_a_compressed_answer_is_inflated(
    service: FakeService, transport: Transport, squeeze: Any
) -> None:
    """By ourselves, within the cap."""
    body = b'{"code":200,"data":"' + b"x" * (MAX_BODY_BYTES - 100) + b'"}'
    name = "gzip" if squeeze is gzip.compress else "deflate"
    headers = {"Content-Encoding": name}
    service.script("details", ScriptedResponse(body=squeeze(body), headers=headers))

    assert (await transport.send(LOOK, 30)).body == body


async def test_a_broken_compression_is_a_typed_error(
    service: FakeService, transport: Transport
) -> None:
    """Not zlib's own."""
    reply = ScriptedResponse(body=b"no gzip at all", headers={"Content-Encoding": "gzip"})
    service.script("details", reply)

    error = await failure(transport, LOOK)

    assert type(error) is mp4gen.TransportError
    assert error.sent


async def test_redirects_are_answers(service: FakeService, transport: Transport) -> None:
    """No API call follows one: the key would go along."""
    service.script("details", "redirect")

    answer = await transport.send(LOOK, 30)

    assert answer.status == 302
    assert service.count() == 1


async def test_row_34_an_answer_that_repeats_the_key_loses_it(
    service: FakeService, transport: Transport
) -> None:
    """In the body and in the headers; so no error that quotes it can show the key."""
    headers = {"X-Echo": f"Bearer {FAKE_KEY}"}
    service.script(
        "details", ScriptedResponse(body=f'{{"you":"{FAKE_KEY}"}}'.encode(), headers=headers)
    )

    answer = await transport.send(LOOK, 30)

    assert FAKE_KEY not in repr(answer)
    assert answer.headers["x-echo"] == "Bearer ***"


FAULTS = (
    "reset close_without_answer half_headers truncated garbage hang slow_drip huge gzip_bomb"
).split()


@pytest.mark.parametrize("fault", FAULTS)
async def test_row_34_no_traceback_shows_the_key(
    service: FakeService, transport: Transport, fault: str
) -> None:
    """Not even with the locals of every frame, over the whole chain of causes."""
    service.script("create", fault)
    call = ApiRequest("POST", SUBMIT.path, SUBMIT.body, is_submit=True)

    error = await failure(transport, call)
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = "".join(told.format())

    assert FAKE_KEY not in shown
    assert "TransportError" in shown or "ProtocolError" in shown


async def test_row_34_a_cancelled_call_does_not_show_the_key(
    service: FakeService, transport: Transport
) -> None:
    """A cancel passes through the library's own frames, whose locals hold the headers."""
    service.script("details", "hang")
    task = asyncio.create_task(transport.send(LOOK, 30))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task

    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)

    assert FAKE_KEY not in "".join(told.format())


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "a\nb", "schlüssel", " ", "a\x00b"])
async def test_row_35_a_key_that_no_header_can_carry_is_refused(
    service: FakeService, key: str
) -> None:
    """Before anything is sent, and without showing it."""
    transport = transport_to(service.url, key)
    error = await failure(transport, LOOK)
    await transport.aclose()

    assert type(error) is mp4gen.ConfigurationError
    assert "Invalid API key: it is empty or contains" in str(error)
    assert key.strip() == "" or key not in str(error)
    assert service.requests == []


async def test_a_closed_transport_says_so(transport: Transport) -> None:
    """One sentence; closing twice is no fault."""
    await transport.aclose()
    await transport.aclose()

    error = await failure(transport, LOOK)

    assert str(error) == "This client is closed. Make a new one."


async def test_another_loop_is_refused(transport: Transport) -> None:
    """Connections belong to one loop; the text says so instead of hanging."""
    await transport.send(LOOK, 30)

    def elsewhere() -> str:
        try:
            asyncio.run(transport.send(LOOK, 30))
        except mp4gen.ConfigurationError as error:
            return str(error)
        return ""

    assert "belongs to another event loop" in await asyncio.to_thread(elsewhere)


async def test_cookies_are_neither_kept_nor_sent(
    service: FakeService, transport: Transport
) -> None:
    """A call leaves no trace in the next one."""
    service.script("details", ScriptedResponse(headers={"Set-Cookie": "id=1"}, body=b"{}"))
    await transport.send(LOOK, 30)
    await transport.send(LOOK, 30)

    assert "cookie" not in service.requests[1].headers


async def test_an_explicit_key_wins_over_netrc(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """With `trust_env` the library reads netrc; what it finds there is not sent in our place."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    transport = Transport(service.url, lambda: Secret(FAKE_KEY), trust_env=True)
    await transport.send(LOOK, 30)
    await transport.aclose()

    assert service.requests[0].key == FAKE_KEY


@pytest.mark.parametrize("by_environment", [False, True])
async def test_a_proxy_carries_the_call(
    monkeypatch: pytest.MonkeyPatch, *, by_environment: bool
) -> None:
    """An http:// proxy gets the whole address, whether it is given or the environment's."""
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
        transport = Transport(url, lambda: None, trust_env=True)
    else:
        transport = Transport(url, lambda: None, proxy=proxy)
    answer = await transport.send(LOOK, 30)
    await transport.aclose()
    await runner.cleanup()

    assert answer.status == 200
    assert seen[0].startswith("http://api.example.com/api/v1")


def test_a_secret_shows_as_stars() -> None:
    """In every way that a value is printed, save the one that puts it on the wire."""
    key = Secret(FAKE_KEY)

    assert FAKE_KEY not in f"{key!r} {[key]} { ({'k': key})!r}"
    assert str(key) == FAKE_KEY


async def test_a_certificate_that_is_not_trusted_ends_a_call_at_once() -> None:
    """Trying again makes none valid: nothing was sent, and the text says what to check."""
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
        "machine's clock and the authorities that it trusts (SSL_CERT_FILE)."
    )
    assert spent < 1

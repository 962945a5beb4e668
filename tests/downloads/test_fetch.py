"""One GET: no key, no cookie, no way into a private network (rows 31 and 33; the rest of 24)."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from mp4gen import ConfigurationError, DownloadError, Retry
from mp4gen.downloads.download import Download
from mp4gen.downloads.fetch import DownloadLimits, FileSessions, validate_url
from mp4gen.transport.http import user_agent
from tests.support_cdn import (
    IMMEDIATE_RETRY,
    MOVIE,
    FileHost,
    Response,
    download,
    file_sessions,
    names_in,
)

BRIEFLY = Retry(initial_delay=1e-4, max_delay=1e-3, timeout=0.01)
INVALID_LINK = "The video's link is not an http(s) URL. Pass a Video or its whole URL."
PUBLIC = DownloadLimits(allow_private=False, retry=IMMEDIATE_RETRY)


def moved(to: str, status: int = 302) -> Response:
    return Response(status=status, headers={"Location": to, "Content-Length": "0"})


async def why_not(d: Download, folder: Path) -> str:
    with pytest.raises(DownloadError) as caught:
        await d.save(folder / "movie.mp4")

    assert names_in(folder) == []
    return str(caught.value)


@pytest.fixture
async def sessions() -> AsyncIterator[FileSessions]:
    async with file_sessions() as opened:
        yield opened


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["/there.mp4", "there.mp4", "//{host}/there.mp4", "?a=b c#d"])
async def test_a_redirect_is_followed(
    sessions: FileSessions, tmp_path: Path, status: int, target: str
) -> None:
    """Of every kind, with an address of every kind."""
    async with FileHost() as host:
        host.script = [moved(target.format(host=f"127.0.0.1:{host.port}"), status)]
        path = await download(host, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE
    assert len(host.requests) == 2


async def test_three_redirects_are_followed(sessions: FileSessions, tmp_path: Path) -> None:
    """The fourth is one too many, and no fifth request is made."""
    async with FileHost(*[moved("/a")] * 3) as host:
        await download(host, sessions).save(tmp_path / "movie.mp4")
        (tmp_path / "movie.mp4").unlink()
        before = len(host.requests)
        host.script = [moved("/a")] * 9
        why = await why_not(download(host, sessions), tmp_path)

    assert why == "Too many redirects: 127.0.0.1 redirects more than 3 times."
    assert len(host.requests) - before == 4


async def test_a_redirect_keeps_the_range(sessions: FileSessions, tmp_path: Path) -> None:
    """A file that was cut is continued through the redirect."""
    cut = Response(
        headers={"ETag": '"a"', "Content-Length": str(len(MOVIE))}, body=MOVIE, truncate_at=99
    )
    rest = Response(
        status=206,
        headers={"Content-Range": f"bytes 99-{len(MOVIE) - 1}/{len(MOVIE)}"},
        body=MOVIE[99:],
    )
    async with FileHost(moved("/a"), cut, moved("/b"), rest) as host:
        path = await download(host, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE
    assert host.offsets == [0, 0, 99, 99]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("file:///etc/passwd", INVALID_LINK),
        ("ftp://example.com/x", INVALID_LINK),
        ("https://", INVALID_LINK),
        ("http://[", "127.0.0.1 redirects to an invalid URL."),
        ("http://h:0/", INVALID_LINK),
        ("http://h:99999/", INVALID_LINK),
    ],
)
async def test_a_redirect_to_no_web_address_is_refused(
    sessions: FileSessions, tmp_path: Path, target: str, why: str
) -> None:
    """At once."""
    async with FileHost(moved(target)) as host:
        problem = await why_not(download(host, sessions), tmp_path)

    assert problem == why


async def test_a_redirect_without_an_address_is_no_file(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """And is told as what it is."""
    async with FileHost(Response(status=302)) as host:
        why = await why_not(download(host, sessions), tmp_path)

    assert why == "The host refused the file: 127.0.0.1 answered 302."


FORMS = (
    "http://127.0.0.1/ http://[::1]/ http://0.0.0.0/ http://[::ffff:127.0.0.1]/ http://[::]/ "
    "http://169.254.169.254/latest/meta-data http://10.0.0.1/ http://172.16.0.1/ "
    "http://192.168.0.1/ http://2130706433/ http://0177.0.0.1/ http://0x7f.0.0.1/ http://127.1/ "
    "http://[fe80::1%25lo]/ http://localhost/ http://localhost./ http://LOCALHOST/ "
    "http://LocalHost.:80/ http://a.localhost/ http://[::ffff:7f00:1]/ http://[64:ff9b::7f00:1]/ "
    "https://user:password@127.0.0.1/"
).split()


@pytest.mark.parametrize("url", FORMS)
async def test_a_private_address_is_refused_in_every_form(
    sessions: FileSessions, tmp_path: Path, url: str
) -> None:
    """Row 31: by its text, before anything is opened; also where a redirect leads there."""
    async with FileHost() as host:
        why = await why_not(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert why.startswith("The video's link leads to a private address: ")
    assert host.requests == []


@pytest.mark.parametrize("url", ["http://①②⑦.0.0.1:{}/", "http://127。0。0。1:{}/", "http://①:{}/"])
async def test_a_private_address_in_fancy_digits_is_refused(
    sessions: FileSessions, tmp_path: Path, url: str
) -> None:
    """The text looks like a name; what is connected to is checked again."""
    async with FileHost() as host:
        one = download(host, sessions, url=url.format(host.port), limits=PUBLIC)
        why = await why_not(one, tmp_path)

    assert "private address" in why or "not an http(s) URL" in why
    assert host.requests == []


class Names(AbstractResolver):
    """Resolves any name to what the test says, each time to the next."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(hostname=host, host=ip, port=port, family=family, proto=0, flags=0)
            for ip in found
        ]

    async def close(self) -> None:
        pass


def resolved(sessions: FileSessions, names: Names, *, private: bool = False) -> None:
    """Let `sessions` ask `names` instead of DNS, without its cache."""
    session, _ = sessions.session_for("http://files.example.com", allow_private=private)
    assert isinstance(session.connector, aiohttp.TCPConnector)
    session.connector._resolver = names
    session.connector._use_dns_cache = False


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["127.0.0.1", "::1"], ["10.0.0.1", "127.0.0.1"], ["169.254.169.254"]],
    ids=" ".join,
)
async def test_a_name_of_a_private_address_is_refused(
    sessions: FileSessions, tmp_path: Path, addresses: list[str]
) -> None:
    """With one address or several, of one kind or both; at once, and saying why."""
    async with FileHost() as host:
        resolved(sessions, Names(addresses))
        url = f"http://files.example.com:{host.port}/movie.mp4"
        tries: list[object] = []
        one = download(
            host, sessions, url=url, limits=PUBLIC, on_retry=lambda e, _: tries.append(e)
        )
        why = await why_not(one, tmp_path)

    assert why.startswith("The video's link leads to a private address: files.example.com.")
    assert host.requests == tries == []


async def test_a_name_that_turns_private_is_refused(sessions: FileSessions, tmp_path: Path) -> None:
    """Rebinding: what counts is the address that is connected to, not one of a moment ago."""
    async with FileHost() as host:
        names = Names(["192.0.2.1"], ["127.0.0.1"])
        resolved(sessions, names)
        await names.resolve("files.example.com")
        url = f"http://files.example.com:{host.port}/movie.mp4"
        why = await why_not(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert "leads to a private address: files.example.com." in why
    assert host.requests == []


async def test_a_redirect_into_a_private_network_is_refused(
    sessions: FileSessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a host that itself was fine, by address and by name."""
    for module in ("addresses", "downloads.fetch"):
        monkeypatch.setattr(f"mp4gen.{module}.is_public", lambda host: host != "127.0.0.2")
    async with FileHost() as host:
        host.script = [moved(f"http://127.0.0.2:{host.port}/")]
        by_address = await why_not(download(host, sessions, limits=PUBLIC), tmp_path)
        host.script = [moved(f"http://files.example.com:{host.port}/")]
        resolved(sessions, Names(["127.0.0.2"]))
        by_name = await why_not(download(host, sessions, limits=PUBLIC), tmp_path)

    assert "leads to a private address: 127.0.0.2." in by_address
    assert "leads to a private address: files.example.com." in by_name
    assert len(host.requests) == 2


async def test_private_files_are_fetched_where_that_is_allowed(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """A server of one's own has its files there, by address and by name."""
    async with FileHost() as host:
        await download(host, sessions).save(tmp_path / "a.mp4")
        resolved(sessions, Names(["127.0.0.1"]), private=True)
        url = f"http://files.example.com:{host.port}/movie.mp4"
        await download(host, sessions, url=url).save(tmp_path / "b.mp4")

    assert names_in(tmp_path) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "movie.mp4",
        "/movie.mp4",
        "file:///etc/passwd",
        "ftp://example.com/x",
        "http://",
        "http:///x",
        "http://[",
        "http://[::1",
        "http://h:port/",
        "http://h:0/",
        "https://example.com/\nX-Header: 1",
        "https://example.com/\x1b[2J",
        f"https://{'a' * 64}.com/",
        f"http://{'.' * 4}/",
    ],
)
async def test_what_is_no_web_address_is_told(
    sessions: FileSessions, tmp_path: Path, url: str
) -> None:
    """In one sentence, without a try."""
    async with FileHost() as host:
        why = await why_not(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert why == INVALID_LINK


def test_the_host_is_what_a_message_may_show() -> None:
    """Neither the password nor the signature that a link can hold."""
    assert (
        validate_url("https://me:pw@Example.COM:8443/v?sig=1", allow_private=False) == "example.com"
    )


async def test_a_name_that_nobody_knows_is_asked_for_again(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """DNS is down at times; in the end the message says what was tried."""
    failures: list[str] = []

    class Down(Names):
        async def resolve(self, *_: Any, **__: Any) -> list[ResolveResult]:
            raise OSError(None, "DNS lookup failed")

    resolved(sessions, Down())
    async with FileHost() as host:
        one = download(
            host,
            sessions,
            url="https://files.example.com/x",
            limits=DownloadLimits(retry=BRIEFLY),
            on_retry=lambda e, _: failures.append(str(e)),
        )
        why = await why_not(one, tmp_path)

    expected = (
        "Cannot download from files.example.com: The host name is unknown, or the network is down."
    )
    assert set(failures) == {expected}
    assert why.startswith(f"{expected} Gave up")


async def test_a_refused_connection_is_tried_again(sessions: FileSessions, tmp_path: Path) -> None:
    """A host that restarts is back in a moment; one that is gone is told as such."""
    failures: list[str] = []
    async with FileHost() as host:
        url = host.url
    limits = DownloadLimits(allow_private=True, retry=BRIEFLY)
    one = download(
        host, sessions, url=url, limits=limits, on_retry=lambda e, _: failures.append(str(e))
    )

    why = await why_not(one, tmp_path)

    assert failures
    assert why.startswith("Cannot download from 127.0.0.1: Network error: no usable connection (")


@pytest.mark.parametrize(
    "raw",
    [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 2"],
    ids=["nothing", "garbage", "length", "half"],
)
async def test_what_is_no_http_is_tried_again(
    sessions: FileSessions, tmp_path: Path, raw: bytes
) -> None:
    """An answer without a head, or with an impossible one."""

    class Rude(FileHost):
        async def _send(self, response: Response, offset: int, writer: Any) -> None:
            if len(self.requests) > 1:
                await super()._send(response, offset, writer)
            else:
                writer.write(raw)
                writer.close()

    async with Rude() as host:
        path = await download(host, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE
    assert len(host.requests) in (2, 3)


@pytest.mark.looptime
async def test_a_trickling_head_is_no_answer(sessions: FileSessions, tmp_path: Path) -> None:
    """No single byte of it is late, and still it would take hours."""
    clock = asyncio.get_running_loop().time
    failures: list[str] = []

    class Trickles(FileHost):
        async def _send(self, response: Response, offset: int, writer: Any) -> None:
            if len(self.requests) > 1:
                await super()._send(response, offset, writer)
                return
            writer.write(b"HTTP/1.1 200 OK\r\nX-Reason: ")
            while True:
                writer.write(b"x")
                await asyncio.sleep(10)

    async with Trickles() as host:
        start = clock()
        one = download(host, sessions, on_retry=lambda e, _: failures.append(str(e)))
        path = await one.save(tmp_path / "movie.mp4")
        spent = clock() - start

    assert path.read_bytes() == MOVIE
    assert failures == ["Cannot download from 127.0.0.1: No answer for 60 s."]
    assert spent < 100


async def test_a_file_host_learns_nothing_about_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key, no cookie of an earlier answer, nothing of ~/.netrc, and a name of our own."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password sentinel\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("MP4GEN_API_KEY", "sentinel")
    cookie = {"Set-Cookie": "a=b", "Location": "/there", "Content-Length": "0"}
    async with (
        FileHost(Response(status=302, headers=cookie)) as host,
        file_sessions(trust_env=True) as sessions,
    ):
        # By a name, since no jar would keep a cookie of an address.
        resolved(sessions, Names(["127.0.0.1"]), private=True)
        url = f"http://files.example.com:{host.port}/movie.mp4"
        await download(host, sessions, url=url).save(tmp_path / "movie.mp4")

    assert [set(asked.headers) for asked in host.requests] == [
        {"host", "user-agent", "accept", "accept-encoding"}
    ] * 2
    assert {asked.headers["user-agent"] for asked in host.requests} == {user_agent()}


PROXIES = "http_proxy https_proxy all_proxy no_proxy".split()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.usefixtures("no_proxies")
async def test_an_environment_without_proxies_opens_no_private_network(tmp_path: Path) -> None:
    """`trust_env` by itself is no reason to skip the check of addresses."""
    async with FileHost() as host, file_sessions(trust_env=True) as sessions:
        resolved(sessions, Names(["127.0.0.1"]))
        url = f"http://files.example.com:{host.port}/movie.mp4"
        why = await why_not(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert "private address" in why


@pytest.mark.parametrize("how", ["argument", "environment"])
async def test_a_proxy_may_be_on_a_private_address(
    tmp_path: Path, no_proxies: pytest.MonkeyPatch, how: str
) -> None:
    """The proxy finds the host; it is told the whole address, and its own password."""
    async with FileHost() as proxy:
        at = f"http://me:pw@127.0.0.1:{proxy.port}"
        if how == "environment":
            no_proxies.setenv("http_proxy", at)
        settings = {"proxy": at} if how == "argument" else {"trust_env": True}
        async with file_sessions(**settings) as sessions:
            url = "http://files.example.com/movie.mp4"
            await download(proxy, sessions, url=url, limits=PUBLIC).save(tmp_path / "movie.mp4")

    assert proxy.requests[0].line == "GET http://files.example.com/movie.mp4 HTTP/1.1"
    assert "proxy-authorization" in proxy.requests[0].headers


@pytest.mark.parametrize("proxy", ["socks5://me:pw@127.0.0.1:9", "127.0.0.1:9", "nonsense"])
async def test_a_proxy_of_another_kind_is_told(tmp_path: Path, proxy: str) -> None:
    """Rather than spoken to in a language that it does not know; its password is not shown."""
    async with FileHost() as host, file_sessions(proxy=proxy) as sessions:
        with pytest.raises(ConfigurationError, match=r"^Invalid proxy: "):
            await download(host, sessions).save(tmp_path / "movie.mp4")

    assert names_in(tmp_path) == []


async def test_an_exception_from_the_proxy_is_checked_again(
    tmp_path: Path, no_proxies: pytest.MonkeyPatch
) -> None:
    """What `no_proxy` sends around the proxy goes out through checked sockets."""
    async with FileHost() as host, file_sessions(trust_env=True) as sessions:
        no_proxies.setenv("http_proxy", f"http://127.0.0.1:{host.port}")
        no_proxies.setenv("no_proxy", "files.example.com")
        resolved(sessions, Names(["127.0.0.1"]))
        url = f"http://files.example.com:{host.port}/movie.mp4"
        why = await why_not(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert "private address" in why
    assert host.requests == []


OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody but the test trusts, its key beside it."""
    if OPENSSL is None:
        pytest.skip("needs the openssl program")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test "
        "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    subprocess.run([OPENSSL, *command.split()], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem"


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let aiohttp trust the test's certificate for a while."""
    context = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)


async def test_a_certificate_that_nobody_vouches_for_ends_the_download(
    sessions: FileSessions, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    """At once: it will be no better in a minute."""
    async with FileHost(tls=tls) as host:
        why = await why_not(download(host, sessions), tmp_path)

    assert why == "Invalid TLS certificate: 127.0.0.1. Check the clock and the certificates here."
    assert host.requests == []


@pytest.mark.usefixtures("trusted")
async def test_a_file_comes_over_tls(
    sessions: FileSessions, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    """Also through a redirect that stays secure."""
    async with FileHost(moved("/there"), tls=tls) as host:
        path = await download(host, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE


@pytest.mark.usefixtures("trusted")
async def test_a_redirect_out_of_tls_is_refused(
    sessions: FileSessions, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    """Nothing goes on in the clear that began in secret."""
    async with FileHost() as plain, FileHost(moved(plain.url), tls=tls) as host:
        why = await why_not(download(host, sessions), tmp_path)

    assert why == "127.0.0.1 redirects from https to an unsafe URL."
    assert plain.requests == []


@pytest.mark.usefixtures("trusted")
async def test_a_redirect_into_tls_is_followed(
    sessions: FileSessions, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    """That is what many hosts do with an old link."""
    async with FileHost(tls=tls) as host, FileHost(moved(host.url)) as plain:
        path = await download(plain, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE

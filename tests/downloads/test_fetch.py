"""One GET: no key, no cookie, no way into a private network (failure modes 24, 31 and 33)."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from mp4gen import ConfigurationError, DownloadError, Retry
from mp4gen.downloads.download import Download
from mp4gen.downloads.fetch import DownloadLimits, FileSessions
from mp4gen.downloads.links import validate_url
from mp4gen.transport.http import user_agent
from mp4gen.transport.proxies import Proxy, resolve_proxy
from tests.support_cdn import (
    IMMEDIATE_RETRY,
    MOVIE,
    FileHost,
    Response,
    download,
    file_sessions,
    full_response,
    names_in,
    timed,
)
from tests.support_proxy import RefusingProxy

BRIEFLY = Retry(initial_delay=1e-4, max_delay=1e-3, timeout=0.01)
INVALID_LINK = "The video's link is not an http(s) URL. Pass a Video or its whole URL."
PUBLIC = DownloadLimits(allow_private=False, retry=IMMEDIATE_RETRY)


def redirect(url: str, status: int = 302) -> Response:
    return Response(status=status, headers={"Location": url, "Content-Length": "0"})


async def download_error(one: Download, folder: Path) -> str:
    with pytest.raises(DownloadError) as caught:
        await one.save(folder / "movie.mp4")

    assert names_in(folder) == []
    return str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["/there.mp4", "there.mp4", "//{host}/there.mp4", "?a=b c#d"])
async def test_fetch_follows_redirects(
    sessions: FileSessions, tmp_path: Path, status: int, target: str
) -> None:
    """Every redirect status and every form of URL is followed."""
    async with FileHost() as host:
        host.script = [redirect(target.format(host=f"127.0.0.1:{host.port}"), status)]
        path = await download(host, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE
    assert len(host.requests) == 2


async def test_fetch_follows_at_most_three_redirects(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """The fourth is refused, without a fifth request."""
    async with FileHost(*[redirect("/a")] * 3) as host:
        await download(host, sessions).save(tmp_path / "movie.mp4")
        (tmp_path / "movie.mp4").unlink()
        before = len(host.requests)
        host.script = [redirect("/a")] * 9
        message = await download_error(download(host, sessions), tmp_path)

    assert message == "Too many redirects: 127.0.0.1 redirects more than 3 times."
    assert len(host.requests) - before == 4


async def test_fetch_keeps_the_range_through_a_redirect(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """A cut file is resumed."""
    cut = Response(
        headers={"ETag": '"a"', "Content-Length": str(len(MOVIE))}, body=MOVIE, truncate_at=99
    )
    rest = Response(
        status=206,
        headers={"Content-Range": f"bytes 99-{len(MOVIE) - 1}/{len(MOVIE)}"},
        body=MOVIE[99:],
    )
    async with FileHost(redirect("/a"), cut, redirect("/b"), rest) as host:
        path = await download(host, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE
    assert host.offsets == [0, 0, 99, 99]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("file:///etc/passwd", INVALID_LINK),
        ("ftp://example.com/x", INVALID_LINK),
        ("https://", INVALID_LINK),
        ("http://[", "127.0.0.1 redirects to an invalid URL."),
        ("http://h:0/", INVALID_LINK),
        ("http://h:99999/", INVALID_LINK),
    ],
)
async def test_fetch_rejects_redirects_to_invalid_urls(
    sessions: FileSessions, tmp_path: Path, target: str, expected: str
) -> None:
    """The error is permanent."""
    async with FileHost(redirect(target)) as host:
        message = await download_error(download(host, sessions), tmp_path)

    assert message == expected


async def test_fetch_rejects_a_redirect_without_location(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """The error names its status."""
    async with FileHost(Response(status=302)) as host:
        message = await download_error(download(host, sessions), tmp_path)

    assert message == "The host refused the file: 127.0.0.1 answered 302."


SIGNED = (
    "/a%2fb%2Fc/%27x%27/%40me/~!$&'()*+,;=:@/d%7e/it%20is.mp4"
    '?X-Amz-Credential=AKIA%2F2026%2feu&sig=a%2bb+c%3d%3D&e=%zz&f=100%&g=[1]{2}|^`"<>\\&h=a/b?c'
)


def sent_path(host: FileHost) -> str:
    return host.requests[-1].line.removeprefix("GET ").removesuffix(" HTTP/1.1")


async def test_signed_link_is_requested_byte_for_byte(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """Failure mode 43: a rewritten signature is refused with 403."""
    async with FileHost() as host:
        url = f"http://127.0.0.1:{host.port}{SIGNED}"
        await download(host, sessions, url=url).save(tmp_path / "movie.mp4")

    assert sent_path(host) == SIGNED


@pytest.mark.parametrize("origin", ["http://{}", "HTTP://{}", "//{}", ""])
async def test_signed_link_behind_a_redirect_is_requested_byte_for_byte(
    sessions: FileSessions, tmp_path: Path, origin: str
) -> None:
    """Failure mode 43: the Location header counts as the host sent it, absolute or relative."""
    async with FileHost() as host:
        host.script = [redirect(origin.format(f"127.0.0.1:{host.port}") + SIGNED)]
        await download(host, sessions).save(tmp_path / "movie.mp4")

    assert sent_path(host) == SIGNED


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("x%2fy.mp4?s=%2b", "/deep/x%2fy.mp4?s=%2b"),
        ("../x%2fy.mp4", "/x%2fy.mp4"),
        ("?s=%2b'", "/deep/movie.mp4?s=%2b'"),
        ("/a/../b%2f", "/a/../b%2f"),
        ("/é ü%2f#part", "/%C3%A9%20%C3%BC%2f"),
        ("/\udce9%2f", "/%E9%2f"),
    ],
    ids=["name", "parent", "query", "dots", "characters", "latin-1"],
)
async def test_relative_redirect_keeps_what_it_does_not_resolve(
    sessions: FileSessions, tmp_path: Path, location: str, expected: str
) -> None:
    """Only what no request can carry is escaped; a fragment is never sent."""
    async with FileHost(redirect(location)) as host:
        url = f"http://127.0.0.1:{host.port}/deep/movie.mp4"
        await download(host, sessions, url=url).save(tmp_path / "movie.mp4")

    assert sent_path(host) == expected


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("/my song.mp4?a=b c", "/my%20song.mp4?a=b%20c"),
        ("/müzik/%C3%A9é.mp4", "/m%C3%BCzik/%C3%A9%C3%A9.mp4"),
        ("/x%2f#t=10", "/x%2f"),
        ("?sig=%2f", "/?sig=%2f"),
        ("", "/"),
    ],
)
async def test_link_with_characters_that_no_request_can_carry(
    sessions: FileSessions, tmp_path: Path, link: str, expected: str
) -> None:
    """Spaces and characters outside of ASCII are escaped, and existing escapes stay."""
    async with FileHost() as host:
        url = f"http://127.0.0.1:{host.port}{link}"
        await download(host, sessions, url=url).save(tmp_path / "movie.mp4")

    assert sent_path(host) == expected


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Security-Policy": "x" * 60_000},
        {f"X-Header-{number}": "y" * 40 for number in range(500)},
    ],
    ids=["long", "many"],
)
async def test_fetch_accepts_large_headers(
    sessions: FileSessions, tmp_path: Path, headers: dict[str, str]
) -> None:
    """Failure mode 57: above 8 KiB in one header, and more than 128 headers."""
    async with FileHost(full_response(**headers)) as host:
        path = await download(host, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE
    assert len(host.requests) == 1


FORMS = (
    "http://127.0.0.1/ http://[::1]/ http://0.0.0.0/ http://[::ffff:127.0.0.1]/ http://[::]/ "
    "http://169.254.169.254/latest/meta-data http://10.0.0.1/ http://172.16.0.1/ "
    "http://192.168.0.1/ http://2130706433/ http://0177.0.0.1/ http://0x7f.0.0.1/ http://127.1/ "
    "http://[fe80::1%25lo]/ http://localhost/ http://localhost./ http://LOCALHOST/ "
    "http://LocalHost.:80/ http://a.localhost/ http://[::ffff:7f00:1]/ http://[64:ff9b::7f00:1]/ "
    "https://user:password@127.0.0.1/"
).split()


@pytest.mark.parametrize("url", FORMS)
async def test_fetch_rejects_every_form_of_private_addresses(
    sessions: FileSessions, tmp_path: Path, url: str
) -> None:
    """Failure mode 31: by the text of the URL, before a connection is opened."""
    async with FileHost() as host:
        message = await download_error(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert message.startswith("The video's link leads to a private address: ")
    assert host.requests == []


@pytest.mark.parametrize("url", ["http://①②⑦.0.0.1:{}/", "http://127。0。0。1:{}/", "http://①:{}/"])
async def test_fetch_rejects_private_addresses_in_unicode_digits(
    sessions: FileSessions, tmp_path: Path, url: str
) -> None:
    """The text looks like a name, but the address is checked again at connect time."""
    async with FileHost() as host:
        one = download(host, sessions, url=url.format(host.port), limits=PUBLIC)
        message = await download_error(one, tmp_path)

    assert "private address" in message or "not an http(s) URL" in message
    assert host.requests == []


class Names(AbstractResolver):
    """Resolves any name to the test's addresses, each time to the next ones."""

    def __init__(self, *addresses: list[str]) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        return [
            ResolveResult(hostname=host, host=ip, port=port, family=family, proto=0, flags=0)
            for ip in found
        ]

    async def close(self) -> None:
        pass


def resolve_by(sessions: FileSessions, names: Names, *, private: bool = False) -> None:
    """Let `sessions` resolve by `names` instead of DNS, without a cache."""
    session, _ = sessions.session_for("http://files.example.com", allow_private=private)
    assert isinstance(session.connector, aiohttp.TCPConnector)
    session.connector._resolver = names
    session.connector._use_dns_cache = False


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["127.0.0.1", "::1"], ["10.0.0.1", "127.0.0.1"], ["169.254.169.254"]],
    ids=" ".join,
)
async def test_fetch_rejects_names_of_private_addresses(
    sessions: FileSessions, tmp_path: Path, addresses: list[str]
) -> None:
    """A single private address is enough; the error is permanent."""
    async with FileHost() as host:
        resolve_by(sessions, Names(addresses))
        url = f"http://files.example.com:{host.port}/movie.mp4"
        one = download(host, sessions, url=url, limits=PUBLIC)
        message = await download_error(one, tmp_path)

    assert message.startswith("The video's link leads to a private address: files.example.com.")
    assert host.requests == host.failures == []


async def test_fetch_rejects_a_name_that_becomes_private(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """DNS rebinding: the address at connect time decides, not an earlier one."""
    async with FileHost() as host:
        names = Names(["192.0.2.1"], ["127.0.0.1"])
        resolve_by(sessions, names)
        await names.resolve("files.example.com")
        url = f"http://files.example.com:{host.port}/movie.mp4"
        message = await download_error(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert "leads to a private address: files.example.com." in message
    assert host.requests == []


async def test_fetch_rejects_redirects_to_private_addresses(
    sessions: FileSessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public host cannot redirect there by address or by name."""
    for module in ("addresses", "downloads.links"):
        monkeypatch.setattr(f"mp4gen.{module}.is_public", lambda host: host != "127.0.0.2")
    async with FileHost() as host:
        host.script = [redirect(f"http://127.0.0.2:{host.port}/")]
        by_address = await download_error(download(host, sessions, limits=PUBLIC), tmp_path)
        host.script = [redirect(f"http://files.example.com:{host.port}/")]
        resolve_by(sessions, Names(["127.0.0.2"]))
        by_name = await download_error(download(host, sessions, limits=PUBLIC), tmp_path)

    assert "leads to a private address: 127.0.0.2." in by_address
    assert "leads to a private address: files.example.com." in by_name
    assert len(host.requests) == 2


async def test_fetch_accepts_private_addresses_if_allowed(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """The files of a self-hosted server, by address and by name."""
    async with FileHost() as host:
        await download(host, sessions).save(tmp_path / "a.mp4")
        resolve_by(sessions, Names(["127.0.0.1"]), private=True)
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
async def test_fetch_rejects_invalid_urls(sessions: FileSessions, tmp_path: Path, url: str) -> None:
    """The error is one sentence, and no request is sent."""
    async with FileHost() as host:
        message = await download_error(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert message == INVALID_LINK


def test_validate_url_returns_only_the_host() -> None:
    """The password and the signature of a link are left out."""
    assert (
        validate_url("https://me:pw@Example.COM:8443/v?sig=1", allow_private=False) == "example.com"
    )


async def test_fetch_retries_unknown_names(sessions: FileSessions, tmp_path: Path) -> None:
    """DNS is down at times; the last error says what failed."""

    class Down(Names):
        async def resolve(self, *_: Any, **__: Any) -> list[ResolveResult]:
            raise OSError(None, "DNS lookup failed")

    resolve_by(sessions, Down())
    async with FileHost() as host:
        one = download(
            host, sessions, url="https://files.example.com/x", limits=DownloadLimits(retry=BRIEFLY)
        )
        message = await download_error(one, tmp_path)

    expected = (
        "Cannot download from files.example.com: The host name is unknown, or the network is down."
    )
    assert set(host.failures) == {expected}
    assert message.startswith(f"{expected} Gave up")


async def test_fetch_retries_refused_connections(sessions: FileSessions, tmp_path: Path) -> None:
    """A host that restarts is back in a moment."""
    async with FileHost() as host:
        url = host.url
    limits = DownloadLimits(allow_private=True, retry=BRIEFLY)
    one = download(host, sessions, url=url, limits=limits)

    message = await download_error(one, tmp_path)

    assert host.failures
    assert message.startswith(
        "Cannot download from 127.0.0.1: Network error: connection refused. Start `mp4gen serve`"
    )


@pytest.mark.parametrize(
    "raw",
    [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 2"],
    ids=["nothing", "garbage", "length", "half"],
)
async def test_fetch_retries_on_invalid_http_responses(
    sessions: FileSessions, tmp_path: Path, raw: bytes
) -> None:
    """Responses without a head, or with an impossible one."""

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
async def test_fetch_retries_if_the_head_is_too_slow(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """No single byte of it is late, but the whole head would take hours."""

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
        one = download(host, sessions)
        path, seconds = await timed(one.save(tmp_path / "movie.mp4"))

    assert path.read_bytes() == MOVIE
    assert host.failures == ["Cannot download from 127.0.0.1: No response for 60 s."]
    assert seconds < 100


async def test_fetch_sends_no_key_cookie_or_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the environment, of ~/.netrc or of an earlier response, only our user agent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password sentinel\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("MP4GEN_API_KEY", "sentinel")
    cookie = {"Set-Cookie": "a=b", "Location": "/there", "Content-Length": "0"}
    async with (
        FileHost(Response(status=302, headers=cookie)) as host,
        file_sessions(trust_env=True) as sessions,
    ):
        # By name, since no cookie jar keeps a cookie of an address.
        resolve_by(sessions, Names(["127.0.0.1"]), private=True)
        url = f"http://files.example.com:{host.port}/movie.mp4"
        await download(host, sessions, url=url).save(tmp_path / "movie.mp4")

    assert [set(request.headers) for request in host.requests] == [
        {"host", "user-agent", "accept", "accept-encoding"}
    ] * 2
    assert {request.headers["user-agent"] for request in host.requests} == {user_agent()}


PROXIES = "http_proxy https_proxy all_proxy no_proxy".split()


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.usefixtures("no_proxies")
async def test_fetch_rejects_private_addresses_with_trust_env(tmp_path: Path) -> None:
    """Without a proxy, `trust_env` does not skip the check of addresses."""
    async with FileHost() as host, file_sessions(trust_env=True) as sessions:
        resolve_by(sessions, Names(["127.0.0.1"]))
        url = f"http://files.example.com:{host.port}/movie.mp4"
        message = await download_error(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert "private address" in message


@pytest.mark.parametrize("source", ["argument", "environment"])
async def test_fetch_accepts_a_private_proxy(
    tmp_path: Path, no_proxies: pytest.MonkeyPatch, source: str
) -> None:
    """The proxy resolves the host; it receives the whole URL and its own password."""
    async with FileHost() as proxy:
        proxy_url = f"http://me:pw@127.0.0.1:{proxy.port}"
        if source == "environment":
            no_proxies.setenv("http_proxy", proxy_url)
        proxy_settings: Any = (
            {"proxy": resolve_proxy(proxy_url)} if source == "argument" else {"trust_env": True}
        )
        async with file_sessions(**proxy_settings) as sessions:
            url = "http://files.example.com/movie.mp4"
            await download(proxy, sessions, url=url, limits=PUBLIC).save(tmp_path / "movie.mp4")

    assert proxy.requests[0].line == "GET http://files.example.com/movie.mp4 HTTP/1.1"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic bWU6cHc="


async def test_fetch_rejects_a_socks_proxy_of_the_environment(
    tmp_path: Path, no_proxies: pytest.MonkeyPatch
) -> None:
    """The error does not show the proxy's password."""
    no_proxies.setenv("ALL_PROXY", "socks5://me:pw@127.0.0.1:9")
    async with FileHost() as host, file_sessions(trust_env=True) as sessions:
        with pytest.raises(ConfigurationError, match=r"^Unsupported ALL_PROXY: a SOCKS proxy"):
            await download(host, sessions).save(tmp_path / "movie.mp4")

    assert names_in(tmp_path) == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_proxy_that_requires_a_password_ends_the_download(
    tmp_path: Path, scheme: str
) -> None:
    """Failure mode 51: 407 is reported at once, for tunnels and for plain requests."""
    url = f"{scheme}://files.example.com/movie.mp4"
    async with (
        FileHost() as host,
        RefusingProxy(407) as proxy,
        file_sessions(proxy=Proxy(proxy.url)) as sessions,
    ):
        message = await download_error(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert "Refused by the proxy: it requires a user and a password (407)." in message
    assert len(proxy.heads) == 1


async def test_fetch_checks_addresses_that_bypass_the_proxy(
    tmp_path: Path, no_proxies: pytest.MonkeyPatch
) -> None:
    """Hosts in `no_proxy` are connected to through checked sockets."""
    async with FileHost() as host, file_sessions(trust_env=True) as sessions:
        no_proxies.setenv("http_proxy", f"http://127.0.0.1:{host.port}")
        no_proxies.setenv("no_proxy", "files.example.com")
        resolve_by(sessions, Names(["127.0.0.1"]))
        url = f"http://files.example.com:{host.port}/movie.mp4"
        message = await download_error(download(host, sessions, url=url, limits=PUBLIC), tmp_path)

    assert "private address" in message
    assert host.requests == []


OPENSSL = shutil.which("openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that only the test trusts, with its key beside it."""
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
    """Let aiohttp trust the test's certificate during the test."""
    context = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)


async def test_fetch_does_not_retry_invalid_certificates(
    sessions: FileSessions, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    """A minute later the certificate is still invalid."""
    async with FileHost(tls=tls) as host:
        message = await download_error(download(host, sessions), tmp_path)

    assert (
        message == "Invalid TLS certificate: 127.0.0.1. Check the clock and the certificates here."
    )
    assert host.requests == []


@pytest.mark.usefixtures("trusted")
async def test_fetch_works_over_tls(
    sessions: FileSessions, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    """It also follows a redirect that stays secure."""
    async with FileHost(redirect("/there"), tls=tls) as host:
        path = await download(host, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE


@pytest.mark.usefixtures("trusted")
async def test_fetch_rejects_redirects_from_https_to_http(
    sessions: FileSessions, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    """The unsafe host receives no request."""
    async with FileHost() as plain, FileHost(redirect(plain.url), tls=tls) as host:
        message = await download_error(download(host, sessions), tmp_path)

    assert message == "127.0.0.1 redirects from https to an unsafe URL."
    assert plain.requests == []


@pytest.mark.usefixtures("trusted")
async def test_fetch_follows_redirects_from_http_to_https(
    sessions: FileSessions, tmp_path: Path, tls: ssl.SSLContext
) -> None:
    """Many hosts redirect old links like this."""
    async with FileHost(tls=tls) as host, FileHost(redirect(host.url)) as plain:
        path = await download(plain, sessions).save(tmp_path / "movie.mp4")

    assert path.read_bytes() == MOVIE

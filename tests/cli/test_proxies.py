"""The commands use the proxies of the environment, as curl does."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from mp4gen.testing import FakeService


class _Proxy(ThreadingHTTPServer):
    """Forwards plain GETs and POSTs; answers CONNECT with 407."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lines: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: _Proxy

    def log_request(self, *_: object) -> None:
        self.server.lines.append(self.requestline)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_CONNECT(self) -> None:
        self.send_error(407)

    def do_GET(self) -> None:
        with build_opener(ProxyHandler({})).open(self.path) as upstream:
            body = upstream.read()
            self.send_response(upstream.status)
            for name in ("Content-Type", "ETag"):
                if upstream.headers[name]:
                    self.send_header(name, upstream.headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def proxy() -> Iterator[_Proxy]:
    with _Proxy() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_command_and_its_download_use_the_proxy_of_the_environment(
    service: FakeService,
    mp4gen: Any,
    monkeypatch: pytest.MonkeyPatch,
    proxy: _Proxy,
    tmp_path: Path,
) -> None:
    """Failure mode 51: http_proxy needs no scheme; NO_PROXY and an empty --proxy switch it off."""
    task_id = mp4gen("create", "m", "a").out.strip()
    monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))

    by_proxy = mp4gen("wait", task_id, "--to", tmp_path / "a.mp4")
    lines, proxy.lines = proxy.lines, []
    switched_off = mp4gen("credits", "--proxy", "")
    monkeypatch.setenv("NO_PROXY", "localhost")
    excluded = mp4gen("credits")

    assert (by_proxy.code, switched_off.code, excluded.code) == (0, 0, 0)
    assert lines[0].startswith(f"GET {service.url}/api/v1/mp4/record-info")
    assert lines[-1].endswith(".mp4 HTTP/1.1")
    assert proxy.lines == []


def test_proxy_that_requires_a_password_is_reported_at_once(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, proxy: _Proxy
) -> None:
    """Failure mode 51: one request, one line, and nothing was sent to the API."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)

    ended = mp4gen("create", "m", "a", "--key", "k")

    assert ended.code == 2
    assert ended.err == (
        "mp4gen: Refused by the proxy: it requires a user and a password (407). "
        "Use http://user:password@host:port as its URL.\n"
    )
    assert proxy.lines == ["CONNECT api.invalid:443 HTTP/1.1"]


@pytest.mark.parametrize("how", ["variable", "option"])
def test_socks_proxy_is_refused(mp4gen: Any, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Failure mode 51: the text says which setting and what to do."""
    option = [] if how == "variable" else ["--proxy", "socks5://127.0.0.1:1"]
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")

    ended = mp4gen("credits", "--key", "k", *option)

    name = "ALL_PROXY" if how == "variable" else "proxy"
    assert ended.code == 2
    assert ended.err.startswith(f"mp4gen: Unsupported {name}: a SOCKS proxy. Use http://host:port")
    assert ended.err.count("\n") == 1

"""Failures that are retried are reported as they happen: what, why, and until when."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from mp4gen import RateLimitError, ServerError, TransportError
from mp4gen.cli.failure_reporter import FailureReporter, RetryLimit
from mp4gen.cli.host_names import _UNKNOWN_NAME, require_known_name
from mp4gen.cli.output import Output
from mp4gen.cli.runner import in_background
from mp4gen.events import Event, MaintenanceEvent, PausedEvent, PollEvent, RetryEvent
from mp4gen.testing import FakeService
from tests.support_proxy import free_port, full_backlog

REFUSED = TransportError("Request to x failed: no usable connection.", sent=False)
RETRY = RetryEvent("/p", REFUSED, 0.5)


def gateway_error() -> ServerError:
    error = ServerError("not a response of the API, HTTP 502: '<html>'", code=502)
    error.from_api = False
    return error


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            RetryEvent("/p", REFUSED, 0.5),
            "Request to x failed: no usable connection. Retrying until 12:05.",
        ),
        (
            RetryEvent("/p", ServerError("busy", code=500), 0.5),
            "The API answered 500: busy. Retrying until 12:05.",
        ),
        (
            RetryEvent("/p", gateway_error(), 0.5),
            (
                "A server answered 502, but not as the API does: a gateway, or another server. "
                "Check --base-url. Retrying until 12:05."
            ),
        ),
        (
            PausedEvent(10.0),
            "The API refused a call by its rate limit. Pausing for 10 s.",
        ),
        (MaintenanceEvent(300.0), "The API is down for maintenance. The next probe is in 5 min."),
        (RetryEvent("/p", RateLimitError("slow down", code=430), 0.0), None),
        (PollEvent("t", "PENDING", 1.0), None),
    ],
)
def test_retried_failure_is_reported_in_one_line(
    capsys: pytest.CaptureFixture[str], event: Event, line: str | None
) -> None:
    """The hint of an error is left out: it is for a failure that is final."""
    FailureReporter(Output(), now=lambda: datetime(2026, 1, 1, 12, tzinfo=UTC)).handle_event(event)

    assert capsys.readouterr().err == (f"{line}\n" if line else "")


def test_repeated_failure_is_reported_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """Each of 300 tracks meets the same outage."""
    now = 0.0
    reporter = FailureReporter(Output(), clock=lambda: now)

    for _ in range(300):
        reporter.handle_event(RetryEvent("/p", REFUSED, 0.5))
        now += 0.4

    assert capsys.readouterr().err.count("\n") == 2


def test_different_failures_are_limited(capsys: pytest.CaptureFixture[str]) -> None:
    """A text that changes each time does not flood the terminal."""
    reporter = FailureReporter(Output(), clock=lambda: 0.0)

    for number in range(300):
        error = TransportError(f"Request {number} failed.", sent=False)
        reporter.handle_event(RetryEvent("/p", error, 0.5))

    assert capsys.readouterr().err.count("\n") == 5


def test_outage_has_one_end(capsys: pytest.CaptureFixture[str]) -> None:
    """The time does not move with each retry, but a later outage has its own."""
    now = datetime(2026, 1, 1, 23, 58, tzinfo=UTC)
    reporter = FailureReporter(Output(), RetryLimit(600), clock=lambda: -1e9, now=lambda: now)
    for minute, event in enumerate([RETRY, RETRY, PollEvent("t", "PENDING", 1.0), RETRY]):
        now = datetime(2026, 1, 1, 23, 58, tzinfo=UTC) + timedelta(minutes=minute)
        reporter._printed.clear()
        reporter.handle_event(event)

    ends = re.findall(r"Retrying until (.....)", capsys.readouterr().err)
    assert ends == ["00:08", "00:08", "00:11"]


COMMANDS = [
    "credits",
    "create m a",
    "wait t",
    "details t",
    "tracks m",
    "download t --to v",
    "download {url}/files/x.mp4 --to v",
    "convert t.csv --to v",
    "convert --music-task m --to v",
    "convert t.csv --to v --dry-run",
]
ENDPOINTS = ("create", "details", "tracks", "credits", "file")


@contextmanager
def faulty(fault: str) -> Iterator[str]:
    """Yield the URL of a service that always has a fault."""
    with FakeService(rate_limit=None) as service:
        for endpoint in ENDPOINTS:
            service.always(endpoint, fault)
        yield service.url


SITUATIONS: dict[str, tuple[Any, str]] = {
    "dead": (
        lambda: nullcontext(f"http://127.0.0.1:{free_port()}"),
        "connection refused. Start `mp4gen serve`, or check the port. Retrying",
    ),
    "hole": (full_backlog, "No response from 127.0.0.1:{port} yet. Check the server, "),
    "503": (partial(faulty, "html_503"), "answered 503"),
    "slow": (partial(faulty, "hang"), "No response from 127.0.0.1:{port} yet. Check the server, "),
}


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_what_it_waits_for(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, situation: str
) -> None:
    """Each command reports what fails, why, until when it retries, and what to check."""
    monkeypatch.chdir(tmp_path)
    server, expected = SITUATIONS[situation]
    silence = 0.05 if expected.startswith("No response") else 60
    monkeypatch.setattr("mp4gen.cli.failure_reporter._SILENCE_SECONDS", silence)
    Path("t.csv").write_text("taskId,audioId\nm,a\n")
    printed = Output.status

    def interrupt_when_printed(self: Output, text: str) -> None:
        printed(self, text)
        if " until " in text or "Press Ctrl-C again" in text:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Output, "status", interrupt_when_printed)
    with server() as url:
        monkeypatch.setenv("MP4GEN_BASE_URL", url)
        ended = mp4gen(*command.format(url=url).split())

    assert ended.code == 130
    first_line = ended.err.splitlines()[0]
    assert expected.format(port=url.rpartition(":")[2]) in first_line
    assert re.search(r"Retrying .*until \d\d:\d\d\.$", first_line)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", sorted(_UNKNOWN_NAME))
def test_unknown_name_ends_each_command_at_once(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str, number: int
) -> None:
    """A name that does not exist is an invalid setting, not an outage."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MP4GEN_BASE_URL", "https://nowhere.example")
    monkeypatch.setenv("MP4GEN_API_KEY", "key")
    Path("t.csv").write_text("taskId,audioId\nm,a\n")

    def getaddrinfo(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(number, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ended = mp4gen(*command.format(url="https://nowhere.example").split())

    assert (ended.code, ended.err) == (
        2,
        "mp4gen: Unknown host name: nowhere.example. Check the URL and the network.\n",
    )


def test_unknown_name_of_the_proxy_ends_a_command_at_once(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--proxy foo` is the host foo. It looks up the other names, so they are not checked."""
    monkeypatch.setenv("MP4GEN_BASE_URL", "https://nowhere.example")
    monkeypatch.setenv("MP4GEN_API_KEY", "key")
    asked = []

    def getaddrinfo(host: str, *_: object, **__: object) -> NoReturn:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    ended = mp4gen("credits", "--proxy", "foo")

    assert (ended.code, asked) == (2, ["foo"])
    assert ended.err == (
        "mp4gen: Unknown host name of the proxy: foo. Check --proxy, the proxy variables of the "
        "environment, and the network.\n"
    )


@pytest.mark.parametrize("url", ["http://[::1", "https://", "http://a\0b", "https://a b/"])
def test_link_that_is_no_url_is_reported_by_the_client(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """An invalid URL is not looked up: the client reports it."""
    monkeypatch.setenv("MP4GEN_BASE_URL", "http://127.0.0.1:9")
    ended = mp4gen("download", url)

    assert ended.code in {1, 2}
    assert "bug in mp4gen" not in ended.err


@pytest.mark.looptime
@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_AGAIN, "Try again"), None])
async def test_unreachable_name_server_is_an_outage(
    monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    """Only a name server can say that a name does not exist; the client retries without one."""

    async def getaddrinfo(*_: object) -> None:
        if error is not None:
            raise error
        await asyncio.sleep(1000)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    await require_known_name("https://api.example")

    assert asyncio.get_running_loop().time() < 100


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("seconds", "event", "reported"), [(0.9, False, 0), (1.1, False, 1), (9, True, 0)]
)
async def test_silence_is_reported_after_a_second(
    capsys: pytest.CaptureFixture[str], seconds: float, event: bool, reported: int
) -> None:
    """A server that accepts the connection and does not answer is no failure yet."""
    reporter = FailureReporter(Output())

    async with in_background(reporter.report_silence("x.example")):
        await asyncio.sleep(0.5)
        if event:
            reporter.handle_event(PollEvent("t", "PENDING", 1.0))
        await asyncio.sleep(seconds - 0.5)

    assert capsys.readouterr().err.count("No response from x.example yet. Check") == reported

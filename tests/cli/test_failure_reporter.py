"""Failures that are retried are reported as they happen: what, why, and until when."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from mp4gen import RateLimitError, ServerError, TransportError
from mp4gen.cli.failure_reporter import FailureReporter
from mp4gen.cli.output import Output
from mp4gen.cli.runner import in_background
from mp4gen.events import Event, MaintenanceEvent, PausedEvent, PollEvent, RetryEvent
from mp4gen.testing import FakeService

REFUSED = TransportError("Request to x failed: no usable connection.", sent=False)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            RetryEvent("/p", REFUSED, 0.5),
            "Request to x failed: no usable connection. Retrying for up to 5 min.",
        ),
        (
            RetryEvent("/p", ServerError("busy", code=500), 0.5),
            "The API answered 500: busy. Retrying for up to 5 min.",
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
    FailureReporter(Output()).handle_event(event)

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


@pytest.mark.parametrize("command", ["credits", "create m a", "wait t", "convert t.csv --to v"])
def test_each_command_reports_a_failure_immediately(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """The line is there as soon as the first call has failed, long before the command gives up."""
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("taskId,audioId\nm,a\n")
    with FakeService() as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        for endpoint in ("credits", "create", "details"):
            service.always(endpoint, "reset")
        ctrl_c = threading.Thread(target=_interrupt_after_a_request, args=(service,))
        ctrl_c.start()
        ended = mp4gen(*command.split())
        ctrl_c.join()

    assert ended.code == 130
    assert re.search(
        r"^Request to 127.0.0.1 failed: .*\. Retrying for up to .*\.$", ended.err, re.MULTILINE
    )


def _interrupt_after_a_request(service: FakeService) -> None:
    pause = threading.Event()
    while not service.requests:
        pause.wait(0.01)
    # The client must notice that the connection broke, or that nothing comes.
    pause.wait(0.3)
    signal.raise_signal(signal.SIGINT)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("seconds", "event", "reported"), [(1.9, False, 0), (2.1, False, 1), (9, True, 0)]
)
async def test_silence_is_reported_after_two_seconds(
    capsys: pytest.CaptureFixture[str], seconds: float, event: bool, reported: int
) -> None:
    """A server that accepts the connection and does not answer is no failure yet."""
    reporter = FailureReporter(Output())

    async with in_background(reporter.report_silence("x.example")):
        await asyncio.sleep(1)
        if event:
            reporter.handle_event(PollEvent("t", "PENDING", 1.0))
        await asyncio.sleep(seconds - 1)

    assert capsys.readouterr().err.count("No response from x.example yet. Waiting.") == reported


def test_command_reports_a_server_that_does_not_answer(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, long before the request times out."""
    monkeypatch.setattr("mp4gen.cli.failure_reporter._SILENCE_SECONDS", 0.01)
    with FakeService() as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        service.always("credits", "hang")
        ctrl_c = threading.Thread(target=_interrupt_after_a_request, args=(service,))
        ctrl_c.start()
        ended = mp4gen("credits")
        ctrl_c.join()

    assert ended.code == 130
    assert ended.err == "No response from 127.0.0.1 yet. Waiting.\nmp4gen: Stopped.\n"

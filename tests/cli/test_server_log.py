"""The log of `mp4gen serve` on stderr."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mp4gen.cli.server_log import LogFormat, ServerLogHandler

KEY = "the-key-of-this-server"


@contextmanager
def logging_to(log_format: LogFormat) -> Iterator[logging.Logger]:
    """Yield a logger whose records reach stderr as those of the server do."""
    log = logging.Logger("mp4gen.server.test")  # noqa: LOG001 - the test's own
    log.addHandler(ServerLogHandler(log_format, [KEY, None]))
    yield log


def fail() -> None:
    try:
        Path(f"/nowhere/{KEY}").stat()
    except OSError as error:
        raise RuntimeError("The render broke.") from error


def test_text_keeps_the_cause_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The line names the error and its cause; the traceback follows, indented."""
    with logging_to("text") as log:
        try:
            fail()
        except RuntimeError:
            log.exception("a task failed")

    first, *rest = capsys.readouterr().err.splitlines()
    assert (
        ' ERROR a task failed cause="RuntimeError: The render broke. <- FileNotFoundError:' in first
    )
    assert any("in fail" in line for line in rest)
    assert all(line.startswith("  ") for line in rest)


def test_warning_with_a_cause_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A temporary failure needs no traceback."""
    with logging_to("text") as log:
        try:
            fail()
        except RuntimeError as error:
            log.warning("task=%s waits", "t1", exc_info=error)

    (line,) = capsys.readouterr().err.splitlines()
    assert 'task=t1 waits cause="RuntimeError' in line


def test_json_has_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Each record is an object with the fields of its event; an error has its traceback."""
    with logging_to("json") as log:
        log.info("GET /", extra={"fields": {"status": 200, "path": "/"}})
        try:
            fail()
        except RuntimeError:
            log.exception("a task\nfailed")

    access, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert access["message"] == "GET /"
    assert (access["level"], access["logger"]) == ("info", "mp4gen.server.test")
    assert (access["status"], access["path"]) == (200, "/")
    assert failed["message"] == "a task\nfailed"
    assert failed["error"].startswith("RuntimeError: The render broke. <- FileNotFoundError")
    assert any("in fail" in line for line in failed["traceback"])


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_server_log_shows_no_key(capsys: pytest.CaptureFixture[str], log_format: LogFormat) -> None:
    """Not in a message, an argument, a field, an error or a traceback."""
    with logging_to(log_format) as log:
        log.info("key %s", KEY, extra={"fields": {"path": f"/{KEY}", "list": [KEY]}})
        try:
            fail()
        except RuntimeError:
            log.exception(KEY)

    shown = capsys.readouterr().err
    assert KEY not in shown
    assert "***" in shown


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_record_controls_the_terminal(
    capsys: pytest.CaptureFixture[str], log_format: LogFormat
) -> None:
    """A file's name may contain anything."""
    with logging_to(log_format) as log:
        log.warning("track=%s", "a\x1b[2J\nb\x7f\ud800")

    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert all(char.isprintable() for char in shown[:-1])


def test_closed_stderr_does_not_stop_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of the log may be gone."""

    class Gone:
        lines: ClassVar[list[str]] = []

        def write(self, line: str) -> Any:
            self.lines.append(line)
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())

    with logging_to("text") as log:
        log.warning("one")
        log.warning("still here")

    assert [line.rpartition(" WARNING ")[2] for line in Gone.lines] == ["one\n", "still here\n"]


def test_warning_does_not_repeat_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """A cause whose text is in the message already is left out."""
    error = RuntimeError("The music is away.")
    error.__cause__ = OSError("Stale file handle")
    with logging_to("text") as log:
        log.warning("trouble=%r", "The music is away.", exc_info=error)
        log.warning("trouble=%r", "The music is away.", exc_info=RuntimeError("The music is away."))

    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("trouble='The music is away.' cause='OSError: Stale file handle'")
    assert second.endswith("trouble='The music is away.'")


def test_every_line_on_stderr_is_json(mp4gen: Any, tmp_path: Path) -> None:
    """Also the sentence that ends a server that cannot start."""
    (tmp_path / "music").mkdir()
    places = ("--music", tmp_path / "music", "--data", tmp_path / "music" / "data")

    ended = mp4gen("serve", *places, "--log-format", "json")

    (line,) = ended.err.splitlines()
    assert ended.code == 2
    assert json.loads(line)["level"] == "critical"
    assert "overlap" in json.loads(line)["message"]


def test_report_of_asyncio_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """Without free descriptors it reports each connection a hundred times a second."""
    handler = ServerLogHandler("text", [])
    log = logging.Logger("asyncio")  # noqa: LOG001 - the test's own
    log.addHandler(handler)

    for _ in range(100):
        log.error("socket.accept() out of system resource")
    log.error("Task exception was never retrieved")

    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(("later", "lines"), [(59, 1), (61, 2), (-3600, 2)])
def test_report_of_asyncio_is_repeated_each_minute(
    capsys: pytest.CaptureFixture[str], later: float, lines: int
) -> None:
    """Also after the clock was set back."""
    handler = ServerLogHandler("text", [])
    for seconds in (0, later):
        record = logging.makeLogRecord({"name": "asyncio", "msg": "socket.accept() failed"})
        record.created = 1.7e9 + seconds
        handler.emit(record)

    assert len(capsys.readouterr().err.splitlines()) == lines


def test_record_that_cannot_be_formatted_harms_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An error in the log must not become one of the request."""
    with logging_to("text") as log:
        log.warning("%d", "no number")
        log.warning("next")

    assert capsys.readouterr().err.endswith("WARNING next\n")

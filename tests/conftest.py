"""Fixtures and settings of all tests."""

import asyncio
import io
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from hypothesis import settings

from tests.support_sentinels import shown_in

# Elsewhere, modules that use these cannot be imported, or fail.
_NEEDS_LINUX = re.compile(
    r"^import (fcntl|pwd|resource)$|/proc/|/dev/|signal\.SIG(HUP|KILL|STOP|USR1)|os\.(fork|mkfifo)",
    re.MULTILINE,
)
if sys.platform != "linux":
    collect_ignore = [
        str(path)
        for path in Path(__file__).parent.rglob("test_*.py")
        if _NEEDS_LINUX.search(path.read_text(encoding="utf-8"))
    ]


@pytest.fixture(scope="session")
def sample() -> Callable[[str], bytes]:
    """Return a reader of the vendors' published examples, byte for byte."""
    folder = Path(__file__).parent / "samples"
    return lambda name: (folder / f"{name}.json").read_bytes()


class _VerboseFormatter(logging.Formatter):
    """Formats messages with their arguments, and errors with the local variables of each frame."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        record.exc_text = None  # pytest shows a usual traceback
        return text

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's own name
        # The lines of code contain no secret, and take most of the time of a whole traceback.
        options = {"capture_locals": True, "lookup_lines": False}
        errors = [traceback.TracebackException(*ei, **options)]  # type: ignore[misc]
        parts: list[str] = []
        for error in errors:
            parts += error.format_exception_only()
            parts += [value for frame in error.stack for value in (frame.locals or {}).values()]
            causes = (error.__cause__, error.__context__, *(error.exceptions or ()))
            errors += [cause for cause in causes if cause is not None]
        return "\n".join(parts)


@pytest.fixture(autouse=True)
def _assert_no_secret_logged() -> Iterator[None]:
    """Failure mode 34: no log line of any test, at DEBUG, shows a key, a password or a secret."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(_VerboseFormatter("%(name)s %(message)s %(args)r"))
    ours = logging.getLogger("mp4gen")
    loggers = [ours, logging.getLogger("aiohttp"), logging.getLogger("asyncio")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)
    assert shown_in(output.getvalue()) == []


@pytest.fixture(autouse=True)
def _seed_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every client the same jitter in every run."""
    monkeypatch.setattr("mp4gen.client.Random", lambda: Random("mp4gen"))


def pytest_configure(config: pytest.Config) -> None:
    """Set the event loop, Hypothesis, coverage and signals for the suite."""
    # Before Python 3.14, pytest-asyncio creates a loop here and does not close it. Its
    # ResourceWarning fails the test that runs at the next garbage collection.
    asyncio.set_event_loop(None)
    # The same examples in every run, on a machine of any speed.
    settings.register_profile("suite", deadline=None, derandomize=True)
    settings.load_profile("suite")
    # Coverage measures this process; the programs that tests start run at full speed.
    os.environ.pop("COVERAGE_PROCESS_START", None)
    # The programs that tests start would ignore what a background job or `nohup` ignores. A
    # handler is not inherited.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: None)

"""The package logs nowhere by itself, and to stderr with `MP4GEN_LOG`."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, logging, mp4gen
from mp4gen.testing import FakeService

async def main():
    async with FakeService() as service, service.client() as client:
        service.script("create", "reset", "ok")
        await client.convert(mp4gen.VideoRequest("music", "track"))

logging.getLogger("mp4gen.render").warning("from a part")
asyncio.run(main())
"""


def stderr(level: str | None, program: str = PROGRAM) -> list[str]:
    """Return the lines of a program's stderr."""
    environment = {name: value for name, value in os.environ.items() if name != "MP4GEN_LOG"}
    if level is not None:
        environment["MP4GEN_LOG"] = level
    ended = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return ended.stderr.splitlines()


@pytest.mark.slow
def test_package_logs_nowhere_by_itself() -> None:
    """Without a handler, Python would print the warnings of a library."""
    assert stderr(None) == []


@pytest.mark.slow
@pytest.mark.parametrize(("level", "polls"), [("info", 0), ("DEBUG", 1)])
def test_variable_writes_one_readable_line_an_event(level: str, polls: int) -> None:
    """Each line has the time, the level, the logger and the sentence of the event."""
    lines = stderr(level)

    form = re.compile(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING) mp4gen\S*: \S.*\."
    )
    assert [line for line in lines if not form.fullmatch(line)] == [
        line for line in lines if line.endswith("WARNING mp4gen.render: from a part")
    ]
    assert sum("submitted for audio track" in line for line in lines) == 1
    assert sum("failed, next attempt in" in line for line in lines) == 1
    assert min(1, sum("has the status" in line for line in lines)) == polls


def test_invalid_level_is_named() -> None:
    """The program itself goes on."""
    lines = stderr("loud", "import mp4gen")

    assert len(lines) == 1
    assert lines[0].endswith("WARNING mp4gen: Invalid MP4GEN_LOG: 'loud'. Use info or debug.")


def test_log_of_the_server_is_not_written_twice() -> None:
    """`mp4gen serve` has a handler of its own."""
    program = """
import logging, sys, mp4gen
server = logging.getLogger("mp4gen.server")
server.warning("first")
server.addHandler(logging.StreamHandler())
server.warning("second")
"""

    assert [line.rpartition(" ")[2] for line in stderr("info", program)] == ["first", "second"]

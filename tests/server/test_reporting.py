"""The lines of the log about tasks."""

import logging

import attrs
import pytest

from mp4gen.errors import RenderIOError
from mp4gen.server.queue.reporting import log_finished, log_trouble

from .conftest import FINISHED_TASK as TASK
from .conftest import NOW

FULL = RenderIOError("Cannot write video.mp4: No space left on device.")


def test_finished_task_is_one_line_with_its_values(caplog: pytest.LogCaptureFixture) -> None:
    """The same values are fields of a structured log; each warning has a line of its own."""
    caplog.set_level(logging.INFO, "mp4gen.server")
    started = attrs.evolve(TASK, started_at=NOW - 57.5)

    log_finished(started, 2.3456)

    line, warning = caplog.records
    assert line.getMessage() == (
        "task=1 state=done code=200 music_task='album' audio='one' waited=2.5s took=2.3s "
        "plays=1.5s size=5"
    )
    fields = {"task": "1", "state": "done", "code": 200, "seconds": 2.346}
    assert (line.levelno, line.fields) == (logging.INFO, fields)
    assert warning.levelno == logging.WARNING
    assert warning.getMessage() == "task=1 warning='The cover is small.'"


def test_failed_task_is_logged_with_its_error(caplog: pytest.LogCaptureFixture) -> None:
    """What a task without a video lacks is a dash; one that never started did not wait."""
    caplog.set_level(logging.INFO, "mp4gen.server")
    values = {"error_code": 451, "error_message": "Gone.", "duration": None, "size": None}
    failed = attrs.evolve(TASK, state="failed", warnings=(), **values)

    log_finished(failed, 0.0)
    log_finished(attrs.evolve(failed, started_at=failed.created_at - 1), 0.0)

    expected = (
        "task=1 state=failed code=451 music_task='album' audio='one' waited=0.0s took=0.0s "
        "plays=- size=- error='Gone.'"
    )
    assert caplog.messages == [expected, expected]
    assert caplog.records[0].fields["code"] == 451


@pytest.mark.parametrize(
    ("error", "is_new", "level"),
    [
        (FULL, True, logging.WARNING),
        (ZeroDivisionError("x"), True, logging.ERROR),
        (FULL, False, logging.DEBUG),
    ],
)
def test_trouble_is_logged_by_its_kind(
    error: Exception, is_new: bool, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A repeated failure is of no interest; one that nobody foresaw is an error."""
    caplog.set_level(logging.DEBUG, "mp4gen.server")

    log_trouble(TASK, "Full.", 2.0, error, is_new=is_new)

    (line,) = caplog.records
    assert (line.levelno, line.getMessage()) == (level, "task=1 waits=2s trouble='Full.'")
    assert line.exc_info[1] is error

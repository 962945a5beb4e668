"""The errors of calls that end at their deadline, or by an exception that nobody foresaw."""

import asyncio
import logging

import pytest

import mp4gen
from mp4gen.testing import FakeService
from mp4gen.transport.retried_call import before_deadline, late_error
from mp4gen.transport.unexpected import unexpected_error
from tests.support_async import failure, now

pytestmark = pytest.mark.looptime
SENT = "the server has not responded. Call again, or allow more time."
NOT_SENT = "the call was not sent yet. Wait for the rate limit, or check the connection."


@pytest.mark.parametrize(("sent", "reason"), [(True, SENT), (False, NOT_SENT)])
def test_late_error_says_whether_the_call_was_sent(sent: bool, reason: str) -> None:
    """A sent call may be answered late; one that was not needs its turn."""
    error = late_error(7.5, None, sent=sent)

    assert str(error) == f"No result within 7.5 s: {reason}"
    assert error.sent is sent
    assert error.__cause__ is None


async def test_call_with_a_deadline_says_that_it_was_sent() -> None:
    """The server has it, and is silent."""
    async with FakeService() as service, service.client() as client:
        service.script("credits", "hang")
        error = await failure(client.get_credits(timeout=5))

    assert str(error) == f"No result within 5 s: {SENT}"
    assert error.sent
    assert now() == pytest.approx(5, abs=0.1)


async def test_timeout_error_of_the_work_itself_passes() -> None:
    """It is not that of the deadline."""

    async def fail() -> None:
        raise TimeoutError("of the work")

    with pytest.raises(TimeoutError, match="of the work"):
        await before_deadline(5, fail(), lambda: mp4gen.Mp4GenError("late"))


async def test_work_that_ends_in_time_returns_its_result() -> None:
    """Just before its deadline."""
    found = await before_deadline(5, asyncio.sleep(4.9, "done"), lambda: mp4gen.Mp4GenError("late"))

    assert found == "done"


def test_unexpected_error_names_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    """The text is one line, and the log has the traceback."""
    cause = ValueError("not\na number.")
    error = unexpected_error(cause)
    [record] = caplog.records

    assert str(error).startswith("Unexpected ValueError: not")
    assert str(error).endswith(
        " a number. The log has its traceback; report it if it comes from no function of yours."
    )
    assert "\n" not in str(error)
    assert error.__cause__ is cause
    assert (record.name, record.levelno) == ("mp4gen", logging.ERROR)
    assert record.getMessage() == "Unexpected ValueError."
    assert record.exc_info is not None
    assert record.exc_info[1] is cause

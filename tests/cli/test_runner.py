"""A command's coroutine: signals that end it, and signals that it must not notice."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import Iterator

import pytest

from mp4gen.cli import runner
from mp4gen.cli.exit_codes import InterruptedBySignal
from mp4gen.cli.runner import run_in_thread

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def ignored(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """Ignore a signal, as `nohup` does before it starts a command."""
    number: signal.Signals = request.param
    before = signal.signal(number, signal.SIG_IGN)
    yield number
    signal.signal(number, before)


async def send(number: signal.Signals) -> int:
    signal.raise_signal(number)
    # The event loop reads its signals once a turn.
    for _ in range(5):
        await asyncio.sleep(0)
    return 0


@pytest.mark.parametrize("ignored", SIGNALS, indirect=True)
def test_signal_ignored_at_start_stays_ignored(ignored: signal.Signals) -> None:
    """Failure mode 44: the command goes on, and the signal is ignored afterwards, too."""
    assert runner.run(send(ignored)) == 0
    assert signal.getsignal(ignored) is signal.SIG_IGN


@pytest.mark.parametrize("ignored", SIGNALS, indirect=True)
def test_other_signals_still_end_the_command(ignored: signal.Signals) -> None:
    """One ignored signal does not protect a command from the others."""
    for number in set(SIGNALS) - {ignored}:
        with pytest.raises(InterruptedBySignal) as stopped:
            runner.run(send(number))
        assert stopped.value.code == 128 + number


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("convert t.csv --to v", "mp4gen convert t.csv --to v"),
        ("convert t.csv --key s3cret --to v", "mp4gen convert t.csv --to v"),
        ("convert t.csv --key=s3cret --to=~/v", "mp4gen convert t.csv '--to=~/v'"),
        ("convert t.csv --proxy http://me:s3cret@h:1 --to v", "mp4gen convert t.csv --to v"),
        ("convert t.csv --proxy=me:s3cret@h:1 --to v", "mp4gen convert t.csv --to v"),
        ("convert t.csv --proxy h:1 --to v", "mp4gen convert t.csv --proxy h:1 --to v"),
        ("convert t.csv --rate-limit redis://:s3cret@h --to v", "mp4gen convert t.csv --to v"),
        ("convert t.csv --rate-limit=redis://h?password=s3cret", "mp4gen convert t.csv"),
        ("convert t.csv --rate-limit 5/1", "mp4gen convert t.csv --rate-limit 5/1"),
        ("convert t.csv --to v --key", "mp4gen convert t.csv --to v"),
    ],
)
def test_suggested_command_contains_no_secret(words: str, expected: str) -> None:
    """It may end up in a log of a job."""
    token = runner.argv.set(tuple(words.split()))

    suggested = runner.resume_command()
    runner.argv.reset(token)

    assert suggested == expected


async def cancel_in_thread() -> None:
    """Cancel a function in a thread, which ends with an error because it was stopped."""
    started, stopped = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(started.set)
        stopped.wait()
        raise RuntimeError("stopped")

    task = asyncio.create_task(run_in_thread(work, on_cancel=stopped.set))
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def test_run_in_thread_logs_no_error_after_a_cancel(caplog: pytest.LogCaptureFixture) -> None:
    """The error of a function that was stopped is expected, and not logged."""
    asyncio.run(cancel_in_thread())
    gc.collect()

    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []

"""Signals wake the event loop on every system, and are as before afterwards."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from mp4gen.signals import STOP_SIGNALS, on_signal, reset

NUMBER = signal.SIGUSR1 if hasattr(signal, "SIGUSR1") else signal.SIGTERM


@pytest.fixture(params=["with", "without"])
def _loop_handlers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test in a loop that handles signals, and in one of Windows that does not."""

    def refuse(*_: object) -> None:
        raise NotImplementedError

    if request.param == "without":
        for name in ("add_signal_handler", "remove_signal_handler"):
            monkeypatch.setattr(asyncio.SelectorEventLoop, name, refuse)


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    before = signal.getsignal(NUMBER)
    yield
    signal.signal(NUMBER, before)


def receive(before: object) -> tuple[list[str], object]:
    """Return what was called for one signal, and the handler afterwards."""
    calls: list[str] = []

    async def main() -> None:
        received = asyncio.Event()

        def callback() -> None:
            calls.append("called")
            received.set()

        with on_signal(NUMBER, callback):
            signal.raise_signal(NUMBER)
            if before is not signal.SIG_IGN:
                await received.wait()
            await asyncio.sleep(0)

    signal.signal(NUMBER, before)  # type: ignore[arg-type]
    asyncio.run(main())
    return calls, signal.getsignal(NUMBER)


@pytest.mark.usefixtures("_loop_handlers")
def test_on_signal_calls_back_and_restores_the_handler() -> None:
    """The event loop is woken, and what was set before is set again."""

    def earlier(*_: object) -> None:
        raise AssertionError

    assert receive(earlier) == (["called"], earlier)


@pytest.mark.usefixtures("_loop_handlers")
def test_on_signal_leaves_ignored_signals_ignored() -> None:
    """Signals that are ignored stay ignored, as `nohup` requires."""
    assert receive(signal.SIG_IGN) == ([], signal.SIG_IGN)


@pytest.mark.usefixtures("_loop_handlers")
def test_reset_sets_the_default() -> None:
    """The next Ctrl-C raises KeyboardInterrupt, any other signal ends the process."""

    async def main() -> list[object]:
        with on_signal(NUMBER, print), on_signal(signal.SIGINT, print):
            reset(NUMBER)
            reset(signal.SIGINT)
            return [signal.getsignal(NUMBER), signal.getsignal(signal.SIGINT)]

    assert asyncio.run(main()) == [signal.SIG_DFL, signal.default_int_handler]


def test_stop_signals_are_those_of_the_system() -> None:
    """Windows has no SIGHUP, and Ctrl-Break instead."""
    assert signal.SIGINT in STOP_SIGNALS
    assert signal.SIGTERM in STOP_SIGNALS
    assert len(STOP_SIGNALS) == 3

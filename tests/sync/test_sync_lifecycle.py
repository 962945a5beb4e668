"""The thread of the blocking client: started by the first call, and ended by whatever comes."""

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import mp4gen
import mp4gen.sync
from mp4gen.testing import FakeService

REQUEST = mp4gen.VideoRequest("music", "track", author="Ada")
MakeClient = Callable[..., mp4gen.sync.Client]
NAME = "mp4gen.sync.Client"


def own_threads() -> list[threading.Thread]:
    """Return the threads of blocking clients."""
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def test_thread_lives_from_the_first_call_to_the_close(service: FakeService) -> None:
    """It is a daemon: a client that is never closed keeps no program alive."""
    client = service.sync_client()
    before = own_threads()

    with client:
        client.get_credits()
        client.get_credits()
        (during,) = own_threads()

    assert (before, own_threads()) == ([], [])
    assert during.daemon


def test_closed_client_refuses_calls(client: mp4gen.sync.Client) -> None:
    """A second close does nothing; a run that was made before can be closed."""
    run = client.convert_many([REQUEST])
    client.close()
    client.close()
    run.close()

    for call in (client.get_credits, lambda: list(run)):
        with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
            call()


def test_client_that_was_never_used_can_be_closed(service: FakeService) -> None:
    """Then it refuses calls, too, and another one may take its key."""
    client = service.sync_client()
    client.close()
    service.sync_client().close()

    with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
        client.get_credits()
    assert own_threads() == []


def test_close_ends_the_calls_of_other_threads(
    slow_service: FakeService, make_client: MakeClient
) -> None:
    """They get the error of a closed client."""
    submitted = threading.Event()
    client = make_client(slow_service, on_event=lambda _: submitted.set())

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.convert, REQUEST)
        submitted.wait(10)
        client.close()

        with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
            waiting.result(10)


def test_call_that_does_not_end_is_cancelled_by_close(
    monkeypatch: pytest.MonkeyPatch, client: mp4gen.sync.Client
) -> None:
    """An async function of the user may wait for ever; its caller gets the error all the same."""
    monkeypatch.setattr("mp4gen.sync.loop_thread._CALLS_TIMEOUT", 0.01)
    is_waiting = threading.Event()

    async def on_submitted(_: str) -> None:
        is_waiting.set()
        await asyncio.Event().wait()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.convert, REQUEST, on_submitted=on_submitted)
        is_waiting.wait(10)
        client.close()

        with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
            waiting.result(10)


def test_close_raises_what_its_clean_up_raises(
    monkeypatch: pytest.MonkeyPatch, service: FakeService
) -> None:
    """The thread ends all the same."""
    close = mp4gen.Client.aclose

    async def fail(client: mp4gen.Client) -> None:
        await close(client)
        raise OSError("disk")

    monkeypatch.setattr(mp4gen.Client, "aclose", fail)
    client = service.sync_client()
    client.get_credits()

    with pytest.raises(OSError, match="disk"):
        client.close()
    assert own_threads() == []


def test_close_from_the_own_thread_is_refused(
    service: FakeService, make_client: MakeClient
) -> None:
    """A close in the client's own thread would wait for itself."""
    errors: list[BaseException] = []

    def on_event(_: mp4gen.Event) -> None:
        try:
            client.close()
        except mp4gen.ConfigurationError as error:
            errors.append(error)

    client = make_client(service, on_event=on_event)
    client.convert(REQUEST)

    assert errors
    assert client.get_credits() == 999.0


def test_unclosed_client_warns_once_and_ends_its_thread(service: FakeService) -> None:
    """Also if it is part of a reference cycle, and whatever thread collects it."""

    class App:
        def __init__(self) -> None:
            self.client = service.sync_client(on_event=self.on_event)

        def on_event(self, _: mp4gen.Event) -> None:
            """Make a cycle: the client knows the app."""

    gc.collect()
    App().client.convert(REQUEST)
    (thread,) = own_threads()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
        thread.join(10)
        gc.collect()

    name = f"<mp4gen.sync.Client {service.url} (suno)>"
    assert [str(warning.message) for warning in caught] == [
        f"Unclosed client {name}. Call close(), or use a with statement."
    ]
    assert not thread.is_alive()


def test_unused_client_needs_no_close(service: FakeService) -> None:
    """A client that was never used has nothing open, and gives no warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        service.sync_client()
        gc.collect()

    assert caught == []


@pytest.mark.parametrize("started", [False, True])
def test_interrupted_start_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, client: mp4gen.sync.Client, started: bool
) -> None:
    """Ctrl-C while the thread starts leaves neither a second thread nor a dead client."""
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if started:
            start(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.get_credits()
    for thread in own_threads():
        thread.join(10)

    assert client.get_credits() == 1000.0
    assert len(own_threads()) == 1


def test_system_without_threads_is_named(
    monkeypatch: pytest.MonkeyPatch, client: mp4gen.sync.Client
) -> None:
    """The error is mp4gen's own, and the next call tries again."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(mp4gen.ConfigurationError, match="Cannot start the thread of"):
            client.get_credits()

    assert client.get_credits() == 1000.0


def test_connection_that_died_meanwhile_is_replaced(make_client: MakeClient) -> None:
    """A serverless function is frozen between two calls; its connections may be gone after it."""
    first = FakeService(rate_limit=None)
    with first:
        client = make_client(first, retry=mp4gen.Retry(initial_delay=0.01))
        before = client.get_credits()
    port = int(first.url.rpartition(":")[2])

    with FakeService(rate_limit=None, port=port):
        after = client.get_credits()
        video = client.convert(REQUEST)

    assert (before, after) == (1000.0, 1000.0)
    assert not video.adopted

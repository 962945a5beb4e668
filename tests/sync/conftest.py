"""What the tests of the blocking client share: a service in a thread, and a client of it."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

import mp4gen
import mp4gen.sync
from mp4gen.testing import FakeService

FAST = mp4gen.RateLimit(1000, per=0.001)
MakeClient = Callable[..., mp4gen.sync.Client]


@pytest.fixture(autouse=True)
def _assert_no_thread_left() -> Iterator[None]:
    """Each test closes or forgets its clients, and their threads end."""
    yield
    left = [one for one in threading.enumerate() if one.name == "mp4gen.sync.Client"]
    for thread in left:
        thread.join(10)
    assert [thread for thread in left if thread.is_alive()] == []


@pytest.fixture
def service() -> Iterator[FakeService]:
    """Run the API without a rate limit; its tasks take no time."""
    with FakeService(rate_limit=None) as running:
        running.music["music"] = [mp4gen.Track("music", "track")]
        yield running


@pytest.fixture
def slow_service() -> Iterator[FakeService]:
    """Run the API; its tasks never end, and clients poll them after 15 seconds."""
    with FakeService(rate_limit=None, duration=1e9) as running:
        yield running


@pytest.fixture
def make_client() -> Iterator[Callable[..., mp4gen.sync.Client]]:
    """Return a function that makes a client of a service; close all of them at the end."""
    made: list[mp4gen.sync.Client] = []

    def make(service: FakeService, **settings: object) -> mp4gen.sync.Client:
        made.append(service.sync_client(**{"rate_limit": FAST, **settings}))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(service: FakeService, make_client: MakeClient) -> mp4gen.sync.Client:
    return make_client(service)


@pytest.fixture
def ctrl_c() -> Callable[..., None]:
    """Return a function that interrupts the main thread once, as the terminal does."""
    if sys.platform == "win32":
        pytest.skip("no way to interrupt one thread")
    main, pressed = threading.main_thread().ident, []
    assert main is not None

    def press(*_: object) -> None:
        if not pressed:
            pressed.append(True)
            signal.pthread_kill(main, signal.SIGINT)

    return press

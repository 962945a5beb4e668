"""A bulk run of the blocking client: a plain `for`, whose iterable runs in the caller's thread."""

import gc
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import pytest

import mp4gen
import mp4gen.sync
from mp4gen.testing import FakeService

MakeClient = Callable[..., mp4gen.sync.Client]


def requests(number: int, name: str = "track") -> list[mp4gen.VideoRequest]:
    return [mp4gen.VideoRequest("music", f"{name}-{n}") for n in range(number)]


def audio_ids(conversions: Sequence[mp4gen.Conversion]) -> list[str]:
    return sorted(conversion.request.audio_id for conversion in conversions)


def test_for_yields_each_conversion(
    client: mp4gen.sync.Client, service: FakeService, tmp_path: Path
) -> None:
    """The run downloads as well, and counts."""
    run = client.convert_many(requests(12), ledger=tmp_path / "run.sqlite", download_to=tmp_path)

    found = list(run)

    assert audio_ids(found) == sorted(request.audio_id for request in requests(12))
    assert all(conversion.path is not None and conversion.path.exists() for conversion in found)
    assert run.summary == mp4gen.RunSummary(12, 0, 0, None)
    assert repr(run) == f"<mp4gen.sync.ConversionRun {run.summary}>"


def test_generator_runs_in_the_callers_thread(
    client: mp4gen.sync.Client, service: FakeService
) -> None:
    """It may block, use what belongs to that thread, and call the client."""
    service.music["other"] = [mp4gen.Track("other", f"track-{n}") for n in range(3)]
    threads = set()

    def tracks() -> Iterator[mp4gen.Track]:
        for music_task in ("music", "other"):
            threads.add(threading.current_thread())
            yield from client.get_tracks(music_task)

    with client.convert_many(tracks()) as run:
        found = [conversion.result() for conversion in run]

    assert len(found) == 4
    assert threads == {threading.current_thread()}


def test_async_iterable_runs_in_the_clients_thread(client: mp4gen.sync.Client) -> None:
    """An async iterable needs the client's loop, so it runs in the client's thread."""
    threads = set()

    async def tracks() -> AsyncIterator[mp4gen.VideoRequest]:
        for request in requests(3):
            threads.add(threading.current_thread().name)
            yield request

    assert len(list(client.convert_many(tracks()))) == 3
    assert threads == {"mp4gen.sync.Client"}


def test_length_of_an_iterable_counts_in_the_summary(client: mp4gen.sync.Client) -> None:
    """Also if it is not a collection of Python's own."""

    class Table:
        def __iter__(self) -> Iterator[mp4gen.VideoRequest]:
            return iter(requests(3))

        def __len__(self) -> int:
            return 3

    run = client.convert_many(Table())
    before = run.summary.remaining
    found = list(run)

    assert (before, len(found), run.summary.remaining) == (3, 3, 0)


def test_error_of_an_iterable_comes_after_the_results(client: mp4gen.sync.Client) -> None:
    """What was submitted before it is finished, and the rest counted."""

    def broken() -> Iterator[mp4gen.VideoRequest]:
        yield from requests(3)
        raise LookupError("row 4")

    with pytest.raises(LookupError, match="row 4"), client.convert_many(broken()) as run:
        list(run)

    assert run.summary.succeeded + run.summary.remaining == 3
    assert run.summary.stop_reason == "LookupError"


def test_failed_track_does_not_stop_the_rest(
    client: mp4gen.sync.Client, service: FakeService
) -> None:
    """A failed track's conversion has the error, and the other tracks go on."""
    service.script("create", "unknown_track")

    found = list(client.convert_many(requests(3)))

    assert [type(conversion.error) for conversion in found if conversion.error] == [
        mp4gen.NotFoundError
    ]


def test_error_that_stops_a_run_is_raised_after_the_last_result(
    client: mp4gen.sync.Client, service: FakeService
) -> None:
    """As with the async client, the error that stops a run comes after the last result."""
    service.always("create", "no_credits")

    with pytest.raises(mp4gen.InsufficientCreditsError), client.convert_many(requests(3)) as run:
        list(run)

    assert run.summary == mp4gen.RunSummary(0, 0, 3, "InsufficientCreditsError")


@pytest.mark.skipif(sys.platform == "win32", reason="no way to interrupt one thread")
def test_stop_ends_a_run_gracefully(
    slow_service: FakeService, make_client: MakeClient, tmp_path: Path
) -> None:
    """A signal handler may call it, while the main thread waits for a result."""
    polling = mp4gen.Polling(initial_delay=0.05, max_interval=0.05)
    client = make_client(slow_service, on_event=lambda _: press(), polling=polling)
    run = client.convert_many(requests(30), ledger=tmp_path / "run.sqlite")
    main = threading.main_thread().ident
    assert main is not None

    def press() -> None:
        signal.pthread_kill(main, signal.SIGTERM)

    def on_sigterm(*_: object) -> None:
        run.stop()
        for task in slow_service.tasks.values():
            task.finish()

    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        found = list(run)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert run.summary.stop_reason == "stop"
    assert len(found) + run.summary.remaining == 30


def test_run_keeps_its_client(service: FakeService) -> None:
    """A program need not keep the client itself; the warning comes when the run is forgotten."""
    limit = mp4gen.RateLimit(1000, per=0.001)

    def tracks() -> Iterator[mp4gen.VideoRequest]:
        for request in requests(3):
            gc.collect()
            yield request

    with pytest.warns(ResourceWarning, match="Unclosed client"):
        found = [run.error for run in service.sync_client(rate_limit=limit).convert_many(tracks())]

    assert found == [None] * 3


def test_second_iteration_is_refused(client: mp4gen.sync.Client) -> None:
    """A run is iterated once."""
    run = client.convert_many(requests(1))
    list(run)

    with pytest.raises(mp4gen.ConfigurationError, match="A run can be iterated only once"):
        list(run)


def test_left_loop_closes_its_run(
    client: mp4gen.sync.Client, service: FakeService, tmp_path: Path
) -> None:
    """After a `break`, the next run can use the ledger at once, and pays for nothing twice."""
    ledger = tmp_path / "run.sqlite"

    for _ in client.convert_many(requests(15), ledger=ledger):
        break
    found = list(client.convert_many(requests(15), ledger=ledger))

    assert len(found) == 15
    assert len(service.tasks) == 15


def test_abandoned_run_is_closed_by_the_garbage_collector(
    client: mp4gen.sync.Client, tmp_path: Path
) -> None:
    """Also if the collector runs in the client's own thread, which must not wait for itself."""
    ledger = tmp_path / "run.sqlite"
    results = iter(client.convert_many(requests(15), ledger=ledger))
    next(results)
    cycle: list[object] = [results]
    cycle.append(cycle)
    del results, cycle

    async def collect() -> None:
        gc.collect()

    client._thread.run(collect)
    while client._thread._calls:
        client.get_credits()

    assert len(list(client.convert_many(requests(15), ledger=ledger))) == 15


def test_ctrl_c_leaves_the_ledger_intact(
    slow_service: FakeService,
    make_client: MakeClient,
    ctrl_c: Callable[..., None],
    tmp_path: Path,
) -> None:
    """The next run with the ledger resumes what was submitted, and pays for nothing twice."""
    ledger = tmp_path / "run.sqlite"
    submitted = []

    def on_event(event: mp4gen.Event) -> None:
        submitted.append(event)
        if len(submitted) == 5:
            ctrl_c()

    client = make_client(slow_service, on_event=on_event)
    with pytest.raises(KeyboardInterrupt):
        list(client.convert_many(requests(20), ledger=ledger))
    left, paid = set(client._thread._calls), len(slow_service.tasks)
    client.close()
    for task in slow_service.tasks.values():
        task.finish()

    def finish(event: mp4gen.Event) -> None:
        if isinstance(event, mp4gen.SubmittedEvent):
            slow_service.tasks[event.task_id].finish()

    polling = mp4gen.Polling(initial_delay=0.02, max_interval=0.02)
    client = make_client(slow_service, on_event=finish, polling=polling)
    found = list(client.convert_many(requests(20), ledger=ledger))

    assert left == set()
    assert 5 <= paid <= 20
    assert [conversion.error for conversion in found] == [None] * 20
    assert len(slow_service.tasks) == 20


def test_interrupted_iterable_ends_the_run(client: mp4gen.sync.Client) -> None:
    """Ctrl-C reaches the iterable itself if the caller's thread is there."""

    def tracks() -> Iterator[mp4gen.VideoRequest]:
        yield from requests(1)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        list(client.convert_many(tracks()))

    assert client.get_credits() >= 999.0


def test_stopped_run_takes_nothing_more_from_the_iterable(client: mp4gen.sync.Client) -> None:
    """It takes at most the one request that the run had asked for before the stop."""
    pulled = []

    def tracks() -> Iterator[mp4gen.VideoRequest]:
        for request in requests(50):
            pulled.append(request)
            yield request

    with client.convert_many(tracks()) as run:
        results = iter(run)
        next(results)
        run.stop()
        before = len(pulled)
        list(results)

    assert len(pulled) <= before + 1

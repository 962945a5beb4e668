"""A file host in trouble: few requests go to it, and it holds up no other (failure mode 65)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import attrs
import pytest

from mp4gen import DownloadError, Retry
from mp4gen.downloads.fetch import DownloadLimits, FileResponse, FileSessions
from mp4gen.downloads.hosts import FileHosts
from mp4gen.downloads.retry_budget import (
    HostDownError,
    NotThereYetError,
    RetryableError,
    RetryBudget,
)
from mp4gen.testing.media import tiny_mp4
from mp4gen.transport.rate_limit import Priority
from mp4gen.transport.sleeper import Sleeper
from tests.support_async import now
from tests.support_cdn import (
    FileHost,
    Response,
    download,
    full_response,
    names_in,
    open_files,
    range_response,
)

LIMITS = DownloadLimits(allow_private=True)
UNAVAILABLE = Response(status=503, headers={"Content-Length": "0"})


class FaultyHost(FileHost):
    """Answers with `fault` as long as there is one."""

    fault: Response | Callable[[Any], Response] | None = UNAVAILABLE

    def _default_response(self, request: Any) -> Response:
        fault = self.fault
        if fault is None:
            return range_response(request, self.content)
        return fault if isinstance(fault, Response) else fault(request)


def start(
    host: FileHost, sessions: FileSessions, folder: Path, number: int, **changes: Any
) -> list[asyncio.Task[Path]]:
    """Start downloads of different names."""
    settings = {"limits": LIMITS, "on_progress": None} | changes
    return [
        asyncio.create_task(
            download(host, sessions, **settings).save(folder / f"{host.port}-{n}.mp4")
        )
        for n in range(number)
    ]


async def errors(tasks: list[asyncio.Task[Path]]) -> list[str]:
    """Return the errors of the downloads that failed."""
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, Path | DownloadError) for end in ended)
    return [str(end) for end in ended if isinstance(end, DownloadError)]


@pytest.mark.looptime
@pytest.mark.parametrize("lag", [5, 20, 60, 150])
async def test_files_that_follow_late_are_not_held_up_by_one_another(
    sessions: FileSessions, tmp_path: Path, lag: float
) -> None:
    """Failure mode 48: a host on which each file appears late is not down."""
    there: dict[str, float] = {}

    def respond(request: Any) -> Response:
        missing = Response(status=404, headers={"Content-Length": "0"})
        is_there = now() >= there[request.line.split()[1]]
        return range_response(request) if is_there else missing

    async def fetch(number: int) -> float:
        path = f"/{number}"
        there[path] = now() + lag
        url = f"http://127.0.0.1:{host.port}{path}"
        await asyncio.gather(*start(host, sessions, tmp_path / path[1:], 1, url=url, **new))
        return now() - there[path]

    new = {"new_until": datetime.max.replace(tzinfo=UTC)}
    tasks = []
    async with FaultyHost() as host:
        host.fault = respond
        for number in range(150):
            tasks.append(asyncio.create_task(fetch(number)))
            await asyncio.sleep(1)
        delays = await asyncio.gather(*tasks)

    assert max(delays) <= 100


@pytest.mark.looptime
async def test_host_that_has_no_file_receives_few_requests(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """It bans the client, for example; one download begins each second."""
    new = {"new_until": datetime.max.replace(tzinfo=UTC)}
    tasks = []
    async with FaultyHost() as host:
        host.fault = Response(status=403, headers={"Content-Length": "0"})
        for number in range(400):
            tasks += start(host, sessions, tmp_path / str(number), 1, **new)
            await asyncio.sleep(1)
        failed = await errors(tasks)

    assert len(failed) == 400
    assert not any("is down" in error for error in failed)
    assert len(host.requests) <= 500


@pytest.mark.looptime
async def test_link_is_looked_up_for_a_host_that_has_no_file(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """The API names another host meanwhile; also those that only waited get their files."""
    looked_up = []
    async with FaultyHost() as host, FileHost() as other:
        host.fault = Response(status=404, headers={"Content-Length": "0"})

        async def refresh() -> str:
            looked_up.append(now())
            return other.url

        new = {"new_until": datetime.max.replace(tzinfo=UTC), "refresh_url": refresh}
        for _ in range(3):
            await miss(sessions.hosts, f"127.0.0.1:{host.port}", seconds=61)
        failed = await errors(start(host, sessions, tmp_path, 20, **new))

    assert failed == []
    assert len(looked_up) == 20


@pytest.mark.looptime
@pytest.mark.parametrize("fault", ["status", "page", "cut"])
async def test_dead_host_receives_few_requests(
    sessions: FileSessions, tmp_path: Path, fault: str
) -> None:
    """300 downloads know together what one of them has learnt; all end with their retry time."""
    async with FaultyHost() as host:
        host.fault = {
            "status": UNAVAILABLE,
            "page": Response(body=b"<!doctype html><title>Sorry</title>"),
            "cut": full_response(truncate_at=0),
        }[fault]
        began = now()
        failed = await errors(start(host, sessions, tmp_path, 300))
        seconds = now() - began

    assert len(failed) == 300
    assert 200 < seconds <= 301
    assert len(host.requests) < 40
    assert names_in(tmp_path) == []
    down = [error for error in failed if "which is down: " in error]
    assert len(down) > 250
    assert down[0].startswith("Cannot download from 127.0.0.1, which is down: ")
    assert down[0].endswith(" Download again later.")
    assert users(sessions.hosts) == 0


@pytest.mark.looptime
async def test_waiting_downloads_hold_no_files(sessions: FileSessions, tmp_path: Path) -> None:
    """Else a few hundred of them would leave none for the rest of the program."""
    async with FaultyHost() as host:
        before = open_files()
        tasks = start(host, sessions, tmp_path, 200)
        await asyncio.sleep(100)
        opened, names = open_files() - before, names_in(tmp_path)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    assert len(opened) <= 8 * 2
    assert names == names_in(tmp_path) == []


@pytest.mark.looptime
async def test_cut_downloads_keep_a_bounded_number_of_files(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """They would use up the descriptors; those beyond the bound begin anew."""
    content = tiny_mp4("large", 4 << 16)

    def cut(request: Any) -> Response:
        whole = range_response(request, content)
        rest = {"headers": whole.headers, "body": whole.body, "received": 0}
        return Response(status=whole.status, truncate_at=1 << 16, **rest)

    async with FaultyHost() as host:
        host.content, host.fault = content, cut
        limits = DownloadLimits(allow_private=True, retry=Retry(initial_delay=30))
        tasks = start(host, sessions, tmp_path, 150, limits=limits)
        await host.wait_for_requests(150)
        await asyncio.sleep(1e-3)
        names = names_in(tmp_path)
        host.fault = None
        failed = await errors(tasks)

    assert 40 <= len(names) <= 64 + 8
    assert failed == []
    assert sessions.kept_files == set()


@pytest.mark.looptime
async def test_single_download_does_not_wait_for_those_of_a_bulk_run(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """A bulk run has eight slots of its own at each host."""

    def slow(request: Any) -> Response:
        whole = range_response(request)
        return Response(headers=whole.headers, body=whole.body, hang=20)

    async with FaultyHost() as host:
        host.fault = slow
        bulk = attrs.evolve(LIMITS, priority=Priority.BULK)
        tasks = start(host, sessions, tmp_path, 80, limits=bulk)
        await host.wait_for_requests(8)
        host.fault = None
        began = now()
        single = await errors(start(host, sessions, tmp_path / "single", 5))
        seconds = now() - began
        many = await errors(tasks)

    assert single == many == []
    assert seconds < 1
    assert host.peak_connections <= 16


@pytest.mark.looptime
@pytest.mark.parametrize("seconds", [5, 100, 250])
async def test_recovered_host_serves_everything_that_waits(
    sessions: FileSessions, tmp_path: Path, seconds: float
) -> None:
    """The first success of a probe lets all others pass, eight at a time."""
    async with FaultyHost() as host:
        tasks = start(host, sessions, tmp_path, 100)
        await asyncio.sleep(seconds)
        host.fault, before = None, len(host.requests)
        recovered = now()
        failed = await errors(tasks)

    assert failed == []
    assert now() - recovered < 40
    assert before < 40
    assert len(host.requests) - before <= 110


@pytest.mark.looptime
@pytest.mark.parametrize("fault", [UNAVAILABLE, Response(hang=1e6)], ids=["fails", "hangs"])
async def test_dead_host_holds_up_no_other_host(
    sessions: FileSessions, tmp_path: Path, fault: Response
) -> None:
    """From the first moment: before anything is known of it, and later."""
    async with FaultyHost() as dead, FileHost() as alive:
        dead.fault = fault
        tasks = start(dead, sessions, tmp_path, 100)
        await dead.wait_for_requests()
        for moment in (0, 1, 100):
            await asyncio.sleep(moment)
            began = now()
            assert await errors(start(alive, sessions, tmp_path, 50)) == []
            assert now() - began < 1
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.looptime
async def test_files_that_fail_hold_up_no_other_file_of_their_host(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """Five broken files among healthy ones are retried alone: the host answers."""

    def respond(request: Any) -> Response:
        return UNAVAILABLE if "broken" in request.line else range_response(request)

    async with FaultyHost() as host:
        host.fault = respond
        broken = [
            task
            for n in range(5)
            for task in start(
                host, sessions, tmp_path / str(n), 1, url=f"http://127.0.0.1:{host.port}/broken"
            )
        ]
        for _ in range(20):
            await asyncio.sleep(10)
            began = now()
            assert await errors(start(host, sessions, tmp_path, 10)) == []
            # Two intervals: one of the broken files may be the next probe.
            assert now() - began <= 61
        failed = await errors(broken)

    assert len(failed) == 5


@pytest.mark.looptime
async def test_single_download_is_retried_on_its_own(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """One or two files that fail say nothing about their host."""
    async with FaultyHost() as host:
        failed = await errors(start(host, sessions, tmp_path, 2))

    assert ["Gave up after " in error for error in failed] == [True, True]
    assert 20 < len(host.requests) < 80


@pytest.mark.looptime
async def test_dead_target_of_a_redirect_holds_up_only_its_own_downloads(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """The host that redirects is alive, and redirects others to a host that works."""
    async with FaultyHost() as dead, FileHost() as alive, FaultyHost() as front:

        def respond(request: Any) -> Response:
            to = dead if "dead" in request.line else alive
            return Response(status=302, headers={"Location": to.url, "Content-Length": "0"})

        front.fault = respond
        url = f"http://127.0.0.1:{front.port}/"
        waiting = start(dead, sessions, tmp_path, 100, url=f"{url}dead")
        await asyncio.sleep(60)
        began = now()
        works = await errors(start(alive, sessions, tmp_path, 50, url=f"{url}alive"))
        seconds = now() - began
        failed = await errors(waiting)

    assert works == []
    assert seconds < 1
    assert len(failed) == 100
    assert len(dead.requests) < 40


@pytest.mark.looptime
async def test_dead_host_is_asked_again_when_it_wants(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """`Retry-After` is the least time between two probes."""
    busy = Response(status=429, headers={"Retry-After": "100", "Content-Length": "0"})
    async with FaultyHost() as host:
        host.fault = busy
        tasks = start(host, sessions, tmp_path, 50)
        await asyncio.sleep(250)
        requests = len(host.requests)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    assert 9 <= requests <= 8 + 8 + 3


@pytest.mark.looptime
async def test_progress_of_a_probe_opens_the_host_before_its_end(
    sessions: FileSessions, tmp_path: Path
) -> None:
    """A large file that arrives for minutes does not keep the others waiting."""
    content = tiny_mp4("large", 1 << 20)
    async with FaultyHost() as host:
        host.content = content
        tasks = start(host, sessions, tmp_path, 20)
        await asyncio.sleep(10)
        host.fault = None
        host.script = [full_response(content, truncate_at=1 << 17)]
        slow = host.script[0]
        host.script = [
            Response(headers=slow.headers, body=content, truncate_at=1 << 17, received=0, hang=50)
        ]
        began = now()
        done, _ = await asyncio.wait(tasks, timeout=40)
        assert now() - began <= 40
        await errors(tasks)

    assert len(done) == 19


class SmallChunks:
    """A body whose chunks have 32 KiB."""

    async def read(self, _: int) -> bytes:
        return bytes(1 << 15)


async def test_small_chunks_add_up_to_the_progress_of_an_attempt() -> None:
    """A host works after 64 KiB, in whatever chunks they arrive."""
    async with FileHosts(Sleeper()).attempt("host", budget()) as attempt:
        body: Any = SmallChunks()
        response = FileResponse(200, {}, "host", body, LIMITS, attempt, now())
        await response.read()
        assert not attempt.succeeded
        await response.read()

        assert attempt.succeeded


# --- the breaker itself ---------------------------------------------------------------------------


def budget(timeout: float = 300.0) -> RetryBudget:
    return RetryBudget(Retry(timeout=timeout), Random(1))


def users(hosts: FileHosts) -> int:
    """Return the number of attempts that are made or wait."""
    return sum(host.users for host in hosts._hosts.values())


async def fail(hosts: FileHosts, one: RetryBudget) -> None:
    error = RetryableError("The host answered 503.")
    try:
        async with hosts.attempt("host", one):
            raise error
    except RetryableError as caught:
        if caught is not error:
            raise


async def miss(hosts: FileHosts, name: str, seconds: float) -> None:
    """Miss a file for `seconds`."""
    one = budget()
    assert one.elapsed == 0
    await asyncio.sleep(seconds)
    with pytest.raises(NotThereYetError):
        async with hosts.attempt(name, one):
            raise NotThereYetError("The file is not there yet.")


async def opened() -> FileHosts:
    """Return hosts of which one is down."""
    hosts = FileHosts(Sleeper())
    for _ in range(3):
        await fail(hosts, budget())
    return hosts


@pytest.mark.looptime
async def test_cancelled_probe_lets_the_next_download_pass() -> None:
    """Whether it is cancelled during its attempt or just as it is woken."""
    hosts = await opened()

    async def attempt(seconds: float) -> float:
        async with hosts.attempt("host", budget()):
            await asyncio.sleep(seconds)
        return now()

    began = now()
    probe = asyncio.create_task(attempt(1e6))
    others = [asyncio.create_task(attempt(1)) for _ in range(3)]
    await asyncio.sleep(5)
    probe.cancel()
    ended = await asyncio.gather(*others)

    assert ended[0] - began == pytest.approx(6)
    assert ended[1:] == pytest.approx([ended[0] + 1] * 2)
    assert users(hosts) == 0


async def probe_times(hosts: FileHosts, one: RetryBudget) -> list[float]:
    """Make attempts that fail until the budget is spent; return their times."""
    times = []
    while True:
        try:
            await fail(hosts, one)
        except HostDownError:
            return times
        one.add_failure(RetryableError(""), 0)
        times.append(now())


@pytest.mark.looptime
async def test_probes_take_turns() -> None:
    """A file that never works is not the only probe of its host."""
    hosts = await opened()
    times = await asyncio.gather(*(probe_times(hosts, budget(1000)) for _ in range(4)))
    probes = sorted((time, number) for number, each in enumerate(times) for time in each)
    order = [number for _, number in probes]

    # Downloads that have not failed alternate with those that have.
    assert order[:7] == [0, 0, 1, 0, 2, 1, 3]
    assert {tuple(sorted(order[n : n + 4])) for n in range(7, 27, 4)} == {(0, 1, 2, 3)}


@pytest.mark.looptime
async def test_intervals_of_probes_grow_to_the_maximum() -> None:
    """As the delays of a single download do; the wait ends with the retry time."""
    hosts = await opened()
    began = now()
    times = [time - began for time in await probe_times(hosts, budget(200))]

    assert times == pytest.approx([0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5, 121.5, 151.5, 181.5])
    assert now() - began == pytest.approx(200)


@pytest.mark.looptime
async def test_healthy_hosts_are_forgotten() -> None:
    """Links can name a new host each, without end."""
    hosts = FileHosts(Sleeper())
    for number in range(100):
        async with hosts.attempt(f"host{number}", budget()):
            assert users(hosts) == 1

    assert hosts._hosts == {}


@pytest.mark.looptime
@pytest.mark.parametrize("sends_a_part", [True, False])
async def test_host_that_sends_parts_of_files_is_not_down(sends_a_part: bool) -> None:
    """Three downloads that break off together open its breaker only if nothing was received."""
    hosts = FileHosts(Sleeper())

    async def break_off(seed: int) -> None:
        async with hosts.attempt("a", RetryBudget(Retry(), Random(seed))) as attempt:
            if sends_a_part:
                attempt.succeed()
            await asyncio.sleep(1)
            raise RetryableError("Cut off.")

    await asyncio.gather(*(break_off(seed) for seed in range(3)), return_exceptions=True)
    begun = now()
    async with hosts.attempt("a", RetryBudget(Retry(), Random(3))):
        pass

    assert (now() == begun) == sends_a_part

"""Four real processes, whose clocks differ by minutes, on one key against an exact service."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

import mp4gen.redis
from mp4gen import RateLimit
from mp4gen.testing import FakeService
from tests.support_redis import RedisServer, Worker, WorkerSettings, mark_as_used

LIMIT = RateLimit(20, per=0.5)
CLOCK_OFFSETS = (-600.0, 0.0, 90.0, 7200.0)


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService(rate_limit=LIMIT) as running:
        yield running


def start(service: FakeService, server: RedisServer, name: str, stack: ExitStack) -> list[Worker]:
    """Start four processes, and wait until each has called the API."""
    mark_as_used(server.url, name)
    settings = WorkerSettings(
        service_url=service.url,
        redis_url=server.url,
        name=name,
        requests=LIMIT.requests,
        per=LIMIT.per,
    )
    offsets = [attrs.evolve(settings, clock_offset=offset) for offset in CLOCK_OFFSETS]
    workers = [Worker(one) for one in offsets]
    for worker in workers:
        stack.callback(worker.kill)
    for worker in workers:
        worker.wait_until_ready()
    return workers


def wait_for_more(service: FakeService, calls: int) -> None:
    """Wait until the service has received this many more calls."""
    expected = service.count() + calls
    while service.count() < expected:
        time.sleep(0.01)


@pytest.mark.slow
def test_processes_are_never_refused(service: FakeService, shared_redis: RedisServer) -> None:
    """Their clocks differ by up to two hours. When one is killed, the others go on."""
    with ExitStack() as stack:
        first, *others = start(service, shared_redis, "processes", stack)
        wait_for_more(service, 60)
        first.kill()
        wait_for_more(service, 80)
        figures = [worker.stop() for worker in others]

    assert service.peak_requests(LIMIT.per) == LIMIT.requests
    assert not any(request.rate_limited for request in service.requests)
    assert min(figure["calls"] for figure in figures) >= 10


def test_limiter_never_reads_the_wall_clock() -> None:
    """Only loop time and the time of Redis count."""
    clocks = {"time", "datetime"}
    imported = {
        name.split(".")[0]
        for path in Path(mp4gen.redis.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in _imported(node)
    }

    assert imported & clocks == set()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return []

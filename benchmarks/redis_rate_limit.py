"""Measure a limit that four processes share through Redis, against a server that counts exactly.

    python benchmarks/redis_rate_limit.py
        [--per 2] [--periods 12] [--quick] [--peers all|NAME,…] [--json [FILE]]

Needs `redis-server` and the `redis` extra. Each process keeps 10 calls waiting; the fake service
has a latency of up to 100 ms. `refused` are the calls that it refused, `peak` the most calls that
arrived in any period (20 are allowed), and `share` the accepted calls relative to the permitted
ones. With `--peers`, published limiters are measured beside ours, if they are installed
(`benchmarks/peers.py`). About 10 minutes with all, 5 without; `--quick` disturbs nothing but a
process, and takes about 2.
"""

import asyncio
import json
import math
import random
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import mean
from threading import Thread
from typing import Any

import peers
from report import at_least, at_most, note, parse_arguments, show, show_figures
from support_redis_limiters import LIMITERS

from mp4gen import RateLimit
from mp4gen.api.sliding_window import peak_in_window
from mp4gen.redis import RedisRateLimiter
from mp4gen.testing import FakeService
from tests.support_redis import RedisServer, SlowLine, mark_as_used

REQUESTS, PROCESSES = 20, 4
PROGRAM = Path(__file__).with_name("support_redis_limiters.py")


class Processes:
    """The processes of one measurement, and what the service saw of them."""

    def __init__(self, service: FakeService, redis_url: str, limiter: str, per: float) -> None:
        self.service, self.per = service, per
        settings = {
            "service_url": service.url,
            "redis_url": redis_url,
            "limiter": limiter,
            "requests": REQUESTS,
            "per": per,
            "concurrency": 10,
        }
        self.running = [
            subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, str(PROGRAM), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(PROCESSES)
        ]

    def wait_until_ready(self) -> None:
        """Wait until all processes call the API, and for one period more."""
        for process in self.running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        time.sleep(self.per * 1.5)

    def kill_one(self) -> None:
        """Kill one process."""
        process = self.running.pop()
        process.kill()
        process.communicate()

    def stop(self) -> None:
        """End all processes."""
        for process in self.running:
            process.communicate()

    def share(self, periods: int) -> float:
        """Measure for some periods, and return the share of the limit that was used.

        Calls come in bursts: it is the mean of all windows that begin in the first period.
        """
        start = time.monotonic()
        time.sleep((periods + 1) * self.per)
        requests = tuple(self.service.requests)
        accepted = [one.received_at for one in requests if not one.rate_limited]
        begins = [start + self.per * step / 100 for step in range(100)]
        counts = (
            bisect_left(accepted, begin + periods * self.per) - bisect_left(accepted, begin)
            for begin in begins
        )
        return mean(counts) / (REQUESTS * periods)

    def row(self, name: str, share: float) -> dict[str, Any]:
        """Return a row of the table."""
        requests = tuple(self.service.requests)
        row = {
            "limiter": name,
            "calls": len(requests),
            "refused": sum(request.rate_limited for request in requests),
            "peak": peak_in_window((one.received_at for one in requests), self.per),
            "share": share,
        }
        note(str(row))
        return row


@contextmanager
def started(
    limiter: str, per: float, server: RedisServer, redis_url: str | None = None
) -> Iterator[Processes]:
    """Yield processes that use a limiter at full speed."""
    mark_as_used(server.url, "mp4gen")

    def latency(chance: random.Random) -> float:
        return min(0.1, chance.lognormvariate(math.log(0.02), 0.6))

    with FakeService(rate_limit=RateLimit(REQUESTS, per=per), latency=latency) as service:
        processes = Processes(service, redis_url or server.url, limiter, per)
        try:
            processes.wait_until_ready()
            yield processes
        finally:
            processes.stop()


def plain(limiter: str, per: float, periods: int) -> dict[str, Any]:
    """Measure four processes that nothing disturbs."""
    with RedisServer() as server, started(limiter, per, server) as processes:
        share = processes.share(periods)
        return processes.row(limiter, share)


def killed(per: float, seed: int) -> dict[str, Any]:
    """Kill one process at any moment; the share is that of the six periods after it."""
    with RedisServer() as server, started("mp4gen", per, server) as processes:
        time.sleep(random.Random(seed).uniform(0.5, 1.5) * per)
        processes.kill_one()
        share = processes.share(6)
        return processes.row("mp4gen, one process killed", share)


def disturbed(per: float, periods: int, name: str, disturb: Callable[[RedisServer], None]) -> Any:
    """Disturb Redis in the middle; the share is that of the time after its return."""
    with RedisServer() as server, started("mp4gen", per, server) as processes:
        processes.share(2)
        disturb(server)
        # Leases, the time in which all processes return, and one period.
        time.sleep(max(per, 2.0) * 2 + 2 * per)
        share = processes.share(periods)
        return processes.row(f"mp4gen, {name}", share)


def restart(server: RedisServer) -> None:
    """Restart Redis without its data."""
    server.kill()
    server.start()


def away(server: RedisServer) -> None:
    """Let Redis be away for longer than the processes wait for it."""
    server.kill()
    time.sleep(12)
    server.start()


def slow(per: float, periods: int) -> dict[str, Any]:
    """Measure with a line of 50 ms in each direction to Redis."""
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer())
        url = stack.enter_context(_slow_line(server))
        processes = stack.enter_context(started("mp4gen", per, server, url))
        share = processes.share(periods)
        return processes.row("mp4gen, 50 ms to Redis", share)


@contextmanager
def _slow_line(server: RedisServer) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    def run(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    line = SlowLine(server.address, 0.05)
    run(line.__aenter__())
    yield line.url
    run(line.__aexit__())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def cost(server: RedisServer, slots: int) -> tuple[float, float, float]:
    """Return the CPU of a slot in ms, that of Redis, and its round trips, while slots are free."""
    import redis.asyncio

    limiter = RedisRateLimiter(server.url, RateLimit(1_000_000, per=10.0), name="cost")
    mark_as_used(server.url, "cost")

    async def work(count: int) -> None:
        for _ in range(count):
            async with limiter.slot():
                pass

    await work(100)
    async with redis.asyncio.Redis.from_url(server.url) as client:
        before = await client.info("all")
        started = time.process_time()
        await work(slots)
        cpu = time.process_time() - started
        after = await client.info("all")
    await limiter.aclose()
    calls = after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"]
    used = sum(after[key] - before[key] for key in ("used_cpu_user", "used_cpu_sys"))
    return cpu / slots * 1e3, used / slots * 1e3, calls / slots


def main() -> None:
    """Run the benchmark."""
    options = parse_arguments(
        __doc__, per=2.0, periods=12, kills=3, slots=3000, quick=False, peers=""
    )
    per, periods = options.per, options.periods
    ours = plain("mp4gen", per, periods)
    kills = [killed(per, seed) for seed in range(options.kills)]
    rows = [ours, *kills]
    if not options.quick:
        rows += [
            slow(per, periods),
            disturbed(per, periods, "Redis restarted", restart),
            disturbed(per, periods, "Redis away for 12 s", away),
        ]
    chosen = list(LIMITERS)[1:] if options.peers == "all" else options.peers.split(",")
    if options.peers and peers.use("limiters"):
        rows += [plain(limiter, per, periods) for limiter in chosen]
    elif options.peers:
        note("the published limiters are not installed")
    with RedisServer() as server:
        cpu, redis_cpu, round_trips = asyncio.run(cost(server, options.slots))
    show(
        f"{PROCESSES} processes, {REQUESTS} calls in {per:g} s, counted by arrival",
        rows,
        options.json,
    )
    our_rows = [row for row in rows if row["limiter"].startswith("mp4gen")]
    figures = [
        at_most("refused calls, all runs of mp4gen", sum(row["refused"] for row in our_rows), 0),
        at_least("share of the rate", ours["share"], 0.9, "{:.3f}"),
        at_least("share after a kill, worst", min(k["share"] for k in kills), 0.85, "{:.3f}"),
        at_most("CPU of a slot, ms", cpu, 1.0, "{:.3f}"),
        at_most("CPU of a slot in Redis, ms", redis_cpu, 1.0, "{:.3f}"),
        at_most("round trips of a slot", round_trips, 2.0, "{:.2f}"),
    ]
    show_figures("goals", figures, options.json)


if __name__ == "__main__":
    main()

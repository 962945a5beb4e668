"""Measure the memory of a conversion that waits, against a task that sleeps.

    python benchmarks/memory.py [--count 1000] [--many 100000] [--json [FILE]]

The first table shows the bytes that Python holds for each (tracemalloc); for a thread that waits,
as blocking clients need, it is what the process grows by. The second one shows the memory of the
process with `--many` waits, and the share of a core that it uses while it idles. About 40 s.
"""

import asyncio
import gc
import resource
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

from report import parse_arguments, resident_memory, show

import mp4gen
from mp4gen.conversion.poller import VideoPoller
from mp4gen.testing import FakeService
from mp4gen.transport.caller import CallOptions

# Nothing wakes during the measurement.
LONG = mp4gen.Polling(initial_delay=1e6, max_interval=1e6)


async def bytes_per_task(make: Callable[[int], Awaitable[Any]], count: int) -> int:
    """Return the bytes that are held for each of `count` tasks while all of them wait."""
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    tasks = [asyncio.ensure_future(make(number)) for number in range(count)]
    await asyncio.sleep(0.5)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return (after - before) // count


async def compare(count: int) -> list[dict[str, Any]]:
    """Return rows for sleeping tasks, waits before their first poll, and submits before a slot."""
    tracemalloc.start()
    sleeping = await bytes_per_task(lambda _: asyncio.sleep(1e6), count)
    limit = mp4gen.RateLimit(1_000_000, per=0.001)
    with FakeService(rate_limit=None, duration=1e6) as service:
        async with service.client(polling=LONG, rate_limit=limit) as client:
            requests = [mp4gen.VideoRequest("music", str(number)) for number in range(count)]
            # Submitted beforehand, so that the service's own memory does not count.
            ids = [await client.create_music_video(request) for request in requests]
            waiting = await bytes_per_task(
                lambda n: client.wait_for_video(ids[n], timeout=1e9), count
            )
        # One call takes the only slot for good.
        one_slot = mp4gen.RateLimit(1, per=1e6)
        async with service.client(rate_limit=one_slot, concurrency=count) as client:
            await client.get_credits()
            queued = await bytes_per_task(lambda n: client.convert(requests[n]), count)
    tracemalloc.stop()
    return [
        {"what": "sleeping task", "count": count, "bytes each": sleeping, "ratio": 1.0},
        {
            "what": "waiting conversion",
            "count": count,
            "bytes each": waiting,
            "ratio": waiting / sleeping,
        },
        {
            "what": "queued for a slot",
            "count": count,
            "bytes each": queued,
            "ratio": queued / sleeping,
        },
    ]


def bytes_per_thread(count: int) -> int:
    """Return the memory of the process for each of `count` threads that wait."""
    end = threading.Event()
    before = resident_memory()
    threads = [threading.Thread(target=end.wait) for _ in range(count)]
    for thread in threads:
        thread.start()
    grown = resident_memory() - before
    end.set()
    for thread in threads:
        thread.join()
    return int(grown * (1 << 20) / count)


async def many_waits(count: int) -> dict[str, Any]:
    """Return the memory of the process with `count` waits, and its CPU share while idle."""
    client = mp4gen.Client("key", polling=LONG)
    calls = client._caller  # noqa: SLF001 - a public wait needs a submit
    waits = [
        VideoPoller(calls, client.dialect, LONG, CallOptions(), f"t{n}", 1e9) for n in range(count)
    ]
    tasks = [asyncio.ensure_future(wait.run(1e6)) for wait in waits]
    await asyncio.sleep(1)
    busy, start = time.process_time(), time.monotonic()
    await asyncio.sleep(3)
    share = (time.process_time() - busy) / (time.monotonic() - start)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()
    return {"waits": count, "process MB": megabytes, "core while idle": share}


def main() -> None:
    """Run the benchmark."""
    options = parse_arguments(__doc__, count=1_000, many=100_000)
    # First, since the peak of a process never falls.
    many = asyncio.run(many_waits(options.many))
    thread = bytes_per_thread(options.count)
    rows = asyncio.run(compare(options.count))
    ratio = thread / rows[0]["bytes each"]
    rows.append({"what": "thread", "count": options.count, "bytes each": thread, "ratio": ratio})
    show("Memory of one wait", rows, options.json)
    show("Many waits", [many], options.json)


if __name__ == "__main__":
    main()

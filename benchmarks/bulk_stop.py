"""Measure what a bulk run leaves behind when it ends early; in virtual time, about 10 s.

    python benchmarks/bulk_stop.py [--tracks 30] [--json [FILE]]

Two figures, each the worst of several moments: the submits that are sent after `stop()`, while the
API refuses twenty for the moment; and the tracks that the next run reports as uncertain, after a
run was closed or cancelled while its submits were still connecting, on a host that does not reject
duplicates. The third line, for an end after the submits had arrived, shows that the second figure
can differ from 0.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import support_bulk as support
from report import at_least, at_most, note, parse_arguments, show_figures

from mp4gen import Client, Conversion, ConversionRun, Dialect, SubmitUncertainError
from mp4gen.testing import FakeService

REFUSALS = ("rate_limited", "code_430", "code_500", "maintenance")
STOPS = (0.001, 0.08, 0.2, 1.0, 11.0)
# The median of one way is 60 ms.
CONNECTING, ARRIVED = (0.001, 0.01, 0.02), 0.09
UNKNOWN = Dialect.for_url("http://unknown")


async def _results(run: ConversionRun) -> list[Conversion]:
    return [conversion async for conversion in run]


def _unknown_host(seed: int) -> tuple[FakeService, Client]:
    service = support.service(seed, dialect=UNKNOWN, duplicate_policy="new_task")
    return service, support.client(service, seed)


async def submits_after_stop(number: int, refusal: str, seconds: float) -> int:
    """Return the submits sent after a stop at `seconds`, while the first 20 are refused."""
    service, client = _unknown_host(1)
    service.script("create", *[refusal] * support.WINDOW)
    async with client:
        run = client.convert_many(support.tracks(number))
        running = asyncio.create_task(_results(run))
        await asyncio.sleep(seconds)
        run.stop()
        await running
    return sum(
        call.endpoint == "create" and call.received_at > seconds for call in service.requests
    )


async def uncertain(number: int, seconds: float, *, cancel: bool) -> int:
    """Return the uncertain tracks of the run after one that ended at `seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "run.sqlite"
        _, client = _unknown_host(2)
        async with client:
            run = client.convert_many(support.tracks(number), ledger=ledger)
            running = asyncio.create_task(_results(run))
            await asyncio.sleep(seconds)
            if cancel:
                running.cancel()
            await run.aclose()
            await asyncio.wait([running])
            resumed = await _results(client.convert_many(support.tracks(number), ledger=ledger))
    return sum(isinstance(one.error, SubmitUncertainError) for one in resumed)


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, tracks=30)
    after_stop = {
        (refusal, seconds): support.run(submits_after_stop(args.tracks, refusal, seconds))
        for refusal in REFUSALS
        for seconds in STOPS
    }
    left = {
        (seconds, cancel): support.run(uncertain(args.tracks, seconds, cancel=cancel))
        for seconds in (*CONNECTING, ARRIVED)
        for cancel in (False, True)
    }
    note(f"submits after a stop: {after_stop}")
    note(f"uncertain after an end at (second, cancelled): {left}")
    connecting = max(number for (seconds, _), number in left.items() if seconds != ARRIVED)
    arrived = min(number for (seconds, _), number in left.items() if seconds == ARRIVED)
    found = [
        at_most("stop while 20 submits are refused: sent after it", max(after_stop.values()), 0),
        at_most("ended while connecting: uncertain in the next run", connecting, 0),
        at_least("ended before the responses: uncertain (for comparison)", arrived, 1),
    ]
    show_figures("Bulk run that ends early", found, args.json)


if __name__ == "__main__":
    main()

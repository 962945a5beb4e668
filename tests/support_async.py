"""Small helpers of the asyncio tests: clock and chance, expected errors, the results of a run."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

import mp4gen

Outcome = tuple[list[mp4gen.Conversion], Exception | None]


class LongestDelays(Random):
    """Chance that always draws the upper end."""

    def uniform(self, a: float, b: float) -> float:
        return b


def now() -> float:
    """Return the loop time in seconds."""
    return asyncio.get_running_loop().time()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds, for what has no event."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def failure(work: Awaitable[Any]) -> Any:
    """Return the `Mp4GenError` that `work` raises."""
    with pytest.raises(mp4gen.Mp4GenError) as caught:
        await work
    return caught.value


async def outcome(run: mp4gen.ConversionRun) -> Outcome:
    """Return all results of a run and the error that it raises after the last one."""
    found = []
    try:
        async for conversion in run:
            found.append(conversion)  # noqa: PERF401 - those before the error count
    except Exception as error:  # noqa: BLE001 - the test checks it, whatever it is
        return found, error
    return found, None

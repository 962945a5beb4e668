"""A stopwatch counts loop time, except while it is stopped."""

import asyncio

import pytest

from mp4gen.transport.stopwatch import Stopwatch

pytestmark = pytest.mark.looptime


async def test_stopwatch_counts_only_while_it_runs() -> None:
    """A second stop or start changes nothing, and the parts add up."""
    await asyncio.sleep(7)
    stopwatch = Stopwatch()
    elapsed = [stopwatch.elapsed]
    for action in ("go on", "stop", "stop", "start", "start", "go on", "stop"):
        await asyncio.sleep(2)
        if action != "go on":
            getattr(stopwatch, action)()
        elapsed.append(stopwatch.elapsed)

    assert elapsed == pytest.approx([0, 2, 4, 4, 4, 6, 8, 10])

"""What the tests of both bots share: the stored jobs, and a wait for what a bot does."""

import asyncio
import sqlite3
from collections.abc import Callable


async def until(happened: Callable[[], bool]) -> None:
    """Wait until `happened()` is true, for a virtual hour at most."""
    async with asyncio.timeout(3600):
        while not happened():  # noqa: ASYNC110 - the bots have no event for it
            await asyncio.sleep(0.05)


def stored() -> list[str]:
    """Return the task ids that the next start of a bot waits for."""
    connection = sqlite3.connect("bot.sqlite")
    found = [task_id for (task_id,) in connection.execute("SELECT task_id FROM jobs")]
    connection.close()
    return found

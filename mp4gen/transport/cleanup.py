"""Let clean-up run to its end, however often its caller is cancelled.

anyio, and with it Starlette and MCP servers, cancels again at every await until the block is left.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

# Seconds that a cancelled caller waits for clean-up; then it goes on without its caller.
_CANCELLED_TIMEOUT = 10.0
# The event loop itself does not keep tasks alive.
_without_caller: set[asyncio.Task[Any]] = set()


async def wait_for_clean_up(task: asyncio.Task[Any]) -> None:
    """Wait until `task` ends, also with an error; raise a cancel of the caller after it."""
    loop = asyncio.get_running_loop()
    deadline, cancel = float("inf"), None
    while not task.done() and loop.time() < deadline:
        try:
            await asyncio.wait([task], timeout=None if cancel is None else deadline - loop.time())
        except asyncio.CancelledError as error:
            deadline, cancel = min(deadline, loop.time() + _CANCELLED_TIMEOUT), error
    if not task.done():
        _without_caller.add(task)
        task.add_done_callback(_without_caller.discard)
    if cancel is not None:
        raise cancel


async def run_clean_up(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` in a task of its own, and wait for it as `wait_for_clean_up` does.

    Raises:
        Exception: What `work` raises.
    """
    task = asyncio.get_running_loop().create_task(work, name="mp4gen-clean-up")
    await wait_for_clean_up(task)
    task.result()

"""Run an event loop in its own thread, for tests that are not async."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any


class LoopThread:
    """A loop that runs until `close`, as a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="mp4gen fake service", daemon=True
        )
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run `coroutine` in the loop and wait for its end, at most 30 seconds."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=30)

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

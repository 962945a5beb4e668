"""Tells callers about the end of their tasks, as the vendor's page describes it.

A callback gets 15 seconds and three retries with growing waits between; all of it ends within a
minute. A caller that could not be told finds `CALLBACK_EXCEPTION` in the details, with the video
still there. What is due is in the store before the first try, so a killed server sends it after
its next start: a callback may come twice, as the vendor's may, but none is lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from mp4gen.api import protocol
from mp4gen.server.config import ServerConfig
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState, Task, TaskState

from .http_post import DeliveryError, post
from .target import parse_target

log = logging.getLogger("mp4gen.server")

# docs.sunoapi.org, "Music Video Generation Callbacks": 15 seconds, three retries.
ATTEMPT_TIMEOUT = 15.0
RETRY_DELAYS = (1.0, 4.0, 15.0)
TOTAL_TIMEOUT = 60.0
_MIN_LAST_ATTEMPT = 5.0
_MAX_CONCURRENT = 20


class CallbackSender:
    """The callbacks of one server, from `start` to `stop`.

    Args:
        config: the secret, and whether local addresses may be told.
        store: where it is kept what is due.
        base_url: gives the address under which a task's caller knows the server.
    """

    def __init__(self, config: ServerConfig, store: Store, base_url: Callable[[Task], str]) -> None:
        self._config, self._store, self._base_url = config, store, base_url
        self._sending: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)

    def start(self) -> None:
        """Send what the last server owed."""
        for task in self._store.callbacks_due():
            self.send(task)

    def send(self, task: Task) -> None:
        """Tell the end of `task`, where its caller wants to know."""
        if task.callback is CallbackState.DUE:
            sending = asyncio.create_task(self._send(task))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def wait(self) -> None:
        """Wait until everything that is being sent has come to its end."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def stop(self) -> None:
        """Send no more; what is under way stays due."""
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self, task: Task) -> None:
        async with self._slots:
            delivered = await self._deliver(task)
        state = CallbackState.SENT if delivered else CallbackState.FAILED
        await self._store.set_callback_state(task.task_id, state)

    async def _deliver(self, task: Task) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TOTAL_TIMEOUT
        for delay in (*RETRY_DELAYS, None):
            error = await self._attempt(task, min(ATTEMPT_TIMEOUT, deadline - loop.time()))
            if error is None:
                return True
            log.warning("the callback of task %s failed: %s", task.task_id, error)
            if error.permanent or delay is None:
                return False
            await asyncio.sleep(max(0.0, min(delay, deadline - _MIN_LAST_ATTEMPT - loop.time())))
        return False

    async def _attempt(self, task: Task, timeout: float) -> DeliveryError | None:
        target = parse_target(task.callback_url)
        if target is None:
            return DeliveryError("not an address that can be sent to", permanent=True)
        body = self._body(task)
        try:
            async with asyncio.timeout(timeout):
                status = await post(
                    target,
                    body,
                    self._signature(task),
                    allow_local=self._config.allow_local_callbacks,
                )
        except TimeoutError:
            return DeliveryError(f"no answer within {timeout:.0f} s")
        except DeliveryError as error:
            return error
        if 200 <= status < 300:
            return None
        return DeliveryError(f"answered with HTTP {status}")

    def _body(self, task: Task) -> bytes:
        if task.state is TaskState.FAILED:
            return protocol.build_callback(task.task_id, None, code=task.error_code or 500)
        return protocol.build_callback(task.task_id, task.video_url(self._base_url(task)))

    def _signature(self, task: Task) -> dict[str, str]:
        secret = self._config.callback_secret
        if secret is None:
            return {}
        return protocol.sign_callback(task.task_id, secret, int(time.time()))

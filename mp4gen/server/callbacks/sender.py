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
from mp4gen.server.queue.task import Callback, Task, TaskState

from .http_post import PostError, post
from .target import read_target

log = logging.getLogger("mp4gen.server")

# docs.sunoapi.org, "Music Video Generation Callbacks": 15 seconds, three retries.
TIMEOUT = 15.0
WAITS = (1.0, 4.0, 15.0)
TOTAL = 60.0
_LAST_TRY = 5.0
_AT_ONCE = 20


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
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def start(self) -> None:
        """Send what the last server owed."""
        for task in self._store.callbacks_due():
            self.send(task)

    def send(self, task: Task) -> None:
        """Tell the end of `task`, where its caller wants to know."""
        if task.callback is Callback.DUE:
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
            told = await self._told(task)
        became = Callback.SENT if told else Callback.FAILED
        await self._store.callback(task.task_id, became)

    async def _told(self, task: Task) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + TOTAL
        for wait in (*WAITS, None):
            error = await self._try(task, min(TIMEOUT, end - loop.time()))
            if error is None:
                return True
            log.warning("the callback of task %s failed: %s", task.task_id, error)
            if error.final or wait is None:
                return False
            await asyncio.sleep(max(0.0, min(wait, end - _LAST_TRY - loop.time())))
        return False

    async def _try(self, task: Task, seconds: float) -> PostError | None:
        target = read_target(task.callback_url)
        if target is None:
            return PostError("not an address that can be sent to", final=True)
        body = self._body(task)
        try:
            async with asyncio.timeout(seconds):
                status = await post(
                    target,
                    body,
                    self._signature(task),
                    allow_local=self._config.allow_local_callbacks,
                )
        except TimeoutError:
            return PostError(f"no answer within {seconds:.0f} s")
        except PostError as error:
            return error
        if 200 <= status < 300:
            return None
        return PostError(f"answered with HTTP {status}")

    def _body(self, task: Task) -> bytes:
        if task.state is TaskState.FAILED:
            return protocol.build_callback(task.task_id, None, code=task.error_code or 500)
        return protocol.build_callback(task.task_id, task.video_url(self._base_url(task)))

    def _signature(self, task: Task) -> dict[str, str]:
        secret = self._config.callback_secret
        if secret is None:
            return {}
        return protocol.sign_callback(task.task_id, secret, int(time.time()))

"""Sends callbacks when tasks finish, as the vendor's page describes.

A callback gets 15 seconds and three retries with growing delays; all attempts end within a minute.
If all fail, the task's status becomes `CALLBACK_EXCEPTION` and its video stays available. A due
callback is stored before the first attempt, so a killed server sends it after its next start. A
callback is never lost, but it may arrive twice, as on the vendor's host.

Receivers that do not answer delay only their own callbacks: a host and an account have a share of
the attempts, and a callback that waits for its next attempt takes none.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from mp4gen.api import callbacks
from mp4gen.server.config import ServerConfig
from mp4gen.server.counters import Counters
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState, Task, TaskState

from .http_post import DeliveryError, parse_target, post
from .shared_slots import SharedSlots

log = logging.getLogger("mp4gen.server")

# docs.sunoapi.org, "Music Video Generation Callbacks": 15 seconds, three retries.
ATTEMPT_TIMEOUT = 15.0
RETRY_DELAYS = (1.0, 4.0, 15.0)
TOTAL_TIMEOUT = 60.0
_MIN_LAST_ATTEMPT = 5.0
# Seconds of the first attempt for each address of the receiver; the next ones wait longer.
_FIRST_CONNECT_TIMEOUT = 3.0
# Each attempt is an open connection.
_MAX_ATTEMPTS, _MAX_ATTEMPTS_PER_ACCOUNT = 64, 48
_MAX_CALLBACKS_PER_HOST = 8


class CallbackSender:
    """Sends the callbacks of one server, from `start` to `stop`.

    Args:
        config: The server's settings, for the secret and the allowed addresses.
        store: Keeps the callbacks that are due.
        base_url: Returns the URL under which a task's caller knows the server.
        counters: Count the callbacks.
    """

    def __init__(
        self,
        config: ServerConfig,
        store: Store,
        base_url: Callable[[Task], str],
        counters: Counters,
    ) -> None:
        self._config, self._store, self._base_url = config, store, base_url
        self._counters = counters
        self._sending: set[asyncio.Task[None]] = set()
        self._attempts = SharedSlots(_MAX_ATTEMPTS_PER_ACCOUNT, _MAX_ATTEMPTS)
        self._hosts = SharedSlots(_MAX_CALLBACKS_PER_HOST)

    def start(self) -> None:
        """Send the callbacks that were due when the last server stopped."""
        for task in self._store.callbacks_due():
            self.send(task)

    def send(self, task: Task) -> None:
        """Send the callback of a finished `task`, if one is due."""
        if task.callback is CallbackState.DUE:
            sending = asyncio.create_task(self._send(task))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def stop(self) -> None:
        """Cancel the callbacks in progress; they stay due."""
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def _send(self, task: Task) -> None:
        target = parse_target(task.callback_url)
        async with self._hosts.hold(target.host or "" if target else ""):
            delivered = await self._deliver(task)
        self._counters.callbacks["delivered" if delivered else "failed"] += 1
        state = CallbackState.SENT if delivered else CallbackState.FAILED
        await self._store.set_callback_state(task.task_id, state)

    async def _deliver(self, task: Task) -> bool:
        loop = asyncio.get_running_loop()
        # The time that others make it wait for an attempt does not count.
        remaining = TOTAL_TIMEOUT
        connect_timeout = _FIRST_CONNECT_TIMEOUT
        for delay in (*RETRY_DELAYS, None):
            async with self._attempts.hold(task.account):
                start = loop.time()
                error = await self._attempt(task, min(ATTEMPT_TIMEOUT, remaining), connect_timeout)
                remaining -= loop.time() - start
            if error is None:
                return True
            log.warning("The callback of task %s failed: %s", task.task_id, error)
            if error.permanent or delay is None:
                break
            connect_timeout = ATTEMPT_TIMEOUT
            pause = max(0.0, min(delay, remaining - _MIN_LAST_ATTEMPT))
            remaining -= pause
            await asyncio.sleep(pause)
        return False

    async def _attempt(
        self, task: Task, timeout: float, connect_timeout: float
    ) -> DeliveryError | None:
        self._counters.callback_attempts += 1
        body, headers = self._body(task), self._signature(task)
        allow_local = self._config.allow_local_callbacks
        try:
            async with asyncio.timeout(timeout):
                status = await post(
                    task.callback_url,
                    body,
                    headers,
                    allow_local=allow_local,
                    connect_timeout=connect_timeout,
                )
        except TimeoutError:
            return DeliveryError(f"No response within {timeout:.0f} s.")
        except DeliveryError as error:
            return error
        return None if 200 <= status < 300 else DeliveryError(f"HTTP status {status}.")

    def _body(self, task: Task) -> bytes:
        if task.state is TaskState.FAILED:
            return callbacks.build_callback(task.task_id, None, code=task.error_code or 500)
        return callbacks.build_callback(task.task_id, task.video_url(self._base_url(task)))

    def _signature(self, task: Task) -> dict[str, str]:
        secret = self._config.callback_secret
        if secret is None:
            return {}
        return callbacks.sign_callback(task.task_id, secret, int(time.time()))

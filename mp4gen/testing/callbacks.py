"""The fake service's callbacks: sent at the end of a task, or lost, repeated, late and forged.

They go out as the vendor's pages describe them (docs.sunoapi.org, "Music Video Generation
Callbacks"); what the receiver answers is recorded, and decides whether one is sent again.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from random import Random
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import attrs

from mp4gen.api import protocol
from mp4gen.models import VideoStatus

from .state import FAILED_STATUSES, Duration, FakeTask

_ANSWER_SECONDS: Final = 15.0
_RETRIES: Final = 3
_ELSEWHERE: Final = "https://forged.example/video.mp4"


@attrs.frozen(kw_only=True)
class Callbacks:
    """How the service tells of the end of its tasks.

    Attributes:
        lost: the share of tasks of which nothing is told at all, 0 to 1.
        times: how often each callback is sent, all copies at once.
        delay: seconds from a task's end to its callback, or a function that draws them: with
            different delays they come in another order than the tasks end.
        forged: how many forgeries go before each true one: to guessed addresses and to the true
            one, about another task, with another link, unsigned.
        secret: the account's webhook key; None for no signature.
        pause: seconds before a callback that was not answered with 200 is sent again; doubled
            each time, three times in all.
    """

    lost: float = 0.0
    times: int = 1
    delay: Duration = 0.0
    forged: int = 0
    secret: str | None = None
    pause: float = 1.0


@attrs.frozen(kw_only=True)
class FakeCallback:
    """One callback that went out.

    Attributes:
        at: seconds of the service's loop.
        url: where it went.
        task_id: the task it was sent for.
        forged: whether it was a forgery.
        status: the receiver's HTTP status; 0 for no answer.
    """

    at: float
    url: str
    task_id: str
    forged: bool
    status: int


class Sender:
    """Sends one service's callbacks, on its loop.

    Args:
        how: how, and how badly.
        seed: of all chance.
        base_url: of the files.
    """

    def __init__(self, how: Callbacks, seed: int, base_url: str) -> None:
        self.sent: list[FakeCallback] = []
        self._how = how
        self._seed = seed
        self._base_url = base_url
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._running: set[asyncio.Task[None]] = set()

    def expect(self, task: FakeTask) -> None:
        """Tell of the end of `task`, once it comes."""
        host = urlsplit(task.request.callback_url or "").hostname or ""
        # Nobody can be reached there: it stands for "I only poll".
        if host.endswith(".invalid"):
            return
        running = asyncio.get_running_loop().create_task(self._tell(task))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def aclose(self) -> None:
        """Send nothing more."""
        for running in tuple(self._running):
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._session.close()

    async def post(
        self,
        task: FakeTask,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        url: str | None = None,
        forged: bool = False,
    ) -> int:
        """Send one callback; the receiver's status, 0 for none."""
        url = url or task.request.callback_url or ""
        own = {"Content-Type": "application/json", **(headers or {})}
        limit = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        try:
            async with self._session.post(url, data=body, headers=own, timeout=limit) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        self.sent.append(
            FakeCallback(
                at=asyncio.get_running_loop().time(),
                url=url,
                task_id=task.task_id,
                forged=forged,
                status=status,
            )
        )
        return status

    def signature(self, task_id: str) -> dict[str, str]:
        """The headers that sign a callback about `task_id`; none without a secret."""
        if self._how.secret is None:
            return {}
        return protocol.sign_callback(task_id, self._how.secret, int(time.time()))

    def body(self, task: FakeTask) -> bytes:
        """What is told of `task`."""
        if task.status in FAILED_STATUSES:
            return protocol.build_callback(task.task_id, None, code=500)
        return protocol.build_callback(task.task_id, f"{self._base_url}/files/{task.task_id}.mp4")

    async def _tell(self, task: FakeTask) -> None:
        chance = Random(f"{self._seed}/callback/{task.task_id}")  # noqa: S311 - a test's chance
        lost = chance.random() < self._how.lost
        delay = self._how.delay(chance) if callable(self._how.delay) else self._how.delay
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, task.completes_at - loop.time()) + delay)
        if lost:
            return
        for number in range(self._how.forged):
            await self._forge(task, number)
        await asyncio.gather(*(self._deliver(task) for _ in range(self._how.times)))

    async def _deliver(self, task: FakeTask) -> None:
        """Send until it is answered with 200, or often enough."""
        for number in range(_RETRIES + 1):
            if number:
                await asyncio.sleep(self._how.pause * 2 ** (number - 1))
            headers = self.signature(task.task_id)
            if await self.post(task, self.body(task), headers) == 200:
                return
        if task.status == VideoStatus.SUCCESS:
            # The file is there all the same.
            task.status = VideoStatus.CALLBACK_EXCEPTION

    async def _forge(self, task: FakeTask, number: int) -> None:
        """One forgery: at a guessed address, or at the true one about a task of its own."""
        true = task.request.callback_url or ""
        guessed = f"{true.rpartition('/')[0]}/{secrets.token_urlsafe(24)}"
        about = task.task_id if number % 2 == 0 else f"{task.task_id}-forged"
        url = guessed if number % 2 == 0 else true
        await self.post(task, protocol.build_callback(about, _ELSEWHERE), url=url, forged=True)

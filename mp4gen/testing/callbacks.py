"""Send the fake service's callbacks: on time, late, repeatedly, forged, or never.

They follow docs.sunoapi.org, "Music Video Generation Callbacks". A callback that is not answered
with 200 is sent again.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import attrs

from mp4gen.addresses import is_loopback
from mp4gen.api import callbacks
from mp4gen.conversion.callbacks import CallbackReceiver
from mp4gen.models import FAILED_STATUSES, VideoStatus

from .state import Duration, FakeTask, draw

_RESPONSE_TIMEOUT: Final = 15.0
_MAX_RETRIES: Final = 3
_FORGED_VIDEO_URL: Final = "https://forged.example/video.mp4"


@attrs.frozen(kw_only=True)
class CallbackBehavior:
    """How the service notifies of the end of its tasks.

    Attributes:
        loss_rate: The share of tasks without any callback, from 0 to 1.
        copies: The number of identical callbacks, sent at the same time.
        delay: The seconds from a task's end to its callback, or a function that draws them.
            Different delays reorder the callbacks.
        forged: The number of forgeries before each real callback: unsigned, with another link, at
            guessed URLs, or at the real URL about another task.
        secret: The account's webhook key; None for no signature.
        retry_delay: The seconds before a callback that was not answered with 200 is sent again;
            doubled each time, at most three times.
    """

    loss_rate: float = 0.0
    copies: int = 1
    delay: Duration = 0.0
    forged: int = 0
    secret: str | None = attrs.field(default=None, repr=False)
    retry_delay: float = 1.0


@attrs.frozen(kw_only=True)
class SentCallback:
    """A callback that was sent.

    Attributes:
        url: The URL that it was sent to.
        task_id: The task it was sent for.
        forged: Whether it was a forgery.
        status: The receiver's HTTP status; 0 for no response.
    """

    url: str
    task_id: str
    forged: bool
    status: int


class CallbackSender:
    """Sends one service's callbacks on its loop.

    Args:
        behavior: How the callbacks are sent.
        seed: The seed of all randomness.
        base_url: The base URL of the files.
        receivers: Those of the service's own clients.
    """

    def __init__(
        self,
        behavior: CallbackBehavior | None,
        seed: int,
        base_url: str,
        receivers: Sequence[CallbackReceiver],
    ) -> None:
        self.sent: list[SentCallback] = []
        self._behavior = behavior or CallbackBehavior()
        self._only_receivers = behavior is None
        self._receivers = receivers
        self._seed = seed
        self._base_url = base_url
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        self._deliveries: set[asyncio.Task[None]] = set()

    def schedule(self, task: FakeTask) -> None:
        """Send the callback of `task` when the task ends."""
        url = task.request.callback_url or ""
        host = urlsplit(url).hostname or ""
        # The client's placeholder for tasks that it only polls.
        if host.endswith(".invalid"):
            return
        if self._only_receivers and self._receiver_of(url) is None:
            return
        delivery = asyncio.get_running_loop().create_task(self._send_when_finished(task))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._deliveries.discard)

    async def aclose(self) -> None:
        """Cancel all callbacks that are not sent yet."""
        for delivery in tuple(self._deliveries):
            delivery.cancel()
        await asyncio.gather(*self._deliveries, return_exceptions=True)
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
        """Send one callback and return the receiver's status, 0 for no response."""
        url = url or task.request.callback_url or ""
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        receiver = self._receiver_of(url)
        if receiver is not None:
            status, _ = receiver.handle("POST", urlsplit(url).path, all_headers, body)
        else:
            status = await self._post_to_host(url, body, all_headers)
        self.sent.append(
            SentCallback(
                url=url,
                task_id=task.task_id,
                forged=forged,
                status=status,
            )
        )
        return status

    def _receiver_of(self, url: str) -> CallbackReceiver | None:
        """Return the receiver to hand a callback to without a request, or None.

        One with an address on this machine may be served there: then its own server is asked.
        """
        if not self._only_receivers and is_loopback(urlsplit(url).hostname):
            return None
        found = (each for each in self._receivers if url.startswith(f"{each.public_url}/"))
        return next(found, None)

    async def _post_to_host(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        timeout = aiohttp.ClientTimeout(total=_RESPONSE_TIMEOUT)
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=timeout
            ) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0

    def signature_headers(self, task_id: str) -> dict[str, str]:
        """Return the headers that sign a callback about `task_id`; none without a secret."""
        if self._behavior.secret is None:
            return {}
        return callbacks.sign_callback(task_id, self._behavior.secret, int(time.time()))

    def body(self, task: FakeTask) -> bytes:
        """Return the body of the callback of `task`."""
        if task.status in FAILED_STATUSES:
            return callbacks.build_callback(task.task_id, None, code=500)
        return callbacks.build_callback(task.task_id, f"{self._base_url}/files/{task.task_id}.mp4")

    async def _send_when_finished(self, task: FakeTask) -> None:
        random = Random(f"{self._seed}/callback/{task.task_id}")  # noqa: S311 - a test's chance
        is_lost = random.random() < self._behavior.loss_rate
        delay = draw(self._behavior.delay, random)
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, task.completes_at - loop.time()) + delay)
        if is_lost:
            return
        for number in range(self._behavior.forged):
            await self._forge(task, number)
        await asyncio.gather(*(self._deliver(task) for _ in range(self._behavior.copies)))

    async def _deliver(self, task: FakeTask) -> None:
        """Send the callback until it is answered with 200, at most four times."""
        for number in range(_MAX_RETRIES + 1):
            if number:
                await asyncio.sleep(self._behavior.retry_delay * 2 ** (number - 1))
            headers = self.signature_headers(task.task_id)
            if await self.post(task, self.body(task), headers) == 200:
                return
        if task.status == VideoStatus.SUCCESS:
            # The file exists nevertheless.
            task.status = VideoStatus.CALLBACK_EXCEPTION

    async def _forge(self, task: FakeTask, number: int) -> None:
        """Send a forgery to a guessed URL, or to the real one about another task."""
        real_url = task.request.callback_url or ""
        guessed_url = f"{real_url.rpartition('/')[0]}/{secrets.token_urlsafe(24)}"
        task_id = task.task_id if number % 2 == 0 else f"{task.task_id}-forged"
        url = guessed_url if number % 2 == 0 else real_url
        await self.post(
            task, callbacks.build_callback(task_id, _FORGED_VIDEO_URL), url=url, forged=True
        )

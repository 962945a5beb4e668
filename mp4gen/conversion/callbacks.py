"""Being told instead of asking: callbacks that wake the right wait, and cannot be forged.

No host of the family signs the link that its callback carries, so what makes one trustworthy is
the address that it came to: each submit names one that nobody else knows. This module answers the
requests that arrive there, within bounds, and never raises at those who send them.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from mp4gen.addresses import is_loopback, parse_http_url
from mp4gen.api.protocol import VideoCallback, parse_callback, verify_signature
from mp4gen.errors import ConfigurationError, ProtocolError
from mp4gen.options import invalid_setting
from mp4gen.transport.http import Secret
from mp4gen.transport.sleeper import WakeableSleep

if TYPE_CHECKING:
    from aiohttp import web

_log = logging.getLogger("mp4gen")

# The documented bodies have some hundred bytes.
MAX_BODY_BYTES = 64 << 10
_READ_TIMEOUT = 10.0
# Tokens of ended conversions, kept so that a late repeat is still answered with 200.
_MAX_RETIRED_TOKENS = 10_000


@attrs.define(eq=False)
class CallbackSubscription:
    """One conversion's claim to its callbacks.

    Attributes:
        tokens: the last parts of its addresses, one for each submit attempt.
        task_id: the video task, once the submit's answer has told it.
        last_callback: the latest callback.
    """

    _receiver: CallbackReceiver
    _loop: asyncio.AbstractEventLoop
    tokens: list[str] = attrs.field(factory=list)
    task_id: str | None = None
    last_callback: VideoCallback | None = None
    _sleeps: list[WakeableSleep] = attrs.field(factory=list)
    _undelivered: bool = False

    def new_url(self) -> str:
        """A callback address for one more submit attempt."""
        token = secrets.token_urlsafe(24)
        self.tokens.append(token)
        return self._receiver._register(token, self)

    async def wait(self, seconds: float) -> bool:
        """Return True when a callback has come since the last wait, False after `seconds`."""
        return await self.wake_on_callback(WakeableSleep(seconds))

    def wake_on_callback(self, sleep: WakeableSleep) -> WakeableSleep:
        """`sleep`, which ends when a callback comes, or at once if one came since the last."""
        if self._undelivered:
            self._undelivered = False
            sleep.wake()
        self._sleeps = [*self._waiting(), sleep]
        return sleep

    def close(self) -> None:
        """The conversion has ended; what still comes is answered and forgotten."""
        self._receiver._unregister(self.tokens)

    def deliver(self, callback: VideoCallback) -> None:
        """Take a callback in; called on the conversion's own loop."""
        if self.task_id in (None, callback.task_id):
            # News for nobody is kept for whoever waits next.
            waiting = self._waiting()
            self.last_callback, self._undelivered = callback, not waiting
            for sleep in waiting:
                sleep.wake()

    def deliver_threadsafe(self, callback: VideoCallback) -> None:
        """Take a callback in, from any thread."""
        try:
            self._loop.call_soon_threadsafe(self.deliver, callback)
        except RuntimeError:
            _log.debug("a callback came after its event loop had ended")

    def _waiting(self) -> list[WakeableSleep]:
        return [sleep for sleep in self._sleeps if not sleep.done()]


class CallbackReceiver:
    """Where the API reports the end of tasks, at addresses that nobody can guess.

    Args:
        public_url: the address under which the API reaches this receiver, with its path.
        secret: the account's webhook key, where the host signs (docs.kie.ai, "Webhook Security
            Verification"); None where it does not.
        confirm: whether a callback only wakes its wait, and the truth is read from the API. With
            False, what comes to a conversion's own address is believed, which saves the look.

    Attributes:
        _has_received: whether a callback has ever come through, so that more can be expected.

    Raises:
        ConfigurationError: `public_url` is not an http(s) address, or `secret` is empty.
    """

    def __init__(self, public_url: str, *, secret: str | None = None, confirm: bool = True) -> None:
        self.public_url = _validate_public_url(public_url)
        if secret is not None and not secret.strip():
            raise ConfigurationError("secret is empty: no callback could be verified; pass None")
        self.confirm = confirm
        self._has_received = False
        self._secret = Secret(secret) if secret is not None else None
        self._subscriptions: dict[str, CallbackSubscription] = {}
        self._retired_tokens: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"CallbackReceiver({self.public_url!r}, confirm={self.confirm})"

    def _subscribe(self, *tokens: str) -> CallbackSubscription:
        """A claim for one conversion; `tokens` are those of an earlier run of it."""
        subscription = CallbackSubscription(self, asyncio.get_running_loop())
        for token in tokens:
            subscription.tokens.append(token)
            self._register(token, subscription)
        return subscription

    def _register(self, token: str, subscription: CallbackSubscription) -> str:
        """Let callbacks with `token` through to `subscription`; the address they will come to."""
        with self._lock:
            self._subscriptions[token] = subscription
        return f"{self.public_url}/{token}"

    def _unregister(self, tokens: list[str]) -> None:
        """Let no callback with these tokens have an effect any more."""
        with self._lock:
            for token in tokens:
                if self._subscriptions.pop(token, None) is not None:
                    self._retired_tokens[token] = None
            while len(self._retired_tokens) > _MAX_RETIRED_TOKENS:
                self._retired_tokens.popitem(last=False)

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        """Answer one HTTP request of any framework, from any thread; never raises.

        Args:
            method: the request's method.
            path: its path; only the last part matters.
            headers: its headers, in any case.
            body: its body's bytes, as they came.

        Returns:
            the status and the body to answer with.
        """
        try:
            return self._handle(method, path, headers, body)
        except Exception as error:  # noqa: BLE001 - whatever a stranger sends, the app goes on
            # Without its traceback, whose variables would show the address.
            _log.error("a callback could not be handled (%s)", type(error).__name__)
            return 500, b'{"status":"error"}'

    def routes(self) -> list[web.RouteDef]:
        """The one POST route for an aiohttp application's router."""
        from aiohttp import web

        path = urlsplit(self.public_url).path.rstrip("/")
        return [web.post(f"{path}/{{token}}", _aiohttp_handler(self))]

    def _rejection_status(self, path: str, headers: Mapping[str, str], size: int) -> int | None:
        """The status to refuse a request with, before its body is read; None to go on."""
        token = path.partition("?")[0].rstrip("/").rpartition("/")[2]
        with self._lock:
            known = token in self._subscriptions or token in self._retired_tokens
        if not known:
            return 404
        if headers.get("content-encoding", "identity").lower() != "identity":
            return 415
        return 413 if size > MAX_BODY_BYTES else None

    def _handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        if method.upper() != "POST":
            return _reject(405)
        lowercase_headers = {str(name).lower(): str(value) for name, value in headers.items()}
        if status := self._rejection_status(path, lowercase_headers, len(body)):
            return _reject(status)
        try:
            callback = parse_callback(body)
        except ProtocolError:
            return _reject(400)
        secret = self._secret
        if secret is not None and not verify_signature(
            lowercase_headers, callback.task_id, secret, time.time()
        ):
            return _reject(401)
        with self._lock:
            subscription = self._subscriptions.get(
                path.partition("?")[0].rstrip("/").rpartition("/")[2]
            )
        if subscription is not None:
            if subscription.task_id not in (None, callback.task_id):
                return _reject(403)
            self._has_received = True
            subscription.deliver_threadsafe(callback)
        return 200, b'{"status":"received"}'


def trusted_video_url(callback: VideoCallback) -> str | None:
    """The link of a callback that may be used unread: https, or http on this machine."""
    parts = parse_http_url(callback.video_url or "")
    if callback.code != 200 or parts is None:
        return None
    safe = parts.scheme == "https" or is_loopback(parts.hostname)
    return callback.video_url if safe else None


def _aiohttp_handler(
    receiver: CallbackReceiver,
) -> Callable[[web.Request], Awaitable[web.Response]]:
    from aiohttp import web

    async def receive(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        status = receiver._rejection_status(request.path, headers, request.content_length or 0)
        if status is None:
            body = await _read_body(request)
            status, response_body = (
                (408, b"") if body is None else receiver.handle("POST", request.path, headers, body)
            )
        else:
            response_body = _reject(status)[1]
        return web.Response(status=status, body=response_body, content_type="application/json")

    return receive


async def _read_body(request: Any) -> bytes | None:
    """The body, a byte over the limit at most; None where it did not come in time."""
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_TIMEOUT):
            while len(body) <= MAX_BODY_BYTES and (chunk := await request.content.read(1 << 14)):
                body += chunk
    except TimeoutError:
        return None
    return bytes(body[: MAX_BODY_BYTES + 1])


def _reject(status: int) -> tuple[int, bytes]:
    return status, b'{"status":"refused"}'


def _validate_public_url(public_url: str) -> str:
    parts = parse_http_url(public_url)
    if parts is None or parts.query or parts.fragment:
        hint = "the URL at which the API reaches this program, like https://bot.example.com/mp4gen"
        raise invalid_setting("public_url", public_url, hint)
    return public_url.rstrip("/")

"""Receive callbacks: answer the API's requests and wake the waits for their tasks; polls nothing.

No host signs the video URL in its callback. A callback is trusted because of the URL to which it
was sent: each submit names a new one that cannot be guessed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from mp4gen.addresses import is_loopback, parse_http_url
from mp4gen.api.callbacks import VideoCallback, parse_callback
from mp4gen.errors import ConfigurationError, ValidationError
from mp4gen.options import invalid_setting
from mp4gen.secret import Secret
from mp4gen.transport.sleeper import WakeableSleep

if TYPE_CHECKING:
    from aiohttp import web

_log = logging.getLogger("mp4gen")

# The documented bodies have a few hundred bytes.
MAX_BODY_BYTES = 64 << 10
_READ_TIMEOUT = 10.0
_REJECTED = b'{"status":"refused"}'
# Tokens of finished conversions, kept so that a late duplicate is still answered with 200.
_MAX_RETIRED_TOKENS = 10_000
# Tasks in a row that end without their callback before callbacks count as lost. At a loss of one in
# five, one task in 25 meets two: it costs a few polls until the next callback arrives.
_MAX_MISSED = 2


@attrs.define(eq=False, repr=False)
class CallbackSubscription:
    """The subscription of one conversion to its callbacks.

    Attributes:
        tokens: The last parts of its callback URLs, one for each submit attempt.
        task_id: The video task; None until the response to the submit reports it.
        last_callback: The latest callback, or None.
    """

    _receiver: CallbackReceiver
    _loop: asyncio.AbstractEventLoop
    # Not shown: who knows a token can speak for the API.
    tokens: list[str] = attrs.field(factory=list, repr=False)
    task_id: str | None = None
    last_callback: VideoCallback | None = None
    _sleeps: list[WakeableSleep] = attrs.field(factory=list)
    _undelivered: bool = False

    @property
    def trusted_video_url(self) -> str | None:
        """The URL of the last callback if it is https, or http on this machine; else None."""
        callback = self.last_callback
        parts = parse_http_url(callback.video_url) if callback is not None else None
        if callback is None or callback.failed or parts is None:
            return None
        safe = parts.scheme == "https" or is_loopback(parts.hostname)
        return callback.video_url if safe else None

    def new_url(self) -> str:
        """Return the callback URL of a new submit attempt."""
        token = secrets.token_urlsafe(24)
        self.tokens.append(token)
        return self._receiver._register(token, self)

    def wake_on_callback(self, sleep: WakeableSleep) -> WakeableSleep:
        """Wake `sleep` at the next callback, immediately if one came since the last sleep."""
        if self._undelivered:
            self._undelivered = False
            sleep.wake()
        self._sleeps = [*self._waiting(), sleep]
        return sleep

    def close(self) -> None:
        """End the subscription; later callbacks are answered and ignored."""
        self._receiver._unregister(self.tokens)
        # The other waits for the task would learn of its end only from their next poll.
        for sleep in self._waiting():
            sleep.wake()

    def absorb(self, other: CallbackSubscription) -> None:
        """Receive the callbacks of `other`, too: both are about the same task."""
        for token in other.tokens:
            self._receiver._register(token, self)
        self.tokens += other.tokens
        if other.last_callback is not None:
            self.deliver(other.last_callback)

    def report_end(self) -> None:
        """Report that a poll has found the end of the task, maybe without any callback."""
        if self.last_callback is None:
            self._receiver._missed += 1

    def deliver(self, callback: VideoCallback) -> None:
        """Store a callback and wake the waits; call it on the conversion's own event loop."""
        if self.task_id in (None, callback.task_id):
            # Without a wait, the callback wakes the next one.
            waiting = self._waiting()
            self.last_callback, self._undelivered = callback, not waiting
            for sleep in waiting:
                sleep.wake()

    def deliver_threadsafe(self, callback: VideoCallback) -> None:
        """Deliver a callback from any thread."""
        try:
            self._loop.call_soon_threadsafe(self.deliver, callback)
        except RuntimeError:
            _log.debug("Ignored a callback: the event loop of its conversion is closed.")

    def _waiting(self) -> list[WakeableSleep]:
        return [sleep for sleep in self._sleeps if not sleep.done()]


class CallbackReceiver:
    """Receives the API's callbacks at URLs that cannot be guessed.

    Args:
        public_url: The URL, with its path, at which the API can reach this receiver.
        secret: The account's webhook key if the host signs callbacks (docs.kie.ai, "Webhook
            Security Verification"), else None.
        confirm: Whether to poll the API after a callback. If False, a callback to its
            conversion's own URL is trusted, which saves the poll.

    Raises:
        ConfigurationError: `public_url` is not an http(s) URL, or `secret` is empty.
    """

    def __init__(self, public_url: str, *, secret: str | None = None, confirm: bool = True) -> None:
        self._secret = None if secret is None else Secret(secret)
        # A traceback that shows the variables of this frame must not show the secret.
        del secret
        self.public_url = _validate_public_url(public_url)
        if self._secret is not None and not (self._secret and self._secret.is_text):
            kind = "empty" if self._secret.is_text else self._secret.type_name
            raise ConfigurationError(
                f"Invalid secret: {kind}. Use the webhook key as a string, or None if the host "
                "does not sign callbacks."
            )
        if not isinstance(confirm, bool):
            raise invalid_setting("confirm", confirm, "True or False")
        self.confirm = confirm
        # Whether callbacks have arrived, and how many tasks have since ended without theirs.
        self._has_received, self._missed = False, 0
        self._subscriptions: dict[str, CallbackSubscription] = {}
        self._retired_tokens: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        # An error reporter may show a receiver whose `__init__` failed halfway.
        url, confirm = getattr(self, "public_url", None), getattr(self, "confirm", None)
        return f"CallbackReceiver({url!r}, confirm={confirm})"

    @property
    def _callbacks_arrive(self) -> bool:
        """Whether callbacks are known to arrive, except for single ones that got lost."""
        return self._has_received and self._missed < _MAX_MISSED

    def _subscribe(self, *tokens: str) -> CallbackSubscription:
        """Return a new subscription that includes the `tokens` of an earlier run."""
        subscription = CallbackSubscription(self, asyncio.get_running_loop(), list(tokens))
        for token in tokens:
            self._register(token, subscription)
        return subscription

    def _register(self, token: str, subscription: CallbackSubscription) -> str:
        """Route callbacks with `token` to `subscription` and return their URL."""
        with self._lock:
            self._subscriptions[token] = subscription
        return f"{self.public_url}/{token}"

    def _unregister(self, tokens: list[str]) -> None:
        """Ignore callbacks with these tokens from now on."""
        with self._lock:
            for token in tokens:
                if self._subscriptions.pop(token, None) is not None:
                    self._retired_tokens[token] = None
            while len(self._retired_tokens) > _MAX_RETIRED_TOKENS:
                self._retired_tokens.popitem(last=False)

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | str
    ) -> tuple[int, bytes]:
        """Answer one HTTP request of any framework, from any thread. Never raises.

        Args:
            method: The request's method.
            path: The request's path; only its last part matters.
            headers: The request's headers, in any case.
            body: The request's raw body, or its text.

        Returns:
            The status and the body of the response.
        """
        try:
            raw_body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
            return self._handle(method, path, headers, raw_body)
        except Exception as error:  # noqa: BLE001 - no request may break the application
            # Without the traceback: its variables hold the token.
            _log.error("Cannot handle a callback: %s.", type(error).__name__)
            return 500, b'{"status":"error"}'

    def routes(self) -> list[web.RouteDef]:
        """Return the one POST route for an aiohttp application's router."""
        from aiohttp import web

        path = urlsplit(self.public_url).path.rstrip("/")
        return [web.post(f"{path}/{{token}}", self._handle_aiohttp)]

    async def _handle_aiohttp(self, request: web.Request) -> web.Response:
        from aiohttp import web

        headers = {name.lower(): value for name, value in request.headers.items()}
        status = self._rejection_status(request.path, headers, request.content_length or 0)
        response_body = _REJECTED
        if status is None:
            body = await _read_body(request)
            status, response_body = (
                (408, b"") if body is None else self.handle("POST", request.path, headers, body)
            )
        return web.Response(status=status, body=response_body, content_type="application/json")

    def _rejection_status(self, path: str, headers: Mapping[str, str], size: int) -> int | None:
        """Return the status that rejects a request before its body is read, or None."""
        token = _token(path)
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
            return 405, _REJECTED
        lowercase_headers = {str(name).lower(): str(value) for name, value in headers.items()}
        if status := self._rejection_status(path, lowercase_headers, len(body)):
            return status, _REJECTED
        try:
            callback = parse_callback(body, headers=lowercase_headers, secret=self._secret)
        except ValidationError as error:
            return 401 if error.field == "headers" else 400, _REJECTED
        with self._lock:
            subscription = self._subscriptions.get(_token(path))
        if subscription is not None:
            if subscription.task_id not in (None, callback.task_id):
                return 403, _REJECTED
            self._has_received, self._missed = True, 0
            subscription.deliver_threadsafe(callback)
        return 200, b'{"status":"received"}'


async def _read_body(request: web.Request) -> bytes | None:
    """Return the body, at most one byte over the limit, or None after the timeout."""
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_TIMEOUT):
            while len(body) <= MAX_BODY_BYTES and (chunk := await request.content.read(1 << 14)):
                body += chunk
    except TimeoutError:
        return None
    return bytes(body[: MAX_BODY_BYTES + 1])


def _token(path: str) -> str:
    return path.partition("?")[0].rstrip("/").rpartition("/")[2]


def _validate_public_url(public_url: str) -> str:
    parts = parse_http_url(public_url)
    if parts is None or parts.query or parts.fragment:
        hint = "the URL at which the API reaches this program, like https://bot.example.com/mp4gen"
        raise invalid_setting("public_url", public_url, hint)
    return public_url.rstrip("/")

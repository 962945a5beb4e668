"""Listens for callbacks while a command runs; the SDK interprets them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
from aiohttp import web
from cyclopts import Group, Parameter

from mp4gen.conversion.callbacks import CallbackReceiver

from .exit_codes import UsageError

_GROUP = Group("Callbacks", sort_key=9)
DEFAULT_PORT = 8788


@Parameter(name="*", group=_GROUP)
@attrs.frozen(kw_only=True)
class CallbackOptions:
    """Where the API notifies the command that a video has ended.

    Attributes:
        public_url: URL at which the API reaches --callback-port. Callbacks then save polls.
        callback_port: Port to listen on for callbacks, with --public-url.
        callback_host: Address to listen on; 0.0.0.0 without a proxy or tunnel.
    """

    public_url: str | None = None
    callback_port: int = DEFAULT_PORT
    callback_host: str = "127.0.0.1"

    def receiver(self) -> CallbackReceiver | None:
        """Return the receiver of the callbacks, or None without `--public-url`."""
        return None if self.public_url is None else CallbackReceiver(self.public_url)

    @asynccontextmanager
    async def listening(self, receiver: CallbackReceiver | None) -> AsyncIterator[None]:
        """Serve `receiver` while the block runs; do nothing if it is None."""
        if receiver is None:
            yield
            return
        app = web.Application()
        app.add_routes(receiver.routes())
        # No access log: the URLs are secret.
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await self._listen(runner)
            yield
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        try:
            await web.TCPSite(runner, self.callback_host, self.callback_port).start()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "it is out of range"
            raise UsageError(
                f"Cannot listen on {self.callback_host} port {self.callback_port}: {reason}. "
                "Choose another port with --callback-port."
            ) from None


NO_CALLBACKS = CallbackOptions()

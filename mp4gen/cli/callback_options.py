"""Listens for callbacks while a command runs; what they mean is the SDK's business."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

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
    """Where the API reports the end of videos."""

    public_url: Annotated[
        str | None,
        Parameter(
            help="The address at which the API reaches --callback-port of this machine. With it, "
            "the API tells of each video's end instead of being asked."
        ),
    ] = None
    callback_port: Annotated[
        int, Parameter(help="The port to listen on for callbacks, where there is --public-url.")
    ] = DEFAULT_PORT
    callback_host: Annotated[
        str,
        Parameter(help="The address to listen on; 0.0.0.0 where no proxy or tunnel is in between."),
    ] = "127.0.0.1"

    def receiver(self) -> CallbackReceiver | None:
        """What takes the callbacks; None without `--public-url`.

        Raises:
            ConfigurationError: the address cannot be one.
        """
        return None if self.public_url is None else CallbackReceiver(self.public_url)

    @asynccontextmanager
    async def listening(self, receiver: CallbackReceiver | None) -> AsyncIterator[None]:
        """Serve `receiver` while the block runs; without one, do nothing.

        Raises:
            UsageError: the port cannot be had.
        """
        if receiver is None:
            yield
            return
        app = web.Application()
        app.add_routes(receiver.routes())
        # The addresses are secret, so that there is no access log.
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
            why = getattr(error, "strerror", None) or "it cannot be one"
            raise UsageError(
                f"cannot listen on {self.callback_host} port {self.callback_port} ({why}); choose "
                "another with --callback-port"
            ) from None


# Nobody tells anything.
NO_CALLBACKS = CallbackOptions()

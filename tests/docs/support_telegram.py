"""A fake of Telegram's Bot API, for the tests of both Telegram bots."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

TOKEN, CHAT = "42:a-token", 7


class Telegram:
    """The part of Telegram's API that the bot uses.

    Attributes:
        messages: the texts that were sent, in order.
        blocked: whether the user has blocked the bot.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.blocked = False
        self.url = ""
        self._updates: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._numbers = itertools.count(1)

    def type_in(self, text: str) -> None:
        """Send the bot a message of a user."""
        number = next(self._numbers)
        length = len(text.partition(" ")[0])
        message = _message(text, number) | {
            "from": {"id": CHAT, "is_bot": False, "first_name": "Ann"},
            "entities": [{"type": "bot_command", "offset": 0, "length": length}],
        }
        self._updates.put_nowait({"update_id": number, "message": message})

    async def handle(self, request: web.Request) -> web.Response:
        """Respond to a call of the bot."""
        values = {name: str(value) for name, value in (await request.post()).items()}
        match request.match_info["method"].lower():
            case "getme":
                return _ok({"id": 42, "is_bot": True, "first_name": "Bot", "username": "bot"})
            case "getupdates":
                return _ok(await self._next_updates(float(values.get("timeout", 10))))
            case "sendmessage":
                return self._send_message(values["text"])
        return _ok(True)

    async def _next_updates(self, timeout: float) -> list[dict[str, Any]]:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                return [await self._updates.get()]
        return []

    def _send_message(self, text: str) -> web.Response:
        if self.blocked:
            return _refused(403, "Forbidden: bot was blocked by the user")
        self.messages.append(text)
        return _ok(_message(text, next(self._numbers)))


def _message(text: str, number: int) -> dict[str, Any]:
    return {"message_id": number, "date": 0, "chat": {"id": CHAT, "type": "private"}, "text": text}


def _ok(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _refused(code: int, text: str) -> web.Response:
    body = {"ok": False, "error_code": code, "description": text}
    return web.json_response(body, status=code)


@asynccontextmanager
async def serve_telegram() -> AsyncIterator[Telegram]:
    """Serve the fake on loopback."""
    api = Telegram()
    app = web.Application()
    app.router.add_route("*", f"/bot{TOKEN}/{{method}}", api.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield api
    await runner.cleanup()

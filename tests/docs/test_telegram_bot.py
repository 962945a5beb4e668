"""The Telegram example runs with its library, against fakes of Telegram's API and of ours."""

import asyncio
import itertools
import runpy
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from mp4gen.testing import FakeService
from tests.docs.support_bots import stored, until

ext = pytest.importorskip("telegram.ext", reason="the dev extra installs it")

pytestmark = pytest.mark.looptime

EXAMPLE = Path(__file__).parents[2] / ".docs" / "examples" / "telegram_bot.py"
TOKEN, CHAT = "42:a-token", 7


class Telegram:
    """The part of Telegram's API that the bot uses.

    Attributes:
        messages: the texts that were sent, in order.
        videos: the links of the videos that were sent.
        refuse_videos: whether videos are refused as too large.
        blocked: whether the user has blocked the bot.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.videos: list[str] = []
        self.refuse_videos = False
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
            case "sendvideo":
                return self._send_video(values["video"])
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

    def _send_video(self, url: str) -> web.Response:
        if self.refuse_videos:
            return _refused(400, "Bad Request: failed to get HTTP URL content")
        self.videos.append(url)
        return _ok(_message("", next(self._numbers)))


def _message(text: str, number: int) -> dict[str, Any]:
    return {"message_id": number, "date": 0, "chat": {"id": CHAT, "type": "private"}, "text": text}


def _ok(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _refused(code: int, text: str) -> web.Response:
    body = {"ok": False, "error_code": code, "description": text}
    return web.json_response(body, status=code)


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    api = Telegram()
    app = web.Application()
    app.router.add_route("*", f"/bot{TOKEN}/{{method}}", api.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield api
    await runner.cleanup()


class RunningBot:
    """A bot that runs as `Application.run_polling` runs it, until `stop`."""

    def __init__(self, url: str) -> None:
        self.application = ext.Application.builder().token(TOKEN).base_url(f"{url}/bot").build()
        runpy.run_path(str(EXAMPLE))["VideoBot"](self.application)
        self.running = False

    async def start(self) -> None:
        """Begin to poll Telegram."""
        await self.application.initialize()
        await self.application.post_init(self.application)
        await self.application.updater.start_polling()
        await self.application.start()
        self.running = True

    async def stop(self) -> None:
        """Stop as a redeploy would."""
        if self.running:
            self.running = False
            await self.application.updater.stop()
            await self.application.stop()
            await self.application.post_stop(self.application)
            await self.application.shutdown()


Start = Callable[[], Coroutine[Any, Any, RunningBot]]


@pytest.fixture
async def start(telegram: Telegram, service: FakeService) -> AsyncIterator[Start]:
    """Return a function that starts a bot; stop all bots at the end."""
    bots: list[RunningBot] = []

    async def started() -> RunningBot:
        bots.append(RunningBot(telegram.url))
        await bots[-1].start()
        return bots[-1]

    yield started
    for bot in bots:
        await bot.stop()


async def test_command_ends_with_its_video(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """The chat gets a note when the track is submitted, and the video when it is there."""
    await start()

    telegram.type_in("/video music track")
    await until(lambda: bool(telegram.messages))
    kept = stored()
    await until(lambda: bool(telegram.videos))
    await asyncio.sleep(1)
    (task,) = service.tasks.values()

    assert kept == [task.task_id]
    assert telegram.messages == ["Submitted: the video is being made."]
    assert telegram.videos == [service.file_url(task.task_id)]
    assert stored() == []


async def test_command_without_a_track_explains_itself(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """The response to bad input is the usage, and no request is sent."""
    await start()

    telegram.type_in("/video music")
    await until(lambda: bool(telegram.messages))

    assert telegram.messages == ["Usage: /video TASK_ID AUDIO_ID"]
    assert service.count() == 0


async def test_redeploy_loses_nothing(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """The second bot sends the video that the first one waited for, and pays nothing."""
    first = await start()
    telegram.type_in("/video music track")
    await until(lambda: bool(telegram.messages))
    await first.stop()
    kept = stored()

    await start()
    await until(lambda: bool(telegram.videos))
    await asyncio.sleep(1)

    assert kept == [*service.tasks]
    assert telegram.videos == [service.file_url(kept[0])]
    assert service.count("create") == 1
    assert stored() == []


async def test_refused_video_is_sent_as_a_link(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """A file that is too large for Telegram reaches the chat as its link."""
    telegram.refuse_videos = True
    await start()

    telegram.type_in("/video music track")
    await until(lambda: len(telegram.messages) == 2)

    assert telegram.messages[1] == service.file_url(*service.tasks)


async def test_chat_that_is_blocked_costs_no_video(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """A chat that has blocked the bot ends neither the conversion nor the bot."""
    telegram.blocked = True
    await start()

    telegram.type_in("/video music track")
    await until(lambda: bool(telegram.videos))

    assert telegram.messages == []


async def test_failure_ends_in_one_sentence(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """The reason of a failed task is sent to the chat, and the job is forgotten."""
    await start()

    telegram.type_in("/video music track")
    await until(lambda: bool(service.tasks))
    next(iter(service.tasks.values())).fail("the renderer is down")
    await until(lambda: len(telegram.messages) == 2)
    await asyncio.sleep(1)

    assert telegram.messages[1].startswith("No video: ")
    assert "the renderer is down" in telegram.messages[1]
    assert stored() == []


async def test_stopping_leaves_nothing_behind(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """A bot that is stopped while it converts has no task left, and keeps each id."""
    before = asyncio.all_tasks()
    bot = await start()
    for number in range(10):
        telegram.type_in(f"/video music track-{number}")
    await until(lambda: service.count("create") == 10 and len(telegram.messages) == 10)

    await bot.stop()
    await until(lambda: asyncio.all_tasks() == before)

    assert len(stored()) == 10
    assert telegram.videos == []

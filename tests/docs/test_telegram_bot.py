"""The Telegram example runs with its library, against fakes of Telegram's API and of ours."""

import asyncio
import runpy
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mp4gen.testing import FakeService
from tests.docs.support_bots import stored, until
from tests.docs.support_telegram import TOKEN, Telegram

ext = pytest.importorskip("telegram.ext", reason="the dev extra installs it")

pytestmark = pytest.mark.looptime

EXAMPLE = Path(__file__).parents[2] / ".docs" / "examples" / "telegram_bot.py"


def on_fake(url: str) -> Callable[[Any], Any]:
    """Return `ApplicationBuilder.build` for the fake of Telegram's API."""
    build = ext.ApplicationBuilder.build
    return lambda builder: build(builder.base_url(f"{url}/bot"))


class RunningBot:
    """A bot that runs as `Application.run_polling` runs it, until `stop` or `kill`."""

    def __init__(self) -> None:
        self.names = runpy.run_path(str(EXAMPLE))
        self.application = self.names["app"]
        self.running = False
        self.before = asyncio.all_tasks()

    async def start(self) -> None:
        """Begin to poll Telegram."""
        await self.application.initialize()
        await self.application.updater.start_polling()
        await self.application.start()
        self.running = True

    async def kill(self) -> None:
        """End the bot's tasks in the middle of their work, and close what a process would."""
        self.running = False
        tasks = asyncio.all_tasks() - self.before
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self.names["client"].aclose()
        await self.application.bot.shutdown()
        self.names["db"].close()

    async def stop(self) -> None:
        """Stop as after Ctrl+C."""
        if self.running:
            self.running = False
            await self.application.updater.stop()
            await self.application.stop()
            await self.application.post_stop(self.application)
            await self.application.shutdown()
            self.names["db"].close()


Start = Callable[[], Coroutine[Any, Any, RunningBot]]


@pytest.fixture
async def start(
    telegram: Telegram, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Return a function that starts a bot; stop all bots at the end."""
    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.setattr(ext.Application, "run_polling", lambda _: None)
    monkeypatch.setattr(ext.ApplicationBuilder, "build", on_fake(telegram.url))
    bots: list[RunningBot] = []

    async def started() -> RunningBot:
        bots.append(RunningBot())
        await bots[-1].start()
        return bots[-1]

    yield started
    for bot in bots:
        await bot.stop()


async def test_command_ends_with_its_link(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """Two commands are answered at once, each ends with its link, and nothing stays stored."""
    await start()

    telegram.type_in("/video music track")
    telegram.type_in("/video music other")
    await until(lambda: len(stored()) == 2)
    begun, kept = telegram.messages[:], stored()
    await until(lambda: len(telegram.messages) == 4 and stored() == [])

    assert begun == ["The video is being made."] * 2
    assert sorted(kept) == sorted(service.tasks)
    assert sorted(telegram.messages[2:]) == sorted(map(service.file_url, kept))


async def test_restart_loses_nothing(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """The bot that follows a killed one sends the link, and pays nothing."""
    first = await start()
    telegram.type_in("/video music track")
    await until(lambda: bool(stored()))
    await first.kill()
    (kept,) = stored()

    await start()
    await until(lambda: len(telegram.messages) == 2 and stored() == [])

    assert telegram.messages[1] == service.file_url(kept)
    assert service.count("create") == 1


async def test_failure_ends_in_one_sentence(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """The reason of a failed task is sent to the chat, and the job is forgotten."""
    await start()

    telegram.type_in("/video music track")
    await until(lambda: bool(service.tasks))
    next(iter(service.tasks.values())).fail("the renderer is down")
    await until(lambda: len(telegram.messages) == 2 and stored() == [])

    assert telegram.messages[1].startswith("No video: ")
    assert "the renderer is down" in telegram.messages[1]


async def test_refused_key_loses_no_video(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """An error that ends the wait but not the task keeps the id; the next start waits again."""
    first = await start()
    service.script("details", "unauthorized")
    telegram.type_in("/video music track")
    await until(lambda: len(telegram.messages) == 2)
    await first.stop()
    kept = stored()

    await start()
    await until(lambda: len(telegram.messages) == 3)

    assert "Unauthorized access" in telegram.messages[1]
    assert telegram.messages[2] == service.file_url(*kept)


async def test_chat_that_is_blocked_costs_no_video(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """A chat that has blocked the bot submits nothing."""
    telegram.blocked = True
    await start()

    telegram.type_in("/video music track")
    await asyncio.sleep(60)

    assert service.count() == 0

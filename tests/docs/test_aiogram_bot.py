"""The aiogram example runs with its dispatcher, against fakes of Telegram's API and of ours."""

import asyncio
import runpy
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from mp4gen.testing import FakeService
from tests.docs.support_bots import stored, until
from tests.docs.support_telegram import TOKEN, Telegram

aiogram = pytest.importorskip("aiogram", reason="the dev extra installs it")

pytestmark = pytest.mark.looptime

EXAMPLE = Path(__file__).parents[2] / ".docs" / "examples" / "aiogram_bot.py"

Start = Callable[[], Coroutine[Any, Any, Callable[[], Coroutine[Any, Any, None]]]]


@pytest.fixture
async def start(
    telegram: Telegram, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Return a function that starts a bot and returns its stop; stop all bots at the end."""
    from aiogram.client.session.aiohttp import AiohttpSession
    from aiogram.client.telegram import TelegramAPIServer

    def bot_on_fake(token: str) -> Any:
        return real_bot(token, AiohttpSession(api=TelegramAPIServer.from_base(telegram.url)))

    real_bot = aiogram.Bot
    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.setattr(aiogram, "Bot", bot_on_fake)
    monkeypatch.setattr(aiogram.Dispatcher, "run_polling", lambda *_: None)
    stops = []

    async def started() -> Callable[[], Coroutine[Any, Any, None]]:
        names = runpy.run_path(str(EXAMPLE))
        dispatcher, before = names["dispatcher"], asyncio.all_tasks()
        polling = asyncio.create_task(dispatcher.start_polling(names["bot"], handle_signals=False))
        await asyncio.sleep(0.1)

        async def stop() -> None:
            """Stop as after Ctrl+C, where `asyncio.run` cancels what remains."""
            if not polling.done():
                await dispatcher.stop_polling()
                await polling
                for task in (rest := asyncio.all_tasks() - before - {asyncio.current_task()}):
                    task.cancel()
                await asyncio.gather(*rest, return_exceptions=True)
                names["jobs"].close()

        stops.append(stop)
        return stop

    yield started
    for stop in stops:
        await stop()


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
    assert sorted(telegram.messages[2:]) == sorted(map(service.file_url, kept))


async def test_restart_loses_nothing(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """The bot that follows a stopped one sends the link, and pays nothing."""
    stop = await start()
    telegram.type_in("/video music track")
    await until(lambda: bool(stored()))
    await stop()
    (kept,) = stored()

    await start()
    await until(lambda: stored() == [])

    assert telegram.messages[1:] == [service.file_url(kept)]
    assert service.count("create") == 1


async def test_failure_ends_in_one_sentence(
    start: Start, service: FakeService, telegram: Telegram
) -> None:
    """The reason of a failed task is sent to the chat, and the job is forgotten."""
    await start()

    telegram.type_in("/video music track")
    await until(lambda: bool(stored()))
    next(iter(service.tasks.values())).fail("the renderer is down")
    await until(lambda: stored() == [])

    assert telegram.messages[1].startswith("No video: ")
    assert "the renderer is down" in telegram.messages[1]

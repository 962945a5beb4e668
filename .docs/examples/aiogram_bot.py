"""A bot on aiogram: `/video TASK_ID AUDIO_ID` sends the video; a restart loses none."""

import asyncio
import os
import re
import sqlite3
from collections.abc import Awaitable

from aiogram import Bot, Dispatcher, F, types

import mp4gen


def store(chat: int, task_id: str) -> None:
    jobs.execute("INSERT INTO jobs VALUES (?, ?)", [chat, task_id])


async def deliver(chat: int, conversion: Awaitable[mp4gen.Video]) -> None:
    try:
        done = await conversion
        text, ended = done.url, done.task_id
    except mp4gen.ConfigurationError:
        return  # the client was closed: the next start waits again
    except mp4gen.Mp4GenError as error:
        text, ended = f"No video: {error}", error.ended_task_id or ""
    await bot.send_message(chat, text[:4096])
    jobs.execute("DELETE FROM jobs WHERE chat = ? AND task_id = ?", [chat, ended])


async def video(message: types.Message, ids: re.Match[str]) -> None:
    chat, track = message.chat.id, mp4gen.Track(ids[1], ids[2])
    await message.answer("The video is being made.")
    await deliver(chat, client.convert(track, on_submitted=lambda task_id: store(chat, task_id)))


async def resume() -> None:
    for chat, task_id in jobs.execute("SELECT chat, task_id FROM jobs").fetchall():
        dispatcher[task_id] = asyncio.create_task(deliver(chat, client.wait_for_video(task_id)))


bot, dispatcher, client = Bot(os.environ["TOKEN"]), Dispatcher(), mp4gen.Client()
jobs = sqlite3.connect("bot.sqlite", isolation_level=None)
jobs.execute("CREATE TABLE IF NOT EXISTS jobs (chat, task_id)")
dispatcher.message.register(video, F.text.regexp(r"/video (\S+) (\S+)$").as_("ids"))
dispatcher.startup.register(resume)
dispatcher.shutdown.register(client.aclose)
dispatcher.run_polling(bot)

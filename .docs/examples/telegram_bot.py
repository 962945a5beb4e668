"""A bot on python-telegram-bot: `/video TASK_ID AUDIO_ID` sends the video; a restart loses none."""

import os
import sqlite3
from typing import Any

from telegram.ext import Application, CommandHandler, TypeHandler

import mp4gen

STORE = "INSERT INTO jobs VALUES (?, ?)"


async def send(chat: int, conversion: Any) -> None:
    try:
        done: mp4gen.Video = await conversion
        text, ended = done.url, done.task_id
    except mp4gen.Mp4GenError as error:
        text, ended = f"No video: {error}", error.ended_task_id or ""
    await app.bot.send_message(chat, text[:4096])
    db.execute("DELETE FROM jobs WHERE chat = ? AND task_id = ?", [chat, ended])


async def video(update: Any, context: Any) -> None:
    await update.effective_chat.send_message("The video is being made.")
    chat, track = update.effective_chat.id, mp4gen.Track(*context.args)
    await send(chat, client.convert(track, on_submitted=lambda new: db.execute(STORE, [chat, new])))


async def resume(job: tuple[int, str], _: object) -> None:
    await send(job[0], client.wait_for_video(job[1]))


client, db = mp4gen.Client(), sqlite3.connect("bot.sqlite", isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS jobs (chat, task_id)")
app = Application.builder().token(os.environ["TOKEN"]).post_stop(lambda _: client.aclose()).build()
app.add_handler(CommandHandler("video", video, has_args=2, block=False))
app.add_handler(TypeHandler(tuple, resume, block=False))
for job in db.execute("SELECT chat, task_id FROM jobs"):
    app.update_queue.put_nowait(job)
app.run_polling()

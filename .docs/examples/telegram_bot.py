"""A Telegram bot: `/video TASK_ID AUDIO_ID` answers with the video; a restart loses none.

All chats share one client, and therefore one rate limit. Each task id is stored before the first
poll, and the next start waits for it again.
"""

import asyncio
import os
import sqlite3
from contextlib import suppress
from typing import Any

from telegram import Update
from telegram.error import BadRequest, Forbidden, TelegramError
from telegram.ext import Application, CommandHandler

import mp4gen

USAGE = "Usage: /video TASK_ID AUDIO_ID"


class VideoBot:
    """The command of the bot, and the jobs that it runs."""

    def __init__(self, application: Application[Any, Any, Any, Any, Any, Any]) -> None:
        """Open the database; connections are opened by the first command."""
        self.bot = application.bot
        self.mp4gen = mp4gen.Client()
        self.database = sqlite3.connect("bot.sqlite", isolation_level=None)
        self.database.execute("CREATE TABLE IF NOT EXISTS jobs (chat, task_id)")
        self.tasks: set[asyncio.Task[None]] = set()
        application.add_handler(CommandHandler("video", self.video))
        application.post_init = self.resume
        application.post_stop = self.aclose

    async def video(self, update: Update, context: Any) -> None:
        """Start a conversion, and return at once so that the next command is answered."""
        if update.effective_chat is None:
            return
        chat = update.effective_chat.id
        match context.args:
            case [music_task, audio_id]:
                self.start_task(chat, audio_id, music_task)
            case _:
                await self.send(chat, USAGE)

    async def resume(self, _: object) -> None:
        """Wait for the tasks that were submitted before a restart."""
        for chat, task_id in self.database.execute("SELECT chat, task_id FROM jobs").fetchall():
            self.start_task(chat, task_id)

    def start_task(self, chat: int, identifier: str, music_task: str = "") -> None:
        """Run one job, and keep a reference to its asyncio task."""
        task = asyncio.create_task(self.run(chat, identifier, music_task))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self, chat: int, identifier: str, music_task: str) -> None:
        """Convert a track, or wait for the stored task if there is no music task.

        A job whose result cannot be sent stays stored, and the next start sends it.
        """

        async def submitted(task_id: str) -> None:
            nonlocal stored
            stored = task_id
            self.database.execute("INSERT INTO jobs VALUES (?, ?)", [chat, task_id])
            with suppress(TelegramError):  # the paid task continues
                await self.bot.send_message(chat, "Submitted: the video is being made.")

        stored, ended = "" if music_task else identifier, True
        try:
            if music_task:
                request = mp4gen.VideoRequest(music_task, identifier)
                video = await self.mp4gen.convert(request, on_submitted=submitted)
            else:
                video = await self.mp4gen.wait_for_video(stored)
            await self.send_video(chat, video.url)
        except mp4gen.Mp4GenError as error:
            ended = not isinstance(error, mp4gen.WaitTimeoutError | mp4gen.AuthenticationError)
            await self.send(chat, f"No video: {error}")
        if ended:
            delete = "DELETE FROM jobs WHERE chat = ? AND task_id = ?"
            self.database.execute(delete, [chat, stored])

    async def send_video(self, chat: int, url: str) -> None:
        """Let Telegram fetch the video; send the link if the file is too large for that."""
        try:
            await self.bot.send_video(chat, url)
        except BadRequest:
            await self.send(chat, url)
        except Forbidden:
            pass  # the chat is gone

    async def send(self, chat: int, text: str) -> None:
        """Send a message, unless the chat is gone."""
        with suppress(BadRequest, Forbidden):
            await self.bot.send_message(chat, text[:4096])

    async def aclose(self, _: object) -> None:
        """Cancel all jobs; their tasks go on at the service."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.mp4gen.aclose()
        self.database.close()


if token := os.environ.get("TELEGRAM_TOKEN"):
    application = Application.builder().token(token).build()
    VideoBot(application)
    application.run_polling()

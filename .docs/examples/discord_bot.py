"""A Discord bot whose users turn tracks into videos; a restart loses none.

Its users share one client, and therefore one rate limit. Each task id is stored before the first
poll, and the next start waits for it again. The response to a command can be edited for 15 minutes;
what comes later, or after a restart, goes to the channel. No text can mention a user.
"""

import asyncio
import os
import sqlite3
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
import discord
from discord import app_commands

import mp4gen


class Job:
    """One video for one user, reported in the command's response or in the channel."""

    def __init__(self, bot: "Bot", channel: int, user: int, task_id: str = "", row: int = 0):
        """Remember whom to report to, and the task if it was submitted before a restart."""
        self.bot, self.channel, self.user = bot, bot.get_partial_messageable(channel), user
        self.task_id, self.row = task_id, row
        self.interaction: discord.Interaction[Bot] | None = None
        self.lock, self.finished = asyncio.Lock(), False

    async def run(self, **track: Any) -> None:
        """Submit the track, or wait for the stored task, and report the result."""
        client, ended = self.bot.mp4gen, True
        try:
            if track:
                request = mp4gen.VideoRequest(**track)
                video = await client.convert(request, on_submitted=self.submitted)
            else:
                video = await client.wait_for_video(self.task_id)
            text = f"{video.url} (made earlier)" if video.adopted else video.url
        except mp4gen.Mp4GenError as error:
            text = f"No video: {error}"
            ended = not isinstance(error, mp4gen.WaitTimeoutError | mp4gen.AuthenticationError)
        await self.report(text, last=True)
        if ended:
            self.bot.database.execute("DELETE FROM jobs WHERE rowid = ?", [self.row])

    async def submitted(self, task_id: str) -> None:
        """Store the id of the new task."""
        values = [self.channel.id, self.user, task_id]
        stored = self.bot.database.execute("INSERT INTO jobs VALUES (?, ?, ?)", values)
        self.task_id, self.row = task_id, stored.lastrowid or 0
        await self.report("Submitted: the video is being made.")

    async def report(self, text: str, *, last: bool = False) -> None:
        """Edit the response while Discord allows it; send only the last text to the channel."""
        async with self.lock:  # so that nothing follows the last text
            if self.finished:
                return
            self.finished = last
            if self.interaction is not None and not self.interaction.is_expired():  # 15 minutes
                with suppress(discord.HTTPException, aiohttp.ClientError):
                    await self.interaction.edit_original_response(content=text[:2000])
                    return
            if last:
                with suppress(discord.Forbidden, discord.NotFound):
                    await self.channel.send(f"<@{self.user}> {text}"[:2000])


class Bot(discord.Client):
    """The bot: one client for all users, one database, one asyncio task for each job."""

    def __init__(self) -> None:
        """Open the database; connections are opened by the first command."""
        silent = discord.AllowedMentions.none()  # whatever a user or the API has written
        super().__init__(intents=discord.Intents(guilds=True), allowed_mentions=silent)
        self.tree = app_commands.CommandTree(self)
        self.tree.add_command(video)
        self.mp4gen = mp4gen.Client(on_event=self.on_mp4gen_event)
        self.database = sqlite3.connect("bot.sqlite", isolation_level=None)
        self.database.execute("CREATE TABLE IF NOT EXISTS jobs (channel, user, task_id)")
        self.tasks: dict[asyncio.Task[None], Job] = {}

    def start_task(self, job: Job, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, and keep a reference to its task: asyncio itself holds a weak one."""
        task = asyncio.create_task(work)
        self.tasks[task] = job
        task.add_done_callback(self.tasks.pop)

    def on_mp4gen_event(self, event: mp4gen.Event) -> None:
        """Report each poll to the job that it belongs to."""
        if isinstance(event, mp4gen.PollEvent):
            for job in set(self.tasks.values()):
                if job.task_id == event.task_id:
                    self.start_task(job, job.report(f"{event.status} after {event.elapsed:.0f} s"))

    async def setup_hook(self) -> None:
        """Resume the stored jobs, and register the command."""
        rows = self.database.execute("SELECT channel, user, task_id, rowid FROM jobs").fetchall()
        for job in [Job(self, *row) for row in rows]:
            self.start_task(job, job.run())
        await self.tree.sync()

    async def close(self) -> None:
        """Cancel all jobs; their tasks go on at the service."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.mp4gen.aclose()
        self.database.close()
        await super().close()


@app_commands.command(description="Turn a track into a video")
async def video(
    interaction: discord.Interaction[Bot], task_id: str, audio_id: str, author: str = ""
) -> None:
    """Start a job, and answer within the three seconds that Discord allows."""
    await interaction.response.defer()
    job = Job(interaction.client, interaction.channel_id or 0, interaction.user.id)
    job.interaction = interaction
    track = {"task_id": task_id, "audio_id": audio_id, "author": author or None}
    interaction.client.start_task(job, job.run(**track))


if token := os.environ.get("DISCORD_TOKEN"):
    Bot().run(token)

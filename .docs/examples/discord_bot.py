"""A bot on discord.py: `/video` sends a track's video to the channel; a restart loses none."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable

import discord

import mp4gen


class Bot(discord.Client):
    async def setup_hook(self) -> None:
        for channel, task_id in jobs.execute("SELECT channel, task_id FROM jobs").fetchall():
            resumed.add(asyncio.create_task(deliver(channel, client.wait_for_video(task_id))))
        await tree.sync()

    async def close(self) -> None:
        await super().close()
        await client.aclose()


client, resumed = mp4gen.Client(), set[asyncio.Task[None]]()
jobs = sqlite3.connect("bot.sqlite", isolation_level=None)
jobs.execute("CREATE TABLE IF NOT EXISTS jobs (channel, task_id)")
bot = Bot(intents=discord.Intents.none(), allowed_mentions=discord.AllowedMentions.none())
tree = discord.app_commands.CommandTree(bot)


def store(channel: int, task_id: str) -> None:
    jobs.execute("INSERT INTO jobs VALUES (?, ?)", [channel, task_id])


async def deliver(channel: int, conversion: Awaitable[mp4gen.Video]) -> None:
    try:
        done = await conversion
        text, ended = done.url, done.task_id
    except mp4gen.Mp4GenError as error:
        text, ended = f"No video: {error}", error.ended_task_id or ""
    if bot.is_closed():
        return  # the next start waits again
    await bot.get_partial_messageable(channel).send(text[:2000])
    jobs.execute("DELETE FROM jobs WHERE channel = ? AND task_id = ?", [channel, ended])


@tree.command(description="Turn a track into a video")
async def video(interaction: discord.Interaction, task_id: str, audio_id: str) -> None:
    await interaction.response.send_message("The video is being made.")
    channel, track = interaction.channel_id or 0, mp4gen.Track(task_id, audio_id)
    await deliver(channel, client.convert(track, on_submitted=lambda new: store(channel, new)))


bot.run(os.environ["TOKEN"])

"""The Discord example runs with discord.py, against fakes of Discord's REST API and of ours."""

import asyncio
import itertools
import json
import runpy
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from mp4gen.testing import FakeService
from tests.docs.support_bots import stored, until

with warnings.catch_warnings():
    # Before Python 3.13, discord.py imports a deprecated module of the standard library.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import discord

pytestmark = pytest.mark.looptime

EXAMPLE = Path(__file__).parents[2] / ".docs" / "examples" / "discord_bot.py"
APPLICATION, CHANNEL, GUILD = 11, 22, 33
ANN, BEN = 101, 102


class Discord:
    """The part of Discord's REST API that the bot uses; records what it receives.

    Attributes:
        responses: the text of each interaction's response, by the token.
        messages: the texts that were sent to the channel.
        mentions: `allowed_mentions` of each text.
        commands: the registered commands.
    """

    def __init__(self) -> None:
        self.responses: dict[str, str] = {}
        self.messages: list[str] = []
        self.mentions: list[Any] = []
        self.commands: list[dict[str, Any]] = []
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/users/@me", self._me),
                web.get("/oauth2/applications/@me", self._application),
                web.put(f"/applications/{APPLICATION}/commands", self._register),
                web.post("/interactions/{id}/{token}/callback", self._respond),
                web.post(f"/channels/{CHANNEL}/messages", self._send),
            ]
        )
        return app

    async def _me(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bot a-token"
        return _json(_user(APPLICATION, "bot") | {"bot": True})

    async def _application(self, _: web.Request) -> web.Response:
        about = {"id": str(APPLICATION), "name": "bot", "description": "", "icon": None}
        rights = {"bot_public": True, "bot_require_code_grant": False, "verify_key": "", "flags": 0}
        return _json(about | rights | {"owner": _user(1, "owner")})

    async def _register(self, request: web.Request) -> web.Response:
        self.commands = await request.json()
        ids = {"application_id": str(APPLICATION), "version": "1"}
        return _json(
            [{**each, **ids, "id": str(number)} for number, each in enumerate(self.commands, 1)]
        )

    async def _respond(self, request: web.Request) -> web.Response:
        data = (await request.json())["data"]
        self.responses[request.match_info["token"]] = data["content"]
        self.mentions.append(data.get("allowed_mentions"))
        return _json({"interaction": {"id": request.match_info["id"], "type": 2}})

    async def _send(self, request: web.Request) -> web.Response:
        message = await request.json()
        self.messages.append(message["content"])
        self.mentions.append(message.get("allowed_mentions"))
        return _json(_message(message["content"]))


def _json(data: Any, *, status: int = 200) -> web.Response:
    # Discord sends no charset, and discord.py compares the whole header.
    headers = {"Content-Type": "application/json"}
    return web.Response(body=json.dumps(data).encode(), status=status, headers=headers)


def _user(number: int, name: str) -> dict[str, Any]:
    return {"id": str(number), "username": name, "discriminator": "0", "avatar": None}


def _message(content: str) -> dict[str, Any]:
    lists = ("mentions", "mention_roles", "attachments", "embeds", "components")
    flags = {"tts": False, "mention_everyone": False, "pinned": False, "edited_timestamp": None}
    return {
        "id": "44",
        "type": 0,
        "channel_id": str(CHANNEL),
        "author": _user(APPLICATION, "bot"),
        "content": content,
        "timestamp": "2026-01-01T00:00:00+00:00",
        **flags,
        **{name: [] for name in lists},
    }


_numbers = itertools.count(1)


def command(user: int, *, audio_id: str) -> dict[str, Any]:
    """Return the gateway's event for `user` typing /video; its token is the audio id."""
    values = {"task_id": "music", "audio_id": audio_id}
    member = {"user": _user(user, f"user-{user}"), "roles": [], "joined_at": None, "flags": 0}
    snowflake = discord.utils.time_snowflake(datetime.now(UTC)) + next(_numbers)
    return {
        "id": str(snowflake),
        "application_id": str(APPLICATION),
        "type": 2,
        "token": audio_id,
        "version": 1,
        "guild_id": str(GUILD),
        "channel": {"id": str(CHANNEL), "type": 0, "name": "music", "position": 0},
        "member": member | {"deaf": False, "mute": False, "permissions": "0"},
        "attachment_size_limit": 1 << 20,
        "entitlements": [],
        "data": {
            "id": "1",
            "name": "video",
            "type": 1,
            "options": [{"name": name, "type": 3, "value": text} for name, text in values.items()],
        },
    }


@pytest.fixture
async def discord_api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Discord]:
    api = Discord()
    runner = web.AppRunner(api.app(), access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setattr(discord.http.Route, "BASE", f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield api
    await runner.cleanup()


Start = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture
async def start(
    discord_api: Discord, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Start]:
    """Return a function that starts a bot as `Client.run` does, without the gateway."""
    monkeypatch.setenv("TOKEN", "a-token")
    monkeypatch.setattr(discord.Client, "run", lambda *_: None)
    programs = []

    async def started() -> Any:
        programs.append(runpy.run_path(str(EXAMPLE)))
        await programs[-1]["bot"].login("a-token")
        return programs[-1]["bot"]

    yield started
    for names in programs:
        await names["bot"].close()
        names["jobs"].close()


def type_in(bot: Any, interaction: dict[str, Any]) -> None:
    """Pass a command to the bot at the point where the gateway does."""
    bot._connection.parse_interaction_create(interaction)


async def test_command_ends_with_its_link(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """Two commands are answered at once, each ends with its link, and nothing stays stored."""
    bot = await start()

    for user, audio_id in ((ANN, "track"), (BEN, "other")):
        type_in(bot, command(user, audio_id=audio_id))
    await until(lambda: len(stored()) == 2)
    begun, kept = dict(discord_api.responses), stored()
    await until(lambda: stored() == [])

    assert [each["name"] for each in discord_api.commands] == ["video"]
    assert begun == dict.fromkeys(["track", "other"], "The video is being made.")
    assert sorted(kept) == sorted(service.tasks)
    assert sorted(discord_api.messages) == sorted(map(service.file_url, kept))
    assert discord_api.mentions == [{"parse": []}] * 4


async def test_restart_loses_nothing(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """The bot that follows a stopped one sends the link, and pays nothing."""
    before = asyncio.all_tasks()
    first = await start()
    type_in(first, command(ANN, audio_id="track"))
    await until(lambda: bool(stored()))
    await first.close()
    await until(lambda: asyncio.all_tasks() == before)
    (kept,) = stored()

    await start()
    await until(lambda: stored() == [])

    assert discord_api.messages == [service.file_url(kept)]
    assert service.count("create") == 1


async def test_failure_ends_in_one_sentence(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """The channel reads the reason of a failed video, which mentions no user."""
    bot = await start()

    type_in(bot, command(ANN, audio_id="track"))
    await until(lambda: bool(stored()))
    service.tasks["video_000001"].fail("@everyone, the renderer is down")
    await until(lambda: stored() == [])

    (text,) = discord_api.messages
    assert text.startswith("No video: ")
    assert "@everyone, the renderer is down" in text
    assert discord_api.mentions[-1] == {"parse": []}


async def test_refused_key_loses_no_video(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """An error that ends the wait but not the task keeps the id; the next start waits again."""
    first = await start()
    service.script("details", "unauthorized")
    type_in(first, command(ANN, audio_id="track"))
    await until(lambda: bool(discord_api.messages))
    await first.close()

    await start()
    await until(lambda: stored() == [])

    refused, link = discord_api.messages
    assert "Unauthorized access" in refused
    assert link == service.file_url("video_000001")

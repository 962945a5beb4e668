"""The Discord example runs with discord.py, against fakes of Discord's REST API and of ours."""

import asyncio
import itertools
import json
import re
import runpy
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import mp4gen
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
        responses: the texts of each interaction's response, edit by edit, by the token.
        messages: the texts that were sent to the channel.
        mentions: `allowed_mentions` of each text.
        deferred: the tokens of the interactions that were deferred.
        commands: the registered commands.
        expired: whether the tokens of interactions have expired.
    """

    def __init__(self) -> None:
        self.responses: dict[str, list[str]] = {}
        self.messages: list[str] = []
        self.mentions: list[Any] = []
        self.deferred: list[str] = []
        self.commands: list[dict[str, Any]] = []
        self.expired = False
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/users/@me", self._me),
                web.get("/oauth2/applications/@me", self._application),
                web.put(f"/applications/{APPLICATION}/commands", self._register),
                web.post("/interactions/{id}/{token}/callback", self._defer),
                web.patch(f"/webhooks/{APPLICATION}/{{token}}/messages/@original", self._edit),
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

    async def _defer(self, request: web.Request) -> web.Response:
        assert (await request.json())[
            "type"
        ] == discord.InteractionResponseType.deferred_channel_message.value
        self.deferred.append(request.match_info["token"])
        return _json({"interaction": {"id": request.match_info["id"], "type": 2}})

    async def _edit(self, request: web.Request) -> web.Response:
        if self.expired:
            refusal = {"message": "Invalid Webhook Token", "code": 50027}
            return _json(refusal, status=401)
        return await self._receive(
            request, self.responses.setdefault(request.match_info["token"], [])
        )

    async def _send(self, request: web.Request) -> web.Response:
        return await self._receive(request, self.messages)

    async def _receive(self, request: web.Request, texts: list[str]) -> web.Response:
        message = await request.json()
        texts.append(message["content"])
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


def command(
    user: int, *, audio_id: str, age: timedelta = timedelta(), **more: str
) -> dict[str, Any]:
    """Return the gateway's event for `user` typing /video; its token is the audio id."""
    values = {"task_id": "music", "audio_id": audio_id, **more}
    member = {"user": _user(user, f"user-{user}"), "roles": [], "joined_at": None, "flags": 0}
    snowflake = discord.utils.time_snowflake(datetime.now(UTC) - age) + next(_numbers)
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
async def start(discord_api: Discord, service: FakeService) -> AsyncIterator[Start]:
    """Return a function that starts a bot as `Bot().run` does, without the gateway."""
    names = runpy.run_path(str(EXAMPLE), run_name="bot")
    bots = []

    async def started() -> Any:
        bots.append(names["Bot"]())
        await bots[-1].login("a-token")
        return bots[-1]

    yield started
    for bot in bots:
        await bot.close()


def type_in(bot: Any, interaction: dict[str, Any]) -> None:
    """Pass a command to the bot at the point where the gateway does."""
    bot._connection.parse_interaction_create(interaction)


async def test_command_ends_with_its_link(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """The bot defers immediately, reports progress in the response, and ends with the link."""
    bot = await start()

    type_in(bot, command(ANN, audio_id="track", author="Ann <@&5>"))
    await until(lambda: "track" in discord_api.responses)
    begun, kept = discord_api.responses["track"][:], stored()
    await until(lambda: not bot.tasks)
    *progress, last = discord_api.responses["track"]
    (task,) = service.tasks.values()

    assert [each["name"] for each in discord_api.commands] == ["video"]
    assert discord_api.deferred == ["track"]
    assert begun == ["Submitted: the video is being made."]
    assert kept == [task.task_id]
    assert len(progress) >= 3
    assert all(re.fullmatch(r"PENDING after \d+ s", text) for text in progress[1:])
    assert last == service.file_url(task.task_id)
    assert task.request.author == "Ann <@&5>"
    assert discord_api.messages == []
    assert discord_api.mentions == [{"parse": []}] * len(discord_api.responses["track"])
    assert stored() == []


async def test_users_share_one_client(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """Thirty commands of two users at once stay within the limit, and each gets its own link."""
    bot = await start()
    tracks = {f"{user}-{number}": user for number in range(15) for user in (ANN, BEN)}

    for track, user in tracks.items():
        type_in(bot, command(user, audio_id=track))
    await until(lambda: len(discord_api.deferred) == 30 and not bot.tasks)
    links = {
        task.request.audio_id: service.file_url(task.task_id) for task in service.tasks.values()
    }

    assert {track: texts[-1] for track, texts in discord_api.responses.items()} == links
    assert links.keys() == tracks.keys()
    assert service.peak_requests() <= 20
    assert not any(call.rate_limited for call in service.requests)


async def test_redeploy_loses_nothing(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """The second bot sends the video that the first one waited for, and pays nothing."""
    first = await start()
    type_in(first, command(ANN, audio_id="track"))
    await until(lambda: len(discord_api.responses.get("track", [])) == 2)
    await first.close()
    before = discord_api.responses["track"][:]
    (task,) = service.tasks.values()
    kept = stored()

    second = await start()
    await until(lambda: not second.tasks)

    assert kept == [task.task_id]
    assert discord_api.messages == [f"<@{ANN}> {service.file_url(task.task_id)}"]
    assert discord_api.mentions[-1] == {"parse": []}
    assert discord_api.responses["track"] == before
    assert service.count("create") == 1
    assert stored() == []


async def test_failure_ends_in_one_sentence(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """The user of a failed video reads the reason in one line, which mentions no user."""
    bot = await start()

    type_in(bot, command(ANN, audio_id="track"))
    await until(lambda: bool(service.tasks))
    service.tasks["video_000001"].fail("@everyone, the renderer is down")
    await until(lambda: not bot.tasks)

    assert discord_api.responses["track"][-1] == (
        "No video: Task video_000001: the service gave up: GENERATE_MP4_FAILED: "
        "@everyone, the renderer is down, code 500."
    )
    assert discord_api.mentions[-1] == {"parse": []}
    assert stored() == []


async def test_invalid_request_costs_nothing(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """The response names the invalid field, and no request is sent."""
    bot = await start()

    type_in(bot, command(ANN, audio_id="track", author="A" * 51))
    await until(lambda: bool(discord_api.responses))

    (text,) = discord_api.responses["track"]
    assert text.startswith("No video: Invalid author: ")
    assert service.count() == 0


@pytest.mark.parametrize("how", ["old", "refused"])
async def test_late_result_goes_to_the_channel(
    start: Start, service: FakeService, discord_api: Discord, how: str
) -> None:
    """After 15 minutes, by our clock or by Discord's, the link is sent to the channel."""
    bot = await start()
    discord_api.expired = how == "refused"
    age = timedelta(minutes=15 if how == "old" else 0)

    type_in(bot, command(BEN, audio_id="track", age=age))
    await until(lambda: bool(discord_api.messages))

    assert discord_api.messages == [f"<@{BEN}> {service.file_url('video_000001')}"]
    assert discord_api.responses == {}


async def test_refused_key_loses_no_video(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """An error that ends the wait but not the task keeps the id; the next start waits again."""
    first = await start()
    service.script("details", "unauthorized")
    type_in(first, command(ANN, audio_id="track"))
    await until(lambda: bool(service.tasks) and not first.tasks)
    text = discord_api.responses["track"][-1]
    await first.close()

    second = await start()
    await until(lambda: not second.tasks)

    assert text.startswith("No video: ")
    assert "Unauthorized access" in text
    assert discord_api.messages == [f"<@{ANN}> {service.file_url('video_000001')}"]
    assert service.count("create") == 1
    assert stored() == []


async def test_closing_leaves_nothing_behind(
    start: Start, service: FakeService, discord_api: Discord
) -> None:
    """A bot that is closed while it converts leaves no task, and keeps each id."""
    before = asyncio.all_tasks()
    bot = await start()
    for number in range(30):
        type_in(bot, command(ANN, audio_id=f"track-{number}"))
    await until(lambda: service.count("details") > 0 and service.count("create") == 30)

    await bot.close()
    await bot.close()
    await until(lambda: asyncio.all_tasks() == before)

    assert len(stored()) == 30
    assert discord_api.messages == []
    with pytest.raises(mp4gen.Mp4GenError):
        await bot.mp4gen.get_credits()

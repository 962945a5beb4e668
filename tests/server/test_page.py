"""What the page's script asks for: who may, what it gets, what it changes."""

import asyncio
import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace as Usage
from typing import Any

import aiohttp
import pytest
from PIL import Image

from mp4gen.errors import InvalidRequestError
from mp4gen.server.library import metadata_cache, uploads
from mp4gen.server.library.metadata_cache import MetadataCache
from mp4gen.server.library.uploads import safe_name
from mp4gen.server.queue.store import Store
from mp4gen.server.rendering import previews
from mp4gen.server.rendering.pool import WorkerSlot
from mp4gen.server.web import change_feed, page_api, page_assets

from .conftest import Serve, write_song

ONE = {"task": "album", "audio": "one"}


async def until(true: Callable[[], bool]) -> None:
    while True:
        if true():
            return
        await asyncio.sleep(0.01)


async def test_the_page_is_locked_down_and_whole(serve: Serve, visit: Any) -> None:
    """The page loads nothing from elsewhere, cannot be framed, and gives a strict cookie."""
    visitor = visit(await serve())

    status, headers, body = await visitor.ask("GET", "/")

    assert status == 200
    assert b"<title>mp4gen</title>" in body
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]
    for name in ("style.css", *page_assets.SCRIPTS, "icon.svg", "Inter-Regular.ttf"):
        status, headers, content = await visitor.ask("GET", f"/page/asset/{name}")
        assert status == 200
        assert content
        assert b"http://" not in content.replace(b"http://www.w3.org/", b"") or name.endswith("ttf")
    assert (await visitor.ask("GET", "/page/asset/..%2fapp.py"))[0] == 404


async def test_the_library_is_shown_with_what_its_files_say(serve: Serve, visit: Any) -> None:
    """Every track is listed by the ids of the API; lengths are filled in."""
    caller = await serve()
    visitor = visit(caller)
    expected = {(".", "loose"), ("album", "one"), ("album", "two"), ("Artist/Nachtmusik", "夜の窓")}

    told = await visitor.open()
    async with visitor.session.get(f"{caller.url}/page/events") as events:
        async for line in events.content:
            if line.startswith(b"data:") and json.loads(line[5:])["library_version"]:
                break
    later = await visitor.state()

    assert {(one["task"], one["audio"]) for one in told["library"]} == expected
    assert {round(one["duration"]) for one in later["library"]} == {1}
    assert not told["requires_key"]


async def test_files_that_come_later_are_noticed(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open page learns of music that was put into the folder, without being loaded again."""
    monkeypatch.setattr(change_feed, "HEARTBEAT", 0.05)
    monkeypatch.setattr(metadata_cache, "_RESCAN_INTERVAL", 0.0)
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    before = None

    async with visitor.session.get(f"{caller.url}/page/events") as events:
        async for line in events.content:
            told = json.loads(line[5:])["library_version"] if line.startswith(b"data:") else None
            if told is None:
                continue
            if before is None and told:
                # The titles and lengths of what was there are known by now.
                before = told
                write_song(caller.server.config.music / "album" / "three.wav")
            elif before is not None and told > before:
                break

    assert ("album", "three") in {
        (one["task"], one["audio"]) for one in (await visitor.state())["library"]
    }


async def test_all_open_pages_are_told_the_same_at_the_cost_of_one(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty watchers of a deletion look into the store hardly more often than one."""
    monkeypatch.setattr(page_api, "MIN_INTERVAL", 0.0)
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    made = json.loads((await visitor.ask("POST", "/page/videos", json=ONE))[2])["id"]
    await caller.wait_until_finished(made)
    looks: list[str] = []
    newest = Store.newest

    def counted(store: Store, account: str, limit: int) -> Any:
        looks.append(account)
        return newest(store, account, limit)

    async def watch(events: aiohttp.ClientResponse) -> None:
        async for line in events.content:
            if line.startswith(b"data:") and not json.loads(line[5:])["videos"]:
                return

    async with contextlib.AsyncExitStack() as stack:
        url = f"{caller.url}/page/events"
        asked = [visitor.session.get(url) for _ in range(20)]
        streams = [await stack.enter_async_context(one) for one in asked]
        watching = [asyncio.create_task(watch(one)) for one in streams]
        monkeypatch.setattr(Store, "newest", counted)
        await visitor.ask("DELETE", f"/page/videos/{made}")
        await asyncio.gather(*watching)

    assert 1 <= len(looks) <= 10


async def test_a_video_is_made_shown_and_deleted(serve: Serve, visit: Any) -> None:
    """The page makes as many videos of a track as its user wants, and each can go again."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()

    wish = {**ONE, "author": "Me", "domainName": "", "aspect_ratio": "1:1", "audio_mode": "copy"}
    made = [json.loads((await visitor.ask("POST", "/page/videos", json=wish))[2])["id"]]
    made.append(json.loads((await visitor.ask("POST", "/page/videos", json=ONE))[2])["id"])
    for task_id in made:
        assert (await caller.wait_until_finished(task_id))["successFlag"] == "SUCCESS"
    videos = (await visitor.state())["videos"]
    deleted = await visitor.ask("DELETE", f"/page/videos/{made[0]}")

    assert [video["id"] for video in videos] == made[::-1]
    assert videos[1]["aspect_ratio"] == "1:1"
    assert videos[1]["days_remaining"] == 14
    assert (await visitor.ask("GET", videos[1]["url"]))[0] == 404
    assert (await visitor.ask("GET", videos[0]["url"]))[0] == 200
    assert deleted[0] == 200
    assert (await visitor.ask("DELETE", f"/page/videos/{made[0]}"))[0] == 404
    assert [video["id"] for video in (await visitor.state())["videos"]] == made[1:]
    assert (await caller.generate("album", "one"))["code"] == 200


async def test_a_render_that_is_cancelled_stops(serve: Serve, visit: Any, music: Path) -> None:
    """A cancelled video leaves nothing, and the next one is made."""
    write_song(music / "album" / "long.wav", 90.0)
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    wish = {"task": "album", "audio": "long"}

    long = json.loads((await visitor.ask("POST", "/page/videos", json=wish))[2])["id"]
    assert (await visitor.ask("DELETE", f"/page/videos/{long}"))[0] == 200

    assert (await caller.create_and_wait("album", "one"))["successFlag"] == "SUCCESS"
    assert [video["audio"] for video in (await visitor.state())["videos"]] == ["one"]


async def test_covers_previews_and_music_can_be_had(serve: Serve, visit: Any) -> None:
    """Pictures are JPEGs, music comes in parts; what is no track is told as such."""
    visitor = visit(await serve())
    await visitor.open()

    cover = await visitor.ask("GET", "/page/cover", params=ONE)
    wish = {**ONE, "author": "A", "aspect_ratio": "9:16"}
    preview = await visitor.ask("GET", "/page/preview", params=wish)
    music = await visitor.ask("GET", "/page/music", params=ONE, headers={"Range": "bytes=0-3"})

    assert cover[2][:2] == preview[2][:2] == b"\xff\xd8"
    assert (music[0], music[2]) == (206, b"RIFF")
    assert (await visitor.ask("GET", "/page/music", params={"task": "..", "audio": "x"}))[0] == 404
    assert (await visitor.ask("GET", "/page/preview", params={**ONE, "author": "x" * 51}))[0] == 400


async def test_each_video_has_a_small_picture(
    serve: Serve, visit: Any, music: Path, tmp_path: Path
) -> None:
    """It shows what waits as well as what is done, only to its owner, and goes with its video."""
    write_song(music / "album" / "long.wav", 90.0)
    caller = await serve(account_keys={"anna": "key-a", "ben": "key-b"})
    anna, ben = visit(caller), visit(caller)
    await anna.ask("POST", "/page/login", json={"key": "key-a"})
    await ben.ask("POST", "/page/login", json={"key": "key-b"})
    await anna.state()
    wishes = [{**ONE, "aspect_ratio": "9:16"}, {"task": "album", "audio": "long"}, ONE]
    made = [
        json.loads((await anna.ask("POST", "/page/videos", json=wish))[2])["id"] for wish in wishes
    ]
    caller.headers = {"Authorization": "Bearer key-a"}
    await caller.wait_until_finished(made[0])
    cache = tmp_path / "data" / "cache"

    stills = [await anna.ask("GET", "/page/thumbnail", params={"id": one}) for one in made]
    again = await anna.ask("GET", "/page/thumbnail", params={"id": made[0]})
    others = await ben.ask("GET", "/page/thumbnail", params={"id": made[0]})
    kept = len(list(cache.glob("thumbnail-*")))
    for one in made:
        await anna.ask("DELETE", f"/page/videos/{one}")

    pictures = [Image.open(io.BytesIO(body)) for _, _, body in stills]
    assert [picture.size for picture in pictures] == [(135, 240), (240, 135), (240, 135)]
    assert again[2] == stills[0][2]
    assert "private" in again[1]["Cache-Control"]
    assert others[0] == 404
    assert kept == 3
    assert list(cache.glob("thumbnail-*")) == []
    assert (await anna.ask("GET", "/page/thumbnail", params={"id": made[0]}))[0] == 404


async def test_what_is_no_video_any_more_has_no_picture(
    serve: Serve, visit: Any, music: Path
) -> None:
    """A picture that cannot be drawn is a sentence: the file is gone, or the music is."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    gone, kept = [
        json.loads((await visitor.ask("POST", "/page/videos", json=ONE))[2])["id"] for _ in range(2)
    ]
    await caller.wait_until_finished(gone)
    await caller.wait_until_finished(kept)
    videos = {video["id"]: video for video in (await visitor.state())["videos"]}
    (caller.server.config.data / "videos" / Path(videos[gone]["url"]).name).write_bytes(b"?")
    (music / "album" / "one.wav").unlink()

    damaged = await visitor.ask("GET", "/page/thumbnail", params={"id": gone})
    whole = await visitor.ask("GET", "/page/thumbnail", params={"id": kept})

    assert damaged[0] == 422
    assert b"cannot be read" in damaged[2]
    assert (whole[0], whole[2][:2]) == (200, b"\xff\xd8")


async def test_a_preview_that_nobody_waits_for_is_not_drawn(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who goes through a list of songs sees the last one without waiting for all the others."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    await visitor.ask("GET", "/page/preview", params=ONE)
    drawn: list[Any] = []
    awaited: list[Callable[[], bool]] = []
    go_on = asyncio.Event()
    run, preview = WorkerSlot.run, MetadataCache.preview

    async def slowly(slot: WorkerSlot, do: Any, *args: Any) -> Any:
        if do is previews.preview:
            drawn.append(args[0].captions["author"])
            await go_on.wait()
        return await run(slot, do, *args)

    async def noted(one: MetadataCache, *args: Any, is_still_needed: Callable[[], bool]) -> bytes:
        awaited.append(is_still_needed)
        return await preview(one, *args, is_still_needed=is_still_needed)

    monkeypatch.setattr(WorkerSlot, "run", slowly)
    monkeypatch.setattr(MetadataCache, "preview", noted)

    def asked(author: str) -> asyncio.Task[Any]:
        wish = {**ONE, "author": author}
        return asyncio.create_task(visitor.ask("GET", "/page/preview", params=wish))

    first = asked("first")
    await until(lambda: bool(drawn))
    left = asked("left")
    await until(lambda: len(awaited) == 2)
    left.cancel()
    await until(lambda: not awaited[1]())
    last = asked("last")
    go_on.set()

    assert [(await one)[0] for one in (first, last)] == [200, 200]
    assert drawn == ["first", "last"]


async def test_nobody_changes_anything_from_elsewhere(serve: Serve, visit: Any) -> None:
    """A change needs the session's token, and does not come from another page."""
    visitor = visit(await serve())
    await visitor.open()

    tries = [
        await visitor.ask("POST", "/page/videos", json=ONE, headers={"X-Mp4gen-Token": token})
        for token in ("", "x", "é")
    ]
    foreign = {"Origin": "http://evil.example"}
    tries.append(await visitor.ask("POST", "/page/videos", json=ONE, headers=foreign))
    tries.append(await visitor.ask("DELETE", "/page/videos/x", headers={"X-Mp4gen-Token": ""}))
    own = {"Origin": visitor.url}

    assert [status for status, _, _ in tries] == [403] * 5
    assert (await visitor.ask("POST", "/page/videos", json=ONE, headers=own))[0] == 200


async def test_the_page_asks_for_the_key_where_there_is_one(serve: Serve, visit: Any) -> None:
    """Without the key nothing is shown; with it, its account's videos and nobody else's."""
    caller = await serve(account_keys={"anna": "key-a", "ben": "key-b"})
    anna, ben = visit(caller), visit(caller)
    await anna.ask("GET", "/")
    paths = ("state", "events", "cover", "music", "preview")

    shut = [(await anna.ask("GET", f"/page/{path}"))[0] for path in paths]
    wrong = await anna.ask("POST", "/page/login", json={"key": "key-c"})
    right = await anna.ask("POST", "/page/login", json={"key": "key-a"})
    await ben.ask("POST", "/page/login", json={"key": "key-b"})
    await anna.state()
    await ben.state()
    made = json.loads((await anna.ask("POST", "/page/videos", json=ONE))[2])["id"]

    assert shut == [401] * 5
    assert (wrong[0], right[0]) == (401, 200)
    assert [video["id"] for video in (await anna.state())["videos"]] == [made]
    assert (await ben.state())["videos"] == []
    assert (await ben.ask("DELETE", f"/page/videos/{made}"))[0] == 404


async def test_an_upload_needs_room_and_must_move(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up meanwhile is 507, a body that stands still is 400; no part stays."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    folder = caller.server.config.music / "Uploads"

    async def stuck() -> Any:
        yield b"RIFF"
        await asyncio.Event().wait()

    monkeypatch.setattr(uploads, "_READ_TIMEOUT", 0.05)
    still = await visitor.ask("POST", "/page/upload?name=a.wav", data=stuck())
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: Usage(free=3))
    full = await visitor.ask("POST", "/page/upload?name=a.wav", data=b"RIFF")
    monkeypatch.undo()

    assert (still[0], full[0]) == (400, 507)
    assert b"stood still" in still[2]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
async def test_a_session_begun_over_https_stays_there(
    serve: Serve, visit: Any, scheme: str, secure: bool
) -> None:
    """Behind a proxy that speaks https the cookie is never sent in the clear."""
    visitor = visit(await serve(key="key-a"))
    origin = {"Origin": visitor.url.replace("http", scheme)}

    entered = await visitor.ask("POST", "/page/login", json={"key": "key-a"}, headers=origin)

    assert entered[0] == 200
    assert ("Secure" in entered[1]["Set-Cookie"]) is secure


@pytest.mark.parametrize("value", ["", "x", "a.9.x", "aYW5uYQ.99999999999.00", "é", "a=.1.1"])
async def test_a_forged_cookie_opens_nothing(serve: Serve, value: str) -> None:
    """Only our own signature makes a session."""
    caller = await serve(account_keys={"anna": "key-a"})
    caller.headers = {"Cookie": f"mp4gen_session={value}"}

    assert (await caller.get_response("/page/state"))[0] == 401


async def test_an_upload_becomes_a_track(serve: Serve, visit: Any, tmp_path: Path) -> None:
    """A music file is added under its own name, a second of that name beside it."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    song = write_song(tmp_path / "new.wav").read_bytes()

    answers = [
        await visitor.ask("POST", "/page/upload", params={"name": "../My Song.WAV"}, data=song)
        for _ in range(2)
    ]

    assert [json.loads(body)["audio"] for _, _, body in answers] == ["My Song", "My Song (2)"]
    assert json.loads(answers[0][2])["task"] == "Uploads"
    made = await caller.create_and_wait("Uploads", "My Song")
    assert made["successFlag"] == "SUCCESS"


async def test_what_is_no_music_is_not_kept(serve: Serve, visit: Any, music: Path) -> None:
    """A wrong ending, something that is no music, too much of it: a sentence and no file."""
    visitor = visit(await serve(max_upload_bytes=50_000))
    await visitor.open()
    path = "/page/upload"

    ending = await visitor.ask("POST", path, params={"name": "a.exe"}, data=b"MZ")
    noise = await visitor.ask("POST", path, params={"name": "a.mp3"}, data=b"no music")
    large = await visitor.ask("POST", path, params={"name": "a.mp3"}, data=b"x" * 60_000)

    assert [status for status, _, _ in (ending, noise, large)] == [400, 400, 413]
    assert b"Not a readable audio file: a.mp3." in noise[2]
    folder = music / "Uploads"
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.mp3", "a.mp3"),
        ("../../etc/x.MP3", "x.mp3"),
        ("..\\x.flac", "x.flac"),
        (".hidden.ogg", "hidden.ogg"),
        ("a\x00b\u202e.wav", "ab.wav"),
        ("é" * 300 + ".mp3", "é" * 60 + ".mp3"),
    ],
)
def test_names_of_uploads_are_made_safe(given: str, kept: str) -> None:
    """What is kept of a name cannot lead anywhere, hide, or be too long."""
    assert safe_name(given) == kept


@pytest.mark.parametrize("given", ["", ".mp3", "mp3", "a", "a.mp4", "../", "a.mp3/.."])
def test_what_is_no_name_of_music_is_refused(given: str) -> None:
    """A name without a music file's ending, or with nothing before it, is refused."""
    with pytest.raises(InvalidRequestError):
        safe_name(given)

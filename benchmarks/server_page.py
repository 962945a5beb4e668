"""Measure what the page costs on the wire, and how long dead receivers hold up a callback.

    python benchmarks/server_page.py [--songs 20000] [--receivers 40] [--json [FILE]]

A library of `--songs` songs with seeded names and titles: the bytes of the first state of the page
as they are sent, which are the page itself, its scripts, its settings, the library and the videos,
but not the fonts; and those of a change, an event with what the page asks for after it, when a song
is added and a video is queued. Then the delay of a callback to a healthy receiver beside
`--receivers` that never respond, in virtual time. Under a minute.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import looptime
import server_day
from aiohttp import web
from report import at_most, parse_arguments, show_figures
from support_bulk import run
from support_server import server, submit, write_song

from mp4gen.server import ServerConfig
from mp4gen.server.callbacks.sender import CallbackSender
from mp4gen.server.counters import Counters
from mp4gen.server.library.library import LibraryTrack
from mp4gen.server.library.metadata_cache import MetadataCache
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import CallbackState, Task, TaskState
from mp4gen.server.rendering.previews import MusicInfo
from mp4gen.server.web.page_assets import SCRIPTS

WORDS = """
amber arrow autumn bay bell bird blue border bridge broken candle canyon cedar circle city cloud
coast cold copper dance dark dawn distant door dream drift dust early echo edge ember empty
evening falling far fever field fire first flood forest garden ghost glass gold green grey
harbour heart high hollow home house ice island jade kind lake last late leaf letter light line
little long lost low lunar machine mirror moon morning mountain mute neon never night north
ocean old open orbit paper pearl pine quiet rain red river road salt sand sea second shadow
silent silver sky slow small snow solar song south star static still stone storm summer sun tide
tower train velvet wander warm water wave west white wild wind window winter wire wood year
yellow
""".split()  # noqa: SIM905 - a hundred lines otherwise


def library(songs: int, chance: random.Random) -> list[tuple[LibraryTrack, MusicInfo]]:
    """Return songs of twelve an album, with titles and artists in their tags."""
    tracks = []
    for number in range(songs):
        if number % 12 == 0:
            artist = " ".join(chance.sample(WORDS, 2)).title()
            album = f"{artist}/{' '.join(chance.sample(WORDS, 2)).title()}"
            copied_at = chance.uniform(1.5e9, 1.8e9)
        title = " ".join(chance.sample(WORDS, chance.randrange(1, 5))).title()
        name = f"{number % 12 + 1:02} {title}"
        path = Path("music") / album / f"{name}.flac"
        size, copied_at = chance.randrange(10**7, 4 * 10**7), copied_at + chance.uniform(0, 60)
        track = LibraryTrack(album, name, path, size, copied_at)
        info = MusicInfo(title=title, artist=artist, duration=chance.uniform(90, 420))
        tracks.append((track, info))
    return tracks


class Page:
    """An open page that counts the bytes of bodies on the wire."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def read(self, path: str, **query: str) -> tuple[int, bytes]:
        """Return the bytes on the wire, and the body."""
        async with self.session.get(f"{self.url}/{path}", params=query) as response:
            assert response.status == 200, (path, response.status)
            sent = await response.read()
            packed = response.headers.get("Content-Encoding") == "gzip"
            return len(sent), gzip.decompress(sent) if packed else sent


async def measure_page(folder: Path, songs: int) -> tuple[int, int]:
    """Return the bytes of the first state and of a change."""
    write_song(folder / "music" / "a" / "one.wav", 1)
    tracks = library(songs, random.Random(1))

    async def all_tracks(_: MetadataCache) -> list[tuple[LibraryTrack, MusicInfo]]:
        return list(tracks)

    MetadataCache.tracks = all_tracks  # type: ignore[method-assign]
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        server(folder, executor=server_day.IdleExecutor, workers=1, min_free_bytes=0) as one,
        aiohttp.ClientSession(cookie_jar=jar, auto_decompress=False) as session,
    ):
        page = Page(session, one.url)
        first = 0
        for path in ("", *(f"page/asset/{name}" for name in (*SCRIPTS, "style.css", "icon.svg"))):
            first += (await page.read(path))[0]
        first += (await page.read("page/state"))[0]
        size, body = await page.read("page/library")
        version = json.loads(body)["version"]
        assert len(json.loads(body)["audios"]) == songs
        first += size + (await page.read("page/videos"))[0]
        async with session.get(f"{one.url}/page/events") as events:
            await events.content.readuntil(b"\n\n")
            tracks += library(1, random.Random(2))
            await submit(session, one.url, "a", "one")
            change = len(await events.content.readuntil(b"\n\n"))
        change += (await page.read("page/library", since=version))[0]
        change += (await page.read("page/videos"))[0]
    return first, change


async def measure_callback(folder: Path, receivers: int) -> float:
    """Return the seconds until a healthy receiver is called, beside others that never respond."""
    loop = asyncio.get_running_loop()
    called = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/healthy":
            called.set()
        else:
            await asyncio.sleep(1000)
        return web.Response()

    async def resolve(_: str, port: int, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    loop.getaddrinfo = resolve  # type: ignore[method-assign]
    app = web.Application()
    app.add_routes([web.post("/{name}", answer)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    store = Store(folder / "tasks.sqlite")
    for number in range(receivers + 1):
        is_dead = number < receivers
        host, path = (f"dead{number}", "dead") if is_dead else ("healthy", "healthy")
        await store.add(finished_task(number, f"http://{host}.example:{port}/{path}"))
    start = loop.time()
    config = ServerConfig(music=folder, allow_local_callbacks=True)
    sender = CallbackSender(config, store, lambda _: "http://here", Counters())
    sender.start()
    await called.wait()
    waited = loop.time() - start
    await sender.stop()
    await runner.cleanup()
    store.close()
    return waited


def finished_task(number: int, url: str) -> Task:
    """Return a finished task whose callback is due."""
    task = Task(
        task_id=str(number),
        account="",
        music_task_id="a",
        audio_id="one",
        render_variant=str(number),
        filename=f"{number}.mp4",
        created_at=1.0,
    )
    done = {"state": TaskState.DONE, "callback": CallbackState.DUE, "completed_at": 2.0}
    return attrs.evolve(task, callback_url=url, **done)


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, songs=20_000, receivers=40)
    with tempfile.TemporaryDirectory() as folder:
        callback = measure_callback(Path(folder), args.receivers)
        waited = run(callback, looptime.new_event_loop)
        first, change = asyncio.run(measure_page(Path(folder) / "page", args.songs))
    songs = f"page with {args.songs:,} songs"
    show_figures(
        "The page on the wire, and callbacks beside dead receivers",
        [
            at_most(f"{songs}: first state, kB", first / 1000, 215),
            at_most(f"{songs}: a change, kB", change / 1000, 5),
            at_most(f"healthy callback beside {args.receivers} dead, s", waited, 5),
        ],
        args.json,
    )


if __name__ == "__main__":
    main()

"""Measure the server: its API under load, a deep queue, workers, a day of service, one client.

    python benchmarks/server_api.py [--only PART ...] [--short] [--times 1] [--json [FILE]]

The parts are `load`, `queue`, `noise`, `workers`, `day` and `client`. `load` compares the API with
a plain aiohttp handler that sends the same bytes: both run in one process, in turns, while workers
render two videos at low priority. About 7 minutes on two free cores; `--short` runs a fraction of
each part in one or two minutes.
"""

import asyncio
import json
import logging
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import server_day
from aiohttp import web
from report import argument_parser, show
from support_server import (
    DETAILS,
    GENERATE,
    NO_CALLBACK,
    copies,
    get_details,
    p99,
    server,
    submit,
    write_song,
)

ROUNDS = 6
CONNECTIONS = 16


async def hammer(session: aiohttp.ClientSession, url: str, seconds: float) -> list[float]:
    """Send requests without a pause, and return the seconds of each; a wrong response raises."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def connection() -> None:
        while (start := time.perf_counter()) < end:
            async with session.get(url) as response:
                body = await response.read()
                assert response.status == 200
                assert b'"code":200' in body
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return took


async def bare(body: bytes) -> tuple[web.AppRunner, str]:
    """Start a handler that sends these bytes and does nothing else; return its URL."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/", handler)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/"


async def load(folder: Path, *, short: bool) -> list[dict[str, Any]]:
    """Compare record-info with the bare handler while two renders run and a task waits."""
    seconds = 6 if short else 60
    for name in ("long0", "long1", "next"):
        write_song(folder / "music" / "a" / f"{name}.wav", 1200)
    async with server(folder, workers=2) as one, aiohttp.ClientSession() as session:
        for name in ("long0", "long1"):
            await submit(session, one.url, "a", name)
        task_id = await submit(session, one.url, "a", "next")
        url = f"{one.url}{DETAILS}?taskId={task_id}"
        async with session.get(url) as response:
            runner, plain = await bare(await response.read())
        ours: list[float] = []
        theirs: list[float] = []
        for _ in range(ROUNDS):
            ours += await hammer(session, url, seconds / ROUNDS)
            theirs += await hammer(session, plain, seconds / ROUNDS)
        async with session.get(one.url + "/healthz") as response:
            assert (await response.json())["rendering"] == 2, "a render ended too early"
        await runner.cleanup()
    row = {
        "responses": len(ours),
        "errors": 0,
        "a second": len(ours) / seconds,
        "bare a second": len(theirs) / seconds,
        "rate ratio (goal >= 0.6)": len(ours) / len(theirs),
        "p99 ms": p99(ours),
        "p99 bare ms": p99(theirs),
        "p99 ratio (goal <= 5)": p99(ours) / p99(theirs),
    }
    return [row]


async def queue(folder: Path, *, short: bool) -> list[dict[str, Any]]:
    """Compare a server with a deep queue and one without, by submits and polls in turns."""
    many = 1000 if short else 10_000
    song = write_song(folder / "deep" / "music" / "f" / "song.wav", 1)
    tracks = copies(song, many // 100 + 5, 100)
    copies(write_song(folder / "empty" / "music" / "f" / "song.wav", 1), many // 100 + 5, 100)
    async with (
        aiohttp.ClientSession() as session,
        server(folder / "deep", executor=server_day.IdleExecutor, workers=1) as deep,
        server(folder / "empty", executor=server_day.IdleExecutor, workers=1) as empty,
    ):
        ids: list[str] = []
        begun = time.perf_counter()
        for at in range(0, many, 20):
            some = tracks[at : at + 20]
            ids += await asyncio.gather(*(submit(session, deep.url, *one) for one in some))
        filled = time.perf_counter() - begun
        took: dict[str, list[float]] = {"submit": [], "submit0": [], "poll": [], "poll0": []}
        last = await submit(session, empty.url, *tracks[0])
        chance = random.Random(1)
        for track in tracks[many : many + 500]:
            for what, url in (("submit", deep.url), ("submit0", empty.url)):
                start = time.perf_counter()
                await submit(session, url, *track)
                took[what].append(time.perf_counter() - start)
            for what, url, one in (
                ("poll", deep.url, chance.choice(ids)),
                ("poll0", empty.url, last),
            ):
                start = time.perf_counter()
                await get_details(session, url, one)
                took[what].append(time.perf_counter() - start)
    return [
        {
            "call": call,
            "queued": len(set(ids)),
            "accepted a second": many / filled,
            "p99 ms": p99(took[call]),
            "p99 ms, empty": p99(took[f"{call}0"]),
            "ratio (goal <= 2)": p99(took[call]) / p99(took[f"{call}0"]),
        }
        for call in ("submit", "poll")
    ]


def noise(chance: random.Random) -> bytes:
    """Return a valid body with random damage: changed, cut off or repeated."""
    body = bytearray(
        json.dumps({"taskId": "a", "audioId": "none", "callBackUrl": NO_CALLBACK}).encode()
    )
    for _ in range(chance.randrange(8)):
        at = chance.randrange(len(body) + 1)
        body[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
    body = body[: chance.choice([len(body), chance.randrange(len(body) + 1)])]
    return bytes(body) * chance.choice([1, 1, 1, 2, 1000])


async def send_random_request(
    session: aiohttp.ClientSession, url: str, chance: random.Random
) -> int:
    """Send one random request and return the HTTP status."""
    known = [GENERATE, GENERATE, DETAILS, "/api/v1/generate/record-info", "/api/v1/generate/credit"]
    page = ["/", "/page/state", "/page/cover", "/page/videos", "/page/upload", "/page/asset/app.js"]
    odd = ["/files/x.mp4", "/healthz", "/%00", "/..%2f..%2f", "/é", "/" + "a" * 3000, "//", "/%ff"]
    query = ["", "?taskId=%ff", "?taskId=.", "?taskId=" + "b" * 2000, "?task=a&audio=%00", "?=&&="]
    names = [
        "Authorization",
        "Range",
        "If-Range",
        "Content-Type",
        "Cookie",
        "Origin",
        "Expect",
        "X-A",
    ]
    values = [
        "",
        "x",
        "Bearer",
        "bytes=1-",
        "bytes=9-1,2-",
        "~",
        "é",
        '"',
        "a" * 4000,
        "mp4gen_session=a",
    ]
    headers = {chance.choice(names): chance.choice(values) for _ in range(chance.randrange(4))}
    method = chance.choice(["GET", "GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "X"])
    target = url + chance.choice([*known, *page, *odd]) + chance.choice(query)
    async with session.request(method, target, data=noise(chance), headers=headers) as response:
        await response.read()
        return response.status


class _ErrorCounter(logging.Handler):
    """Counts the errors in the log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, _: logging.LogRecord) -> None:
        self.count += 1


async def random_requests(folder: Path, *, short: bool) -> list[dict[str, Any]]:
    """Send random methods, paths, headers and bodies, and count the failures."""
    many = 1000 if short else 10_000
    write_song(folder / "music" / "a" / "one.wav", 1)
    errors = _ErrorCounter()
    logging.getLogger().addHandler(errors)
    statuses: Counter[int] = Counter()
    async with server(folder, workers=1) as one, aiohttp.ClientSession() as session:

        async def send_many(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(many // 8):
                statuses[await send_random_request(session, one.url, chance)] += 1

        await asyncio.gather(*(send_many(seed) for seed in range(8)))
        async with session.get(one.url + "/healthz") as response:
            assert response.status == 200
    logging.getLogger().removeHandler(errors)
    row = {
        "requests": statuses.total(),
        "5xx (goal 0)": sum(count for status, count in statuses.items() if status >= 500),
        "tracebacks (goal 0)": errors.count,
        "statuses": " ".join(f"{status}:{count}" for status, count in sorted(statuses.items())),
    }
    return [row]


PARTS = {
    "load": ("record-info while two renders run", load),
    "queue": ("A deep queue against an empty one", queue),
    "noise": ("Random requests", random_requests),
    "workers": ("Videos a minute by workers", server_day.workers),
    "day": ("A day of service, the renderer replaced by a copy", server_day.day),
    "client": ("One conversion with mp4gen.Client", server_day.client),
}


def main() -> None:
    """Run the benchmark."""
    parser = argument_parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--short", action="store_true", help="run a fraction of each part")
    parser.add_argument("--times", type=int, default=1, help="repetitions of each part")
    args = parser.parse_args()
    for name in args.only:
        title, measure = PARTS[name]
        begun = time.perf_counter()
        rows: list[dict[str, Any]] = []
        for _ in range(args.times):
            with tempfile.TemporaryDirectory() as folder:
                rows += asyncio.run(measure(Path(folder), short=args.short))
        took = time.perf_counter() - begun
        show(f"{title} ({took:.0f} s)", rows, args.json)


if __name__ == "__main__":
    main()

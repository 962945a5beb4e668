"""Callbacks in a bulk run: requests a video and makespan, confirmed and believed; virtual time.

    python benchmarks/callbacks.py [--seeds 5] [--large 1] [--full] [--json FILE]

1,000 tracks for each of `--seeds`, 10,000 for each of `--large`, in both modes; `--full` takes 20
and 3. Then one track alone, 10,000 forgeries against a receiver that waits, and over real sockets
300 tracks with a fifth of the callbacks lost, and with a twentieth of the submits' answers.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from random import Random
from typing import Any

import bulk_world as world
import looptime
from aiohttp import web

from mp4gen import CallbackReceiver, Dialect, SubmitUncertainError, VideoRequest
from mp4gen.api.protocol import build_callback
from mp4gen.testing import CallbackBehavior, FakeService

PUBLIC = "https://bot.example.com/mp4"


async def one(seed: int, number: int, *, confirm: bool) -> tuple[float, float, int]:
    """Requests a video, makespan / floor, and 405s of one run."""
    service = world.service(seed)
    receiver = CallbackReceiver(PUBLIC, confirm=confirm)
    async with world.client(service, seed, receiver) as client:
        run = client.convert_many(world.tracks(number))
        async for _ in run:
            pass
    assert run.summary.succeeded == number
    makespan = asyncio.get_running_loop().time()
    floor = world.floor(world.durations(service), 2 if confirm else 1)
    rate_limited = sum(call.rate_limited for call in service.requests)
    return service.count() / number, makespan / floor, rate_limited


async def single_track(seed: int) -> tuple[int, int, float]:
    """Requests of a bot's first and second track, and how late the second is told, in seconds."""
    service, loop = world.service(seed), asyncio.get_running_loop()
    async with world.client(service, seed, CallbackReceiver(PUBLIC)) as client:
        await client.convert(VideoRequest("music", "first"))
        first = service.count()
        video = await client.convert(VideoRequest("music", "second"))
    late = loop.time() - service.tasks[video.task_id].completes_at
    return first, service.count() - first, late


async def forgeries(number: int) -> tuple[int, int]:
    """How many forgeries were accepted, and how many looks they caused."""
    service, receiver, random = world.service(0, duration=1e6), CallbackReceiver(PUBLIC), Random(0)
    async with world.client(service, 0, receiver) as client:
        wait = asyncio.create_task(client.convert(VideoRequest("music", "one"), timeout=1e5))
        await asyncio.sleep(10)
        accepted = 0
        for _ in range(number):
            token = base64.urlsafe_b64encode(random.randbytes(24)).decode()
            body = random.choice(
                [random.randbytes(60), build_callback("video_000001", "https://x.y/")]
            )
            accepted += receiver.handle("POST", f"/mp4/{token}", {}, body)[0] == 200
        await asyncio.sleep(10)
        polls = service.count("details")
        wait.cancel()
        await asyncio.wait([wait])
    return accepted, polls


async def losses(tracks: int, *, callbacks: float, responses: float) -> tuple[int, int, int]:
    """Over sockets: videos lost, submits doubled and left uncertain, with a host without a 409."""
    chance = Random(1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/mp4")
    app = web.Application()
    app.add_routes(receiver.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    behavior = CallbackBehavior(loss_rate=callbacks)
    async with FakeService(duplicate_policy="new_task", duration=40, callbacks=behavior) as service:
        faults = (
            "reset_after_accept" if chance.random() < responses else "ok" for _ in range(tracks)
        )
        service.script("create", *faults)
        async with service.client(
            callbacks=receiver, dialect=Dialect.for_url("https://unknown.example")
        ) as client:
            found = [one async for one in client.convert_many(world.tracks(tracks))]
    await runner.cleanup()
    uncertain = sum(isinstance(one.error, SubmitUncertainError) for one in found)
    lost = sum(one.video is None for one in found) + tracks - len(found)
    return lost, len(service.tasks) - tracks, uncertain


def rows(number: int, seeds: int, goals: tuple[float, float], *, confirm: bool) -> list[Any]:
    """The figures of `seeds` runs."""
    found = [world.run(one(seed, number, confirm=confirm)) for seed in range(seeds)]
    name = f"{number:,} tracks, {seeds} seeds, {'confirmed' if confirm else 'believed'}"
    requests, spans = world.mean([f[0] for f in found]), world.mean([f[1] for f in found])
    rate_limited = sum(f[2] for f in found)
    return [
        (f"{name}: requests a video", f"{requests:.3f}", f"<= {goals[0]}", requests <= goals[0]),
        (f"{name}: makespan / floor", f"{spans:.3f}", f"<= {goals[1]}", spans <= goals[1]),
        (f"{name}: answers 405", f"{rate_limited}", "0", rate_limited == 0),
    ]


def main() -> None:
    """Run, print, write."""

    def add(parser: Any) -> None:
        parser.add_argument("--seeds", type=int, default=5)
        parser.add_argument("--large", type=int, default=1)
        parser.add_argument("--full", action="store_true")

    args = world.arguments(__doc__, add)
    seeds, large = (20, 3) if args.full else (args.seeds, args.large)
    table = []
    for confirm, requests in ((True, 2.05), (False, 1.05)):
        table += rows(1000, seeds, (requests, 1.15), confirm=confirm) if seeds else []
        table += rows(10_000, large, (requests, 1.05), confirm=confirm) if large else []
    single = [world.run(single_track(seed)) for seed in range(50)]
    first = world.median([s[0] for s in single])
    max_requests, late = max(s[1] for s in single), world.median([s[2] for s in single])
    accepted, polls = world.run(forgeries(10_000))
    table += [
        ("a bot's first track, 50 seeds: median requests", f"{first}", "<= 2", first <= 2),
        ("its second track: most requests", f"{max_requests}", "<= 2", max_requests <= 2),
        ("its second track: end to result, median", f"{late:.2f} s", "<= 0.3 s", late <= 0.3),
        ("10,000 forgeries: accepted", f"{accepted}", "0", accepted == 0),
        ("10,000 forgeries: polls caused", f"{polls}", "0", polls == 0),
    ]
    for name, shares in (("20 % of callbacks", (0.2, 0.0)), ("5 % of submit answers", (0.0, 0.05))):
        with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
            found = runner.run(losses(300, callbacks=shares[0], responses=shares[1]))
        for what, number in zip(("lost", "doubled", "uncertain"), found, strict=True):
            table.append((f"300 tracks, {name} lost: {what}", f"{number}", "0", number == 0))
    world.report(table, args.json)


if __name__ == "__main__":
    main()

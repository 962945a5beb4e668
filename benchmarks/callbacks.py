"""Measure bulk runs with callbacks, confirmed by a poll and believed, and what attackers can cause.

    python benchmarks/callbacks.py [--seeds 5] [--large 1] [--full] [--json [FILE]]

1,000 tracks (`--seeds` times) and 10,000 tracks (`--large` times) in both modes, in virtual time,
against the shortest time that the rate limit permits; `--full` runs 20 and 3. Then a single track,
10,000 forged callbacks during a wait, and 300 tracks over real sockets, with a fifth of the
callbacks lost or a twentieth of the responses to submits. About two minutes.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from random import Random
from statistics import median_low

import looptime
import support_bulk as support
from aiohttp import web
from report import at_most, parse_arguments, show_figures

from mp4gen import CallbackReceiver, Dialect, SubmitUncertainError, VideoRequest
from mp4gen.api.callbacks import build_callback
from mp4gen.testing import CallbackBehavior, FakeService

PUBLIC_URL = "https://bot.example.com/mp4"


async def bulk_run(seed: int, number: int, *, confirm: bool) -> support.BulkResult:
    """Convert `number` tracks with callbacks."""
    receiver = CallbackReceiver(PUBLIC_URL, confirm=confirm)
    return await support.convert_tracks(seed, number, receiver, requests=2 if confirm else 1)


async def single_track(seed: int) -> tuple[int, int, float]:
    """Return the requests of a bot's first and second track, and the delay of the second in s."""
    service, loop = support.service(seed), asyncio.get_running_loop()
    async with support.client(service, seed, CallbackReceiver(PUBLIC_URL)) as client:
        await client.convert(VideoRequest("music", "first"))
        first = service.count()
        video = await client.convert(VideoRequest("music", "second"))
    delay = loop.time() - service.tasks[video.task_id].completes_at
    return first, service.count() - first, delay


async def forgeries(number: int) -> tuple[int, int]:
    """Return how many forged callbacks were accepted, and how many polls they caused."""
    service, random = support.service(0, duration=1e6), Random(0)
    receiver = CallbackReceiver(PUBLIC_URL)
    async with support.client(service, 0, receiver) as client:
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
    """Return the lost, duplicated and uncertain tracks over sockets, if the host sends no 409."""
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
            found = [one async for one in client.convert_many(support.tracks(tracks))]
    await runner.cleanup()
    uncertain = sum(isinstance(one.error, SubmitUncertainError) for one in found)
    lost = sum(one.video is None for one in found) + tracks - len(found)
    return lost, len(service.tasks) - tracks, uncertain


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, seeds=5, large=1, full=False)
    seeds, large = (20, 3) if args.full else (args.seeds, args.large)
    found = []
    for confirm, requests in ((True, 2.05), (False, 1.05)):
        for number, count, makespan in ((1000, seeds, 1.15), (10_000, large, 1.05)):
            name = f"{number:,} tracks, {count} seeds, {'confirmed' if confirm else 'believed'}"
            runs = [support.run(bulk_run(seed, number, confirm=confirm)) for seed in range(count)]
            found += support.figures(name, runs, requests, makespan) if runs else []
    single = [support.run(single_track(seed)) for seed in range(50)]
    first, second, delays = zip(*single, strict=True)
    accepted, polls = support.run(forgeries(10_000))
    found += [
        at_most("a bot's first track, 50 seeds: median requests", median_low(first), 2),
        at_most("its second track: maximum of requests", max(second), 2),
        at_most("its second track: median delay, s", median_low(delays), 0.3, "{:.2f}"),
        at_most("10,000 forgeries: accepted", accepted, 0),
        at_most("10,000 forgeries: polls caused", polls, 0),
    ]
    for name, shares in (("20 % of callbacks", (0.2, 0.0)), ("5 % of responses", (0.0, 0.05))):
        run = losses(300, callbacks=shares[0], responses=shares[1])
        counts = support.run(run, looptime.new_event_loop)
        for what, number in zip(("lost", "duplicated", "uncertain"), counts, strict=True):
            found.append(at_most(f"300 tracks, {name} lost: {what}", number, 0))
    show_figures("Callbacks", found, args.json)


if __name__ == "__main__":
    main()

"""Compare `convert_many` with the careful script that people write by hand; in virtual time.

    python benchmarks/naive_script.py [--tracks 200] [--seeds 5] [--json [FILE]]

The script gathers all tracks, checks the code of each response, sleeps five seconds after a 405,
and five between its polls. Both meet the same service, durations and latency. About 10 s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from statistics import mean
from typing import Any

import support_bulk as support
from report import at_most, note, parse_arguments, show_figures

from mp4gen import VideoRequest
from mp4gen.api.protocol import ApiRequest, build_create_request
from mp4gen.testing import FakeService

PAUSE = 5.0


async def send_until_accepted(
    transport: support.DirectTransport, request: ApiRequest
) -> dict[str, Any]:
    """Return the data of the first response that is not a 405."""
    while True:
        response: dict[str, Any] = json.loads((await transport.send(request, 30)).body)
        if response["code"] == 200:
            return dict(response["data"])
        if response["code"] not in (405, 430):
            raise RuntimeError(response["msg"])
        await asyncio.sleep(PAUSE)


async def convert(transport: support.DirectTransport, request: VideoRequest) -> str:
    """Submit a track, then poll every five seconds."""
    submitted = await send_until_accepted(transport, build_create_request(request))
    poll = ApiRequest("GET", f"/api/v1/mp4/record-info?taskId={submitted['taskId']}")
    while True:
        await asyncio.sleep(PAUSE)
        details = await send_until_accepted(transport, poll)
        if details["successFlag"] == "SUCCESS":
            return str(details["response"]["videoUrl"])


async def naive(service: FakeService, seed: int, number: int) -> None:
    """Convert all tracks with the script."""
    transport = support.DirectTransport(service, seed, None)
    await asyncio.gather(*(convert(transport, request) for request in support.tracks(number)))


async def ours(service: FakeService, seed: int, number: int) -> None:
    """Convert all tracks with `convert_many`."""
    async with support.client(service, seed) as client:
        async for conversion in client.convert_many(support.tracks(number)):
            conversion.result()


def measure(program: Any, seed: int, number: int) -> tuple[int, float, int]:
    """Return the requests, the makespan in seconds and the refusals of a program."""
    service = support.service(seed)

    async def makespan(work: Coroutine[Any, Any, None]) -> float:
        await work
        return asyncio.get_running_loop().time()

    seconds = support.run(makespan(program(service, seed, number)))
    return service.count(), seconds, support.rate_limited(service)


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, tracks=200, seeds=5)
    both = [
        (measure(ours, seed, args.tracks), measure(naive, seed, args.tracks))
        for seed in range(args.seeds)
    ]
    for seed, (us, them) in enumerate(both):
        note(
            f"seed {seed}: ours {us[0]} requests, {us[1]:.0f} s, {us[2]} x 405;"
            f" the script {them[0]} requests, {them[1]:.0f} s, {them[2]} x 405"
        )
    requests = mean(us[0] / them[0] for us, them in both)
    makespans = mean(us[1] / them[1] for us, them in both)
    found = [
        at_most("requests, ours / the script's", requests, 0.12, "{:.3f}"),
        at_most("makespan, ours / the script's", makespans, 0.75, "{:.3f}"),
        at_most("responses 405 to ours", sum(us[2] for us, _ in both), 0),
    ]
    show_figures("A careful script", found, args.json)


if __name__ == "__main__":
    main()

"""The careful script that people write by hand, and ours, over the same tracks; in virtual time.

    python benchmarks/naive_script.py [--tracks 200] [--seeds 5] [--json FILE]

The script gathers all tracks at once, checks the code of every answer, sleeps five seconds on 405
and five between its looks. Both meet the same service, durations and network.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import bulk_world as world

from mp4gen import VideoRequest
from mp4gen.api.protocol import ApiRequest, build_create_request

PAUSE = 5.0


async def send_until_accepted(
    transport: world.DirectTransport, request: ApiRequest
) -> dict[str, Any]:
    """An answer that is not a 405."""
    while True:
        response: dict[str, Any] = json.loads((await transport.send(request, 30)).body)
        if response["code"] in (405, 430):
            await asyncio.sleep(PAUSE)
        elif response["code"] == 200:
            return response
        else:
            raise RuntimeError(response["msg"])


async def convert(transport: world.DirectTransport, request: VideoRequest) -> str:
    """Submit, then look every five seconds."""
    task_id = (await send_until_accepted(transport, build_create_request(request)))["data"][
        "taskId"
    ]
    while True:
        await asyncio.sleep(PAUSE)
        details_request = ApiRequest("GET", f"/api/v1/mp4/record-info?taskId={task_id}")
        data = (await send_until_accepted(transport, details_request))["data"]
        if data["successFlag"] == "SUCCESS":
            url: str = data["response"]["videoUrl"]
            return url


async def naive(seed: int, number: int) -> tuple[int, float, int]:
    """Requests, makespan and 405s of the script."""
    service = world.service(seed)
    transport = world.DirectTransport(service, seed, None)
    await asyncio.gather(*(convert(transport, request) for request in world.tracks(number)))
    rate_limited = sum(call.rate_limited for call in service.requests)
    return service.count(), asyncio.get_running_loop().time(), rate_limited


async def ours(seed: int, number: int) -> tuple[int, float, int]:
    """The same of `convert_many`."""
    service = world.service(seed)
    async with world.client(service, seed) as client:
        async for conversion in client.convert_many(world.tracks(number)):
            conversion.result()
    rate_limited = sum(call.rate_limited for call in service.requests)
    return service.count(), asyncio.get_running_loop().time(), rate_limited


def main() -> None:
    """Run, print, write."""

    def add(parser: Any) -> None:
        parser.add_argument("--tracks", type=int, default=200)
        parser.add_argument("--seeds", type=int, default=5)

    args = world.arguments(__doc__, add)
    both = [
        (world.run(ours(seed, args.tracks)), world.run(naive(seed, args.tracks)))
        for seed in range(args.seeds)
    ]
    for seed, (us, them) in enumerate(both):
        print(
            f"# seed {seed}: ours {us[0]} requests, {us[1]:.0f} s, {us[2]} x 405;"
            f" the script {them[0]} requests, {them[1]:.0f} s, {them[2]} x 405"
        )
    requests = world.mean([us[0] / them[0] for us, them in both])
    spans = world.mean([us[1] / them[1] for us, them in both])
    rate_limited = sum(us[2] for us, _ in both)
    world.report(
        [
            ("requests, ours / the script's", f"{requests:.3f}", "<= 0.12", requests <= 0.12),
            ("makespan, ours / the script's", f"{spans:.3f}", "<= 0.75", spans <= 0.75),
            ("answers 405 to ours", f"{rate_limited}", "0", rate_limited == 0),
        ],
        args.json,
    )


if __name__ == "__main__":
    main()

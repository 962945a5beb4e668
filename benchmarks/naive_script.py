"""Compare `convert_many` with the programs that people write by hand; in virtual time.

    python benchmarks/naive_script.py [--tracks 200] [--seeds 5] [--json [FILE]]

The careful script gathers all tracks, checks the code of each response, sleeps five seconds after a
405, and five between its polls; with aiolimiter it also limits itself to 20 calls in ten seconds.
suno-easy converts one track after the other, as its documentation shows. All meet the same service,
durations and latency. The floor is the shortest time that the limit permits. Peers that
`benchmarks/peers.py` has not installed are left out. About 10 s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import partial
from json import dumps, loads
from statistics import mean
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import attrs
import peers
import support_bulk as support
import support_limiters
from report import at_most, parse_arguments, show, show_figures

from mp4gen import RateLimit, VideoRequest
from mp4gen.api.protocol import ApiRequest, build_create_request
from mp4gen.testing import FakeService

PAUSE = 5.0
LIMIT = RateLimit(support.WINDOW, per=support.PER)


@attrs.frozen
class Script:
    """A careful script.

    Attributes:
        transport: its connection to the service.
        slot: returns a context manager in which a call is permitted.
    """

    transport: support.DirectTransport
    slot: Callable[[], Any] = nullcontext

    async def send(self, request: ApiRequest) -> dict[str, Any]:
        """Return the data of the first response that is not a 405."""
        while True:
            async with self.slot():
                body = (await self.transport.send(request, 30)).body
            response: dict[str, Any] = loads(body)
            if response["code"] == 200:
                return dict(response["data"])
            if response["code"] not in (405, 430):
                raise RuntimeError(response["msg"])
            await asyncio.sleep(PAUSE)

    async def convert(self, request: VideoRequest) -> str:
        """Submit a track, then poll every five seconds."""
        submitted = await self.send(build_create_request(request))
        poll = ApiRequest("GET", f"/api/v1/mp4/record-info?taskId={submitted['taskId']}")
        while True:
            await asyncio.sleep(PAUSE)
            details = await self.send(poll)
            if details["successFlag"] == "SUCCESS":
                return str(details["response"]["videoUrl"])


async def careful(service: FakeService, seed: int, number: int) -> None:
    """Convert all tracks with the script."""
    script = Script(support.DirectTransport(service, seed, None))
    await asyncio.gather(*map(script.convert, support.tracks(number)))


async def careful_with_aiolimiter(service: FakeService, seed: int, number: int) -> None:
    """Convert all tracks with the script and a published limiter."""
    limiter = support_limiters.published(LIMIT)["aiolimiter"]()
    script = Script(support.DirectTransport(service, seed, None), limiter.slot)
    await asyncio.gather(*map(script.convert, support.tracks(number)))


async def ours(service: FakeService, seed: int, number: int) -> None:
    """Convert all tracks with `convert_many`."""
    async with support.client(service, seed) as client:
        async for conversion in client.convert_many(support.tracks(number)):
            conversion.result()


class BlockingSession:
    """Replaces the `requests.Session` of suno-easy: calls the service in virtual time."""

    def __init__(self, runner: asyncio.Runner, transport: support.DirectTransport) -> None:
        self._runner, self._transport = runner, transport

    def get(self, url: str, params: dict[str, str]) -> Any:
        """Send a GET request."""
        return self._send(ApiRequest("GET", f"{url}?{urlencode(params)}"))

    def post(self, url: str, json: dict[str, str]) -> Any:
        """Send a POST request."""
        return self._send(ApiRequest("POST", url, dumps(json).encode()))

    def _send(self, request: ApiRequest) -> Any:
        body = self._runner.run(self._transport.send(request, 30)).body
        return SimpleNamespace(ok=True, text=body.decode(), json=partial(loads, body))


def suno_easy(service: FakeService, seed: int, number: int) -> float:
    """Convert one track after the other, each with `create` and its wait."""
    from suno_easy import SunoClient

    with asyncio.Runner(loop_factory=support.VirtualLoop) as runner:
        now = runner.get_loop().time
        clock = SimpleNamespace(time=now, sleep=lambda seconds: runner.run(asyncio.sleep(seconds)))
        client = SunoClient("any key")
        client.BASE_URL = ""
        client.session = BlockingSession(runner, support.DirectTransport(service, seed, None))
        with patch("suno_easy.client.time", clock):
            for track in support.tracks(number):
                assert client.video.create("music", track.audio_id).video_url
        return now()


def virtual(
    program: Callable[[FakeService, int, int], Coroutine[Any, Any, None]],
) -> Callable[[FakeService, int, int], float]:
    """Return a function that runs a program and returns its virtual seconds."""

    async def timed(service: FakeService, seed: int, number: int) -> float:
        await program(service, seed, number)
        return asyncio.get_running_loop().time()

    return lambda *given: support_limiters.run(partial(timed, *given))


def programs() -> dict[str, Callable[[FakeService, int, int], float]]:
    """Return the programs that can run here, ours first."""
    found = {"mp4gen": virtual(ours), "careful script": virtual(careful)}
    if peers.use("limiters"):
        found["careful script, aiolimiter"] = virtual(careful_with_aiolimiter)
    if peers.use("suno-easy"):
        found["suno-easy, one at a time"] = suno_easy
    return found


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__, tracks=200, seeds=5)
    runs: dict[str, list[tuple[float, float, int]]] = {}
    for seed in range(args.seeds):
        for name, program in programs().items():
            service = support.service(seed)
            seconds = program(service, seed, args.tracks)
            refused = support.rate_limited(service)
            runs.setdefault(name, []).append((seconds, service.count() / args.tracks, refused))
            if name == "mp4gen":
                floor = support.floor(support.durations(service), 2)
                runs.setdefault("floor", []).append((floor, 2, 0))
    means = {name: tuple(map(mean, zip(*found, strict=True))) for name, found in runs.items()}
    rows = [
        {
            "program": name,
            "tracks": args.tracks,
            "seconds": s,
            "requests a video": r,
            "405": refused,
        }
        for name, (s, r, refused) in means.items()
    ]
    show(f"{args.tracks:,} tracks, {args.seeds} seeds", rows, args.json)
    us, them = means["mp4gen"], means["careful script"]
    found = [
        at_most("requests, ours / the script's", us[1] / them[1], 0.12, "{:.3f}"),
        at_most("makespan, ours / the script's", us[0] / them[0], 0.75, "{:.3f}"),
        at_most("responses 405 to ours", us[2], 0),
    ]
    show_figures("A careful script", found, args.json)


if __name__ == "__main__":
    main()

"""Compare the loop that the README shows with mp4gen, on one service and with the same troubles.

    python benchmarks/readme_loop.py [--json FILE]

The loop is the first program of the README, as it stands there, with a track of its own in each of
the threads. Tasks take no time, so that only the trouble and the limit of 20 requests in 10 seconds
matter. Takes about 50 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from attrs import frozen
from report import note, parse_arguments, show

import mp4gen
from mp4gen.testing import FakeService
from mp4gen.testing.endpoints import Endpoint

README = Path(__file__).parents[1] / "README.md"
PAUSE = "time.sleep(5)"


@frozen
class Trouble:
    """A number of tracks at once, and the fault of the first request to an endpoint."""

    tracks: int = 1
    endpoint: Endpoint = "file"
    fault: str = "ok"


TROUBLES = {
    "one track": Trouble(),
    "20 tracks at once": Trouble(tracks=20),
    "the response to the submit is lost": Trouble(1, "create", "reset_after_accept"),
    "a poll is answered with an error": Trouble(1, "details", "server_error"),
    "the download breaks": Trouble(1, "file", "truncated"),
}


def loop_program() -> str:
    """Return the first program of the README."""
    text = README.read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    assert PAUSE in found[1]
    return found[1]


def run_loop(audio_id: str, pause: Callable[[], object]) -> Exception | None:
    """Run the loop for a track, with `pause` as its pause, and return its error."""
    program = loop_program().replace("e231", audio_id).replace(PAUSE, "pause()")
    try:
        exec(compile(program, "README.md", "exec"), {"pause": pause})  # noqa: S102 - our own text
    except Exception as error:  # noqa: BLE001 - whatever its user would get
        return error
    return None


def run_loops(service: FakeService, tracks: int) -> list[Exception | None]:
    """Run the loop in a thread for each track; the files are in the working directory."""
    os.environ |= {"MP4GEN_BASE_URL": service.url, "MP4GEN_API_KEY": "any key will do"}
    with ThreadPoolExecutor(tracks) as threads:
        names = [f"e{number}" for number in range(tracks)]
        return list(threads.map(lambda name: run_loop(name, lambda: time.sleep(5)), names))


def run_ours(service: FakeService, tracks: int) -> list[Exception | None]:
    """Run `convert_many` with downloads to the working directory."""
    requests = [mp4gen.VideoRequest("taskId_774b", f"e{number}") for number in range(tracks)]

    async def convert() -> list[Exception | None]:
        async with service.client() as client:
            run = client.convert_many(requests, download_to=".")
            return [conversion.error async for conversion in run]

    return asyncio.run(convert())


def measure(
    run: Callable[[FakeService, int], list[Exception | None]], trouble: Trouble
) -> tuple[int, int, str]:
    """Return the finished tracks, those paid for and lost, and the first error."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        FakeService() as service,
    ):
        service.script(trouble.endpoint, trouble.fault)
        errors = run(service, trouble.tracks)
        paid = len(service.tasks)
    failed = [error for error in errors if error is not None]
    finished = trouble.tracks - len(failed)
    return finished, paid - finished, f"{type(failed[0]).__name__}: {failed[0]}" if failed else ""


def compare(name: str, trouble: Trouble) -> dict[str, Any]:
    """Return one row of the table."""
    finished, lost, error = measure(run_loops, trouble)
    our_finished, our_lost, our_error = measure(run_ours, trouble)
    for who, text in (("the loop", error), ("mp4gen", our_error)):
        if text:
            note(f"{name}: {who}: {text[:150]}")
    return {
        "trouble": name,
        "the loop finished": finished,
        "paid for and lost": lost,
        "mp4gen finished": our_finished,
        "paid for and lost by it": our_lost,
        "reached": our_finished == trouble.tracks and our_lost == 0,
    }


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments(__doc__)
    rows = [compare(name, trouble) for name, trouble in TROUBLES.items()]
    show("The loop of the README", rows, args.json)


if __name__ == "__main__":
    main()

"""Runs small bulk jobs in forked children, and kills them at a named point; a program of its own.

It reads one JSON object a line: `url`, `folder`, `tracks`, `dedupes`, `point` (None for a run to
its end) and perhaps `signals` (default SIGKILL); it forks, and answers with the child's exit
status. It loads everything once and has no threads, so that a child costs some milliseconds.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import mp4gen
from mp4gen.bulk import ledger  # noqa: F401 - loaded once, before the forks

# What is about to happen, or has just happened: function, event, and for a step of the ledger its
# name or the state that it records. What is written is not yet committed.
POINTS: dict[str, tuple[str, str, str | None]] = {
    "before the ledger is locked": ("Lock.__init__", "call", None),
    "the ledger is locked": ("Lock.__init__", "return", None),
    "before the schema": ("migrate", "call", None),
    "the schema is there": ("migrate", "return", None),
    "the host is there": ("check_host", "return", None),
    "before the requests are stored": ("Ledger._admit", "call", None),
    "the requests are written": ("Ledger._admit", "return", None),
    "the requests are stored": ("Ledger._come_to", "return", "_admit"),
    "before the intent": ("Ledger._update", "call", "intent"),
    "the intent is written": ("Ledger._update", "return", "intent"),
    "the intent is committed": ("Ledger._come_to", "return", "intent"),
    "before the connection": ("Transport._exchange", "call", None),
    "the submit has left": ("_note_sent", "call", None),
    "the answer begins": ("_read", "call", None),
    "the answer is there": ("read_create", "call", None),
    "before a refusal is recorded": ("Ledger._update", "call", "new"),
    "a refusal is recorded": ("Ledger._come_to", "return", "new"),
    "before the id is recorded": ("Ledger._update", "call", "submitted"),
    "the id is written": ("Ledger._update", "return", "submitted"),
    "the id is recorded": ("Ledger._come_to", "return", "submitted"),
    "before the look": ("details_call", "call", None),
    "the video is seen": ("read_details", "return", None),
    "before the end is recorded": ("Ledger._update", "call", "done"),
    "the end is written": ("Ledger._update", "return", "done"),
    "the end is recorded": ("Ledger._come_to", "return", "done"),
    "the name is chosen": ("Ledger._come_to", "return", "_name"),
    "the temporary file is open": ("_opened", "return", None),
    "the file is written": ("PartFile.write", "return", None),
    "before the rename": ("Path.replace", "call", None),
    "the file has its name": ("Path.replace", "return", None),
    "before the file is recorded": ("Ledger._update", "call", "downloaded"),
    "the file is recorded": ("Ledger._come_to", "return", "downloaded"),
    "before the doubt is recorded": ("Ledger._update", "call", "uncertain"),
    "before the ledger is closed": ("Ledger._close", "call", None),
}


def signal_at(point: str, signals: list[int]) -> None:
    """From now on, send this process `signals` when it first comes to `point`."""
    name, wanted, what = POINTS[point]
    waiting = list(signals)

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event != wanted or frame.f_code.co_qualname != name:
            return
        if what is None or what in recorded(frame):
            while waiting:
                os.kill(os.getpid(), waiting.pop())

    threading.setprofile(watch)
    sys.setprofile(watch)


def recorded(frame: FrameType) -> tuple[str, str | None]:
    """The name of the ledger's step that this is about, and the state that it records."""
    known = frame.f_locals
    name, values = frame.f_code.co_name, known.get("values")
    if "step" in known:
        name, values = known["step"].work.func.__name__, known["step"].work.args[-1]
    return name, values.get("state") if isinstance(values, dict) else None


async def convert(job: dict[str, Any]) -> list[dict[str, Any]]:
    """One bulk run over the job's tracks, and what came of each."""
    dialect = mp4gen.Dialect.SUNO if job["dedupes"] else mp4gen.Dialect.for_url("http://unknown")
    requests = [mp4gen.VideoRequest("music", track) for track in job["tracks"]]
    folder = Path(job["folder"])
    async with (
        mp4gen.Client(
            base_url=job["url"],
            dialect=dialect,
            rate_limit=mp4gen.RateLimit(1000, per=0.01),
            polling=mp4gen.Polling(first=0.01, longest=0.02),
            retry=mp4gen.Retry(first=0.01, longest=0.01, request_timeout=5),
        ) as client,
        client.convert_many(requests, ledger=folder / "run.sqlite", download_to=folder) as run,
    ):
        return [
            {
                "track": conversion.request.audio_id,
                "error": type(conversion.error).__name__ if conversion.error else None,
                "path": str(conversion.path),
            }
            async for conversion in run
        ]


def child(job: dict[str, Any]) -> None:
    """The whole life of a child."""
    if job["point"]:
        signal_at(job["point"], job.get("signals", [signal.SIGKILL]))
    results = asyncio.run(convert(job))
    Path(job["folder"], "results.json").write_text(json.dumps(results))


def main() -> None:
    """Fork for each job that comes in."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                child(json.loads(line))
                status = 0
            except KeyboardInterrupt:
                status = 130
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

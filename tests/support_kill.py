"""Run small bulk jobs in forked children and kill each at a named point; a program of its own.

It reads one JSON object a line: `url`, `folder`, `tracks`, `rejects_duplicates`, `point` (None
for a complete run) and optionally `signals` (default SIGKILL). It forks and prints the child's
exit status. It loads everything once and has no threads, so a child takes only milliseconds.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import mp4gen
from mp4gen.api import protocol
from mp4gen.bulk import ledger_lock, ledger_schema
from mp4gen.bulk.ledger import Ledger  # loaded once, before the forks
from mp4gen.downloads import partial_file
from mp4gen.transport import http

Function = Callable[..., Any]

# Function, event, and for a step of the ledger its operation or the state that it records.
# A step that is "written" is not committed yet.
POINTS: dict[str, tuple[Function, str, str | Function | None]] = {
    "before the ledger is locked": (ledger_lock.Lock.__init__, "call", None),
    "the ledger is locked": (ledger_lock.Lock.__init__, "return", None),
    "before the schema": (ledger_schema.migrate, "call", None),
    "the schema is there": (ledger_schema.migrate, "return", None),
    "the host is there": (ledger_schema.check_host, "return", None),
    "before the requests are stored": (Ledger._add_or_get, "call", None),
    "the requests are written": (Ledger._add_or_get, "return", None),
    "the requests are stored": (Ledger._result_of, "return", Ledger._add_or_get),
    "before the intent": (Ledger._update, "call", "intent"),
    "the intent is written": (Ledger._update, "return", "intent"),
    "the intent is committed": (Ledger._result_of, "return", "intent"),
    "before the connection": (http.Transport._request, "call", None),
    "the submit has left": (http._Request.send, "call", None),
    "the answer begins": (http._read_body, "call", None),
    "the answer is there": (protocol.parse_create, "call", None),
    "before a refusal is recorded": (Ledger._update, "call", "new"),
    "a refusal is recorded": (Ledger._result_of, "return", "new"),
    "before the id is recorded": (Ledger._update, "call", "submitted"),
    "the id is written": (Ledger._update, "return", "submitted"),
    "the id is recorded": (Ledger._result_of, "return", "submitted"),
    "before the poll": (protocol.build_details_request, "call", None),
    "the video is seen": (protocol.parse_details, "return", None),
    "before the end is recorded": (Ledger._update, "call", "done"),
    "the end is written": (Ledger._update, "return", "done"),
    "the end is recorded": (Ledger._result_of, "return", "done"),
    "the name is chosen": (Ledger._result_of, "return", Ledger._reserve_filename),
    "the temporary file is open": (partial_file._open_locked, "return", None),
    "the file is written": (partial_file.PartialFile.write, "return", None),
    "before the rename": (Path.replace, "call", None),
    "the file has its name": (Path.replace, "return", None),
    "before the file is recorded": (Ledger._update, "call", "downloaded"),
    "the file is recorded": (Ledger._result_of, "return", "downloaded"),
    "before the doubt is recorded": (Ledger._update, "call", "uncertain"),
    "before the ledger is closed": (Ledger._close, "call", None),
}


def signal_at(point: str, signals: list[int]) -> None:
    """Send this process `signals` when it first reaches `point`."""
    function, wanted_event, detail = POINTS[point]
    pending = list(signals)

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event != wanted_event or frame.f_code is not function.__code__:
            return
        if detail is None or detail in recorded(frame):
            while pending:
                os.kill(os.getpid(), pending.pop())

    threading.setprofile(profile)
    sys.setprofile(profile)


def recorded(frame: FrameType) -> tuple[Function | None, str | None]:
    """Return the ledger's operation in a frame and the state that it records."""
    frame_locals = frame.f_locals
    operation, values = None, frame_locals.get("values")
    if "write" in frame_locals:
        operation, values = (
            frame_locals["write"].operation.func,
            frame_locals["write"].operation.args[-1],
        )
    return operation, values.get("state") if isinstance(values, dict) else None


async def convert(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the job's tracks and return their results."""
    dialect = (
        mp4gen.Dialect.SUNO
        if job["rejects_duplicates"]
        else mp4gen.Dialect.for_url("http://unknown")
    )
    requests = [mp4gen.VideoRequest("music", track) for track in job["tracks"]]
    folder = Path(job["folder"])
    async with (
        mp4gen.Client(
            base_url=job["url"],
            dialect=dialect,
            rate_limit=mp4gen.RateLimit(1000, per=0.01),
            polling=mp4gen.Polling(initial_delay=0.01, max_interval=0.02),
            retry=mp4gen.Retry(initial_delay=0.01, max_delay=0.01, request_timeout=5),
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
    """Run one job in this child."""
    if job["point"]:
        signal_at(job["point"], job.get("signals", [signal.SIGKILL]))
    results = asyncio.run(convert(job))
    Path(job["folder"], "results.json").write_text(json.dumps(results))


async def load() -> None:
    """Load what the package loads on first use, which is half of a child's work."""
    with TemporaryDirectory() as folder:
        async with (
            mp4gen.Client(base_url="http://127.0.0.1:9") as client,
            client.convert_many([], ledger=Path(folder, "run.sqlite"), download_to=folder) as run,
        ):
            assert [conversion async for conversion in run] == []
    assert threading.active_count() == 1


def main() -> None:
    """Fork for each job."""
    asyncio.run(load())
    # A background job of a shell starts with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
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

"""A real Redis for the tests, a slow line to it, and processes that share one limiter."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import attrs
import redis

from tests.support_proxy import free_port

BINARY = shutil.which("redis-server")
MISSING = "redis-server is not installed (Debian: apt-get install redis-server)"
ROOT = Path(__file__).parents[1]
_START_TIMEOUT = 10.0


class RedisServer:
    """A `redis-server` on a free port that stores nothing on disk.

    Args:
        options: Further options of its command line.
    """

    def __init__(self, *options: str) -> None:
        self._options = options
        self._port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="mp4gen-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        return "127.0.0.1", self._port

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it, empty, and wait until it accepts connections."""
        options = {
            "save": "",
            "appendonly": "no",
            "bind": "127.0.0.1",
            "port": str(self._port),
            "dir": self._folder.name,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [str(BINARY), *words, *self._options], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            with suppress(OSError), socket.create_connection(self.address, 1) as probe:
                probe.sendall(b"PING\r\n")
                if probe.recv(16) and self._process.poll() is None:
                    return
            # Another program may have taken the port meanwhile, and answers, too.
            assert self._process.poll() is None, "redis-server cannot use its port"
            assert time.monotonic() < deadline, "redis-server does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once; its data is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it hang: connections stay open, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """End a freeze."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def mark_as_used(url: str, name: str) -> None:
    """Let a limiter find that it was used before, so that it need not wait on a young server."""
    with redis.Redis.from_url(url) as client:
        client.hset(f"mp4gen:{{{name}}}:state", "epoch", "1")
        client.zadd(f"mp4gen:{{{name}}}:slots", {"complete": "+inf"})


class SlowLine:
    """A TCP proxy that delays all that passes.

    Args:
        upstream: The host and port of the server.
        delay: Seconds in each direction.
    """

    def __init__(self, upstream: tuple[str, int], delay: float) -> None:
        self._upstream, self._delay = upstream, delay
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._upstream)
        for source, target in ((reader, upstream_writer), (upstream_reader, writer)):
            task = asyncio.create_task(self._pump(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            while chunk := await source.read(1 << 16):
                loop.call_later(self._delay, target.write, chunk)
        except OSError:
            pass
        finally:
            target.close()


@attrs.frozen(kw_only=True)
class WorkerSettings:
    """What one process does: calls the API at the limit until its standard input ends.

    Attributes:
        service_url: URL of the API.
        redis_url: URL of Redis.
        name: The name of the limiter.
        requests: Calls in each period.
        per: Seconds of a period.
        concurrency: Calls that wait at a time.
        clock_offset: Seconds by which the wall clock of the process is wrong.
    """

    service_url: str
    redis_url: str
    name: str
    requests: int
    per: float
    concurrency: int = 40
    clock_offset: float = 0.0


class Worker:
    """A process that runs `tests.support_redis_worker`; it has made a call when it is `ready`."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support_redis_worker",
                json.dumps(attrs.asdict(settings)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Wait for its first call."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """End it at once, as the kernel does if memory is short."""
        self._process.kill()
        self._process.communicate()

    def stop(self) -> dict[str, Any]:
        """End it after its calls, and return its figures."""
        output, _ = self._process.communicate()
        assert self._process.returncode == 0
        figures: dict[str, Any] = json.loads(output)
        return figures

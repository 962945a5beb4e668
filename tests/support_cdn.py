"""A scripted file host on loopback that fails like real ones; raw sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from random import Random
from typing import Any, Self, TypeVar

import attrs

from mp4gen import DownloadError, Retry
from mp4gen.downloads.download import Download
from mp4gen.downloads.fetch import DownloadLimits, FileSessions
from mp4gen.testing.media import etag, tiny_mp4
from mp4gen.transport.network import Network

T = TypeVar("T")
IMMEDIATE_RETRY = Retry(initial_delay=1e-4, max_delay=1e-3)
MOVIE = tiny_mp4("movie", 3000)


@attrs.frozen
class Request:
    """A request as it arrived; header names in lower case."""

    line: str
    headers: dict[str, str]

    @property
    def offset(self) -> int:
        """The first byte of the requested range."""
        return int(self.headers.get("range", "bytes=0-")[6:-1])


@attrs.frozen(kw_only=True)
class Response:
    """A scripted response.

    Attributes:
        status: The HTTP status.
        headers: The headers; no length is added.
        body: All bytes after the head.
        truncate_at: The bytes of the body after which the connection breaks, once they arrived.
        received: The bytes of the file that the client has by then; None for as many as were sent.
        hang: The seconds of silence at the cut, or else before the head.
        byte_delay: The seconds after each byte of the body.
        reset: Whether the connection breaks with a reset.
    """

    status: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    truncate_at: int | None = None
    received: int | None = None
    hang: float = 0.0
    byte_delay: float = 0.0
    reset: bool = False


Handler = Callable[[Request], Response]


def full_response(
    content: bytes = MOVIE, *, truncate_at: int | None = None, **headers: str
) -> Response:
    """Return the response of a host without faults, or its first `truncate_at` bytes."""
    all_headers = {"Content-Length": str(len(content)), "ETag": etag(content)} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    all_headers = {name: value for name, value in all_headers.items() if value}
    return Response(headers=all_headers, body=content, truncate_at=truncate_at)


def range_response(request: Request, content: bytes = MOVIE, **headers: str) -> Response:
    """Return the requested range if the file is the same, else the whole file."""
    if not request.offset or request.headers.get("if-range") != etag(content):
        return full_response(content, **headers)
    if request.offset >= len(content):
        return Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    span = f"bytes {request.offset}-{len(content) - 1}/{len(content)}"
    all_headers = {"ETag": etag(content), "Content-Range": span}
    body = content[request.offset :]
    return Response(status=206, headers=all_headers | {"Content-Length": str(len(body))}, body=body)


class FileHost:
    """Answers by its script, then without faults.

    Attributes:
        requests: The requests so far.
        progress_reports: The calls of `on_progress`.
        failures: The texts of the errors that `on_retry` received.
        delays: The seconds that `on_retry` received.
        peak_connections: The most connections at a time.
    """

    def __init__(self, *script: Response | Handler, tls: ssl.SSLContext | None = None) -> None:
        self.script = list(script)
        self.requests: list[Request] = []
        self.progress_reports: list[tuple[int, int | None]] = []
        self.failures: list[str] = []
        self.delays: list[float] = []
        self.peak_connections = 0
        self.content = MOVIE
        self._tls = tls
        self._request_received = asyncio.Event()
        self._progressed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The URL of the file."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/movie.mp4?sig=s3cret"

    @property
    def offsets(self) -> list[int]:
        """The first byte of the range of each request."""
        return [request.offset for request in self.requests]

    def on_progress(self, done: int, total: int | None) -> None:
        """Record the progress of a download, as its `on_progress`."""
        self.progress_reports.append((done, total))
        self._progressed.set()

    def on_retry(self, error: DownloadError, delay: float) -> None:
        """Record a failed attempt of a download, as its `on_retry`."""
        self.failures.append(str(error))
        self.delays.append(delay)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._handle_connection(reader, writer))
        self._tasks.add(task)
        self.peak_connections = max(self.peak_connections, len(self._tasks))
        task.add_done_callback(self._tasks.discard)
        # The task itself may be cancelled before its first step.
        task.add_done_callback(lambda _: writer.close())

    async def _handle_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await _read_request(reader)
                self.requests.append(request)
                self._request_received.set()
                response = self.script.pop(0) if self.script else self._default_response
                response = response if isinstance(response, Response) else response(request)
                await self._send(response, request.offset, writer)
                if response.truncate_at is not None or "Content-Length" not in response.headers:
                    break

    def _default_response(self, request: Request) -> Response:
        return range_response(request, self.content)

    async def _send(self, response: Response, offset: int, writer: asyncio.StreamWriter) -> None:
        if response.truncate_at is None:
            await asyncio.sleep(response.hang)
        headers = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
        writer.write(
            f"HTTP/1.1 {response.status} Word\r\n{headers}\r\n".encode("utf-8", "surrogateescape")
        )
        body = memoryview(response.body)[: response.truncate_at]
        step = 1 if response.byte_delay else 1 << 16
        for at in range(0, len(body), step):
            writer.write(body[at : at + step])
            await writer.drain()
            if response.byte_delay:
                await asyncio.sleep(response.byte_delay)
        if response.truncate_at is not None:
            start = offset if response.status == 206 else 0
            sent = start + response.truncate_at if response.truncate_at else 0
            await self.wait_for_progress(sent if response.received is None else response.received)
            await asyncio.sleep(response.hang)
        if response.reset:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def wait_for_requests(self, times: int = 1) -> None:
        """Wait for `times` requests."""
        while len(self.requests) < times:
            self._request_received.clear()
            await self._request_received.wait()

    async def wait_for_progress(self, size: int) -> None:
        """Wait until the download reports at least `size` bytes since its last restart."""
        while size and (not self.progress_reports or self.progress_reports[-1][0] < size):
            self._progressed.clear()
            await self._progressed.wait()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")[:-2]
    pairs = (field.partition(": ") for field in fields)
    return Request(line, {name.lower(): value for name, _, value in pairs})


def download(host: FileHost, sessions: FileSessions, **changes: Any) -> Download:
    """Return a download from `host` that retries immediately and reports to the host."""
    limits = changes.pop("limits", DownloadLimits(allow_private=True, retry=IMMEDIATE_RETRY))
    url = changes.pop("url", host.url)
    settings = {"on_progress": host.on_progress, "on_retry": host.on_retry} | changes
    return Download(sessions, url, limits, Random(1), **settings)


@asynccontextmanager
async def file_sessions(**settings: Any) -> AsyncIterator[FileSessions]:
    """Yield sessions that are closed after the block; `settings` are fields of `Network`."""
    sessions = FileSessions(Network(**settings))
    try:
        yield sessions
    finally:
        await sessions.aclose()


async def timed(awaitable: Awaitable[T]) -> tuple[T, float]:
    """Return the result of `awaitable` and the seconds that it took, in loop time."""
    clock = asyncio.get_running_loop().time
    start = clock()
    return await awaitable, clock() - start


def chunked(*parts: bytes) -> bytes:
    """Return `parts` in chunked coding, with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def http_date(seconds: float) -> str:
    """Return a date in HTTP's format."""
    return formatdate(seconds, usegmt=True)


def open_files() -> set[str]:
    """Return the open files and sockets of this process by their names in /proc."""
    names = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            names.add(f"{entry.name} {entry.readlink()}")
    return names


async def open_files_after_close(expected: set[str]) -> set[str]:
    """Return what is open after asyncio has closed everything, which takes a few turns."""
    for _ in range(100):
        if open_files() == expected:
            break
        await asyncio.sleep(0.001)
    return open_files()


def names_in(folder: Path) -> list[str]:
    """Return the names in `folder`, with hidden ones."""
    return sorted(path.name for path in folder.iterdir())

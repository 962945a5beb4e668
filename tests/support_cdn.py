"""A file host on loopback that does what real ones do on bad days; raw sockets, scripted."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from random import Random
from typing import Any, Self

import attrs

from mp4gen import Retry
from mp4gen.downloads.download import Download
from mp4gen.downloads.fetch import DownloadLimits, FileSessions
from mp4gen.testing.media import etag, tiny_mp4

AT_ONCE = Retry(initial_delay=1e-4, max_delay=1e-3)
MOVIE = tiny_mp4("movie", 3000)


@attrs.frozen
class Asked:
    """A request as it arrived; header names in lower case."""

    line: str
    headers: dict[str, str]

    @property
    def offset(self) -> int:
        """The first byte that was asked for."""
        return int(self.headers.get("range", "bytes=0-")[6:-1])


@attrs.frozen(kw_only=True)
class Says:
    """One scripted answer.

    Attributes:
        status: the HTTP status.
        headers: sent as they are; no length is added.
        body: all that is sent after the head.
        cut: bytes of the body after which the connection breaks, once the client has them.
        most: bytes of the file that the client can have at the cut, where coding adds others.
        known: bytes of the file that the client has by then; None for as many as were sent.
        hang: seconds of silence before anything else happens at the cut, or before the head.
        drip: seconds after each byte of the body.
        reset: whether the connection breaks with a reset.
    """

    status: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    cut: int | None = None
    known: int | None = None
    hang: float = 0.0
    drip: float = 0.0
    reset: bool = False


Answering = Callable[[Asked], Says]


def whole(content: bytes = MOVIE, *, cut: int | None = None, **headers: str) -> Says:
    """The file as a host without any fault gives it, or its first `cut` bytes."""
    about = {"Content-Length": str(len(content)), "ETag": etag(content)} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    about = {name: value for name, value in about.items() if value}
    return Says(headers=about, body=content, cut=cut)


def rest(asked: Asked, content: bytes = MOVIE, **headers: str) -> Says:
    """What was asked for: the rest where the file is still the same, else the whole."""
    if not asked.offset or asked.headers.get("if-range") != etag(content):
        return whole(content, **headers)
    if asked.offset >= len(content):
        return Says(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    span = f"bytes {asked.offset}-{len(content) - 1}/{len(content)}"
    about = {"ETag": etag(content), "Content-Range": span}
    body = content[asked.offset :]
    return Says(status=206, headers=about | {"Content-Length": str(len(body))}, body=body)


class FileHost:
    """Answers by script, then as a good host does.

    Attributes:
        asked: the requests so far.
        told: what the download's `on_progress` (`host.progress`) was told.
        most: the largest number of connections at a time.
    """

    def __init__(self, *script: Says | Answering, tls: ssl.SSLContext | None = None) -> None:
        self.script = list(script)
        self.asked: list[Asked] = []
        self.told: list[tuple[int, int | None]] = []
        self.most = 0
        self.content = MOVIE
        self._tls = tls
        self._asked = asyncio.Event()
        self._moved = asyncio.Event()
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
        """Where the file is."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/movie.mp4?sig=s3cret"

    @property
    def offsets(self) -> list[int]:
        """Where each request wanted to begin."""
        return [asked.offset for asked in self.asked]

    def progress(self, done: int, total: int | None) -> None:
        """An `on_progress`, by which the host knows what has arrived."""
        self.told.append((done, total))
        self._moved.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._talk(reader, writer))
        self._tasks.add(task)
        self.most = max(self.most, len(self._tasks))
        task.add_done_callback(self._tasks.discard)
        # Not in the task itself, which may be cancelled before its first step.
        task.add_done_callback(lambda _: writer.close())

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                asked = await _read(reader)
                self.asked.append(asked)
                self._asked.set()
                says = self.script.pop(0) if self.script else self._properly
                says = says if isinstance(says, Says) else says(asked)
                await self._say(says, asked.offset, writer)
                if says.cut is not None or "Content-Length" not in says.headers:
                    break

    def _properly(self, asked: Asked) -> Says:
        return rest(asked, self.content)

    async def _say(self, says: Says, offset: int, writer: asyncio.StreamWriter) -> None:
        if says.cut is None:
            await asyncio.sleep(says.hang)
        headers = "".join(f"{name}: {value}\r\n" for name, value in says.headers.items())
        writer.write(
            f"HTTP/1.1 {says.status} Word\r\n{headers}\r\n".encode("utf-8", "surrogateescape")
        )
        body = memoryview(says.body)[: says.cut]
        step = 1 if says.drip else 1 << 16
        for at in range(0, len(body), step):
            writer.write(body[at : at + step])
            await writer.drain()
            if says.drip:
                await asyncio.sleep(says.drip)
        if says.cut is not None:
            start = offset if says.status == 206 else 0
            sent = start + says.cut if says.cut else 0
            await self.arrived(sent if says.known is None else says.known)
            await asyncio.sleep(says.hang)
        if says.reset:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def asked_for(self, times: int = 1) -> None:
        """Return when so many requests have come in."""
        while len(self.asked) < times:
            self._asked.clear()
            await self._asked.wait()

    async def arrived(self, size: int) -> None:
        """Return when the download has told of at least `size` bytes since the last restart."""
        while size and (not self.told or self.told[-1][0] < size):
            self._moved.clear()
            await self._moved.wait()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = await reader.readuntil(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")[:-2]
    pairs = (field.partition(": ") for field in fields)
    return Asked(line, {name.lower(): value for name, _, value in pairs})


def download(host: FileHost, sessions: FileSessions, **changes: Any) -> Download:
    """A download from `host` that may, does not wait long, and tells the host of its progress."""
    rules = changes.pop("limits", DownloadLimits(allow_private=True, retry=AT_ONCE))
    url = changes.pop("url", host.url)
    given = {"on_progress": host.progress} | changes
    return Download(sessions, url, rules, Random(1), **given)


@asynccontextmanager
async def files(**settings: Any) -> AsyncIterator[FileSessions]:
    """Sessions that are closed in the end."""
    sessions = FileSessions(**settings)
    try:
        yield sessions
    finally:
        await sessions.aclose()


def chunked(*parts: bytes) -> bytes:
    """`parts` in chunked coding, with its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


def http_date(seconds: float) -> str:
    """A date as HTTP writes it."""
    return formatdate(seconds, usegmt=True)


def open_files() -> set[str]:
    """What this process has open: files and sockets, by their names in /proc."""
    names = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            names.add(f"{entry.name} {entry.readlink()}")
    return names


async def files_settled(expected: set[str]) -> set[str]:
    """What is open once asyncio has closed what it was told to; it takes a few turns."""
    for _ in range(100):
        if open_files() == expected:
            break
        await asyncio.sleep(0.001)
    return open_files()


def inside(folder: Path) -> list[str]:
    """The names in `folder`, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())

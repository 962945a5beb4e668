"""A real S3 server in a process of its own, a proxy that fails on demand, and plain requests."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from http.client import HTTPConnection

import attrs

# The variables of AWS that a test must not take from the machine.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}

# Without a name, objects would be refused as private; the server verifies no signature.
_HEADERS = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request",
    "Content-Type": "application/octet-stream",
}


@attrs.frozen
class S3Server:
    """A running server."""

    url: str

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Return the body of the answer to a request."""
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        with closing(connection):
            connection.request(method, path, body, _HEADERS)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 300:
            raise LookupError(answer.status)
        return content

    def make_bucket(self) -> str:
        """Create a bucket and return its name."""
        name = f"test-{secrets.token_hex(6)}"
        self.request("PUT", f"/{name}")
        return name

    def get(self, path: str) -> bytes | None:
        """Return an object; None if there is none."""
        try:
            return self.request("GET", path)
        except LookupError:
            return None

    def keys(self, name: str) -> list[str]:
        """Return the keys of all objects of a bucket."""
        listing = self.request("GET", f"/{name}?list-type=2").decode()
        return re.findall("<Key>(.+?)</Key>", listing)

    def uploads(self, name: str) -> list[str]:
        """Return the keys of the uploads that are neither complete nor aborted."""
        return re.findall("<Key>(.+?)</Key>", self.request("GET", f"/{name}?uploads").decode())

    @contextmanager
    def denied(self) -> Iterator[None]:
        """Refuse all requests with these credentials."""
        self.request("POST", "/moto-api/reset-auth", b"0")
        try:
            yield
        finally:
            self.request("POST", "/moto-api/reset-auth", b"inf")


@contextmanager
def run_s3_server() -> Iterator[S3Server]:
    """Run a server on a free port of loopback."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        line = next(line for line in process.stdout if "Running on" in line)
        # It logs each request, and must not wait for a reader.
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        try:
            yield S3Server(re.search(r"http://[\w.:]+", line)[0])
        finally:
            process.terminate()
            reader.join()


class Proxy:
    """A TCP proxy in front of a server.

    Attributes:
        url: Its URL.
        cut_after: Bytes from the client after which a connection is cut; None for never.
        is_stalled: Whether nothing passes from now on.
        is_cut: Set when the first connection was cut.
    """

    def __init__(self, target: str) -> None:
        self._host, _, port = target.removeprefix("http://").partition(":")
        self._port = int(port)
        self.url = ""
        self.cut_after: int | None = None
        self.is_stalled = False
        self.is_cut = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        there, back = await asyncio.open_connection(self._host, self._port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, back, counts=True))
                group.create_task(self._pass_on(there, writer, counts=False))
        except* OSError:
            pass
        finally:
            for one in (back, writer):
                one.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool
    ) -> None:
        passed = 0
        while content := await reader.read(64 << 10):
            passed += len(content)
            if self.is_stalled:
                await asyncio.Event().wait()
            if counts and self.cut_after is not None and passed > self.cut_after:
                self.is_cut.set()
                raise ConnectionAbortedError
            writer.write(content)
            await writer.drain()
        raise ConnectionAbortedError


@asynccontextmanager
async def run_proxy(target: str) -> AsyncIterator[Proxy]:
    """Run a proxy in front of `target`."""
    proxy = Proxy(target)
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield proxy
    server.close()
    for task in connections:
        task.cancel()
    await asyncio.gather(*connections, return_exceptions=True)
    # The transports close in the next turn of the loop.
    await asyncio.sleep(0)

"""`Client.has_sent`: whether anything has left this machine, so that an exit code can say so."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

import mp4gen
from mp4gen import Client
from mp4gen.testing import FakeService
from tests.support_cdn import FileHost

pytestmark = pytest.mark.looptime
NO_RETRY = mp4gen.Retry(timeout=0)


async def test_new_client_has_sent_nothing() -> None:
    """Making one opens no connection."""
    async with Client("k") as client:
        assert not client.has_sent


async def test_refused_connection_has_sent_nothing() -> None:
    """Not a byte of the request left."""
    async with FakeService() as service:
        url = service.url
    async with Client(base_url=url, retry=NO_RETRY) as client:
        with pytest.raises(mp4gen.TransportError):
            await client.get_credits()

        assert not client.has_sent


@pytest.mark.parametrize("answer", ["ok", "reset", "code_400", "html_404"])
async def test_request_that_left_has_sent(answer: str) -> None:
    """Whatever the answer was."""
    async with FakeService() as service, service.client(retry=NO_RETRY) as client:
        if answer != "ok":
            service.script("credits", answer)
        with pytest.raises(mp4gen.Mp4GenError) if answer != "ok" else nullcontext():
            await client.get_credits()

        assert client.has_sent


async def test_download_has_sent(tmp_path: Path) -> None:
    """A resumed run may only download."""
    async with FileHost() as host, Client(base_url="http://127.0.0.1:9") as client:
        await client.download(host.url, tmp_path / "a.mp4")

        assert client.has_sent

"""What the tests of both bots share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mp4gen.testing import FakeService
from mp4gen.testing.service import FAKE_KEY
from tests.docs.support_telegram import Telegram, serve_telegram


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[FakeService]:
    """Run our API, whose tasks take 40 seconds; a bot reads its settings from the environment."""
    async with FakeService(duration=40.0) as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        monkeypatch.setenv("MP4GEN_API_KEY", FAKE_KEY)
        monkeypatch.chdir(tmp_path)
        yield service


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    """Run the fake of Telegram's API."""
    async with serve_telegram() as running:
        yield running

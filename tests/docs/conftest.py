"""What the tests of both bots share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mp4gen.testing import FakeService
from mp4gen.testing.service import FAKE_KEY


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[FakeService]:
    """Run our API, whose tasks take 40 seconds; a bot reads its settings from the environment."""
    async with FakeService(duration=40.0) as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        monkeypatch.setenv("MP4GEN_API_KEY", FAKE_KEY)
        for token in ("DISCORD_TOKEN", "TELEGRAM_TOKEN"):
            monkeypatch.delenv(token, raising=False)
        monkeypatch.chdir(tmp_path)
        yield service

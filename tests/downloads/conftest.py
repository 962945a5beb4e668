"""Fixtures of the download tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mp4gen.downloads.fetch import FileSessions
from tests.support_cdn import file_sessions


@pytest.fixture
async def sessions() -> AsyncIterator[FileSessions]:
    async with file_sessions() as opened:
        yield opened


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "movie.mp4"

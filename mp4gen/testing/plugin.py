"""The pytest plugin; loaded by pytest alone, through its entry point."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .service import FakeService


@pytest.fixture
def mp4gen_service() -> Iterator[FakeService]:
    """The API on loopback, in a thread of its own: see `mp4gen.testing.FakeService`.

    A plain fixture, so that it works with every async plugin and without one.
    """
    with FakeService() as service:
        yield service

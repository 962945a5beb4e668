"""The pytest plugin; loaded by pytest only, through its entry point."""

from collections.abc import Iterator

import pytest

from .service import FakeService


@pytest.fixture
def mp4gen_service() -> Iterator[FakeService]:
    """Run a `mp4gen.testing.FakeService` in its own thread.

    It is a plain fixture, so it works with every async plugin and without one.
    """
    with FakeService() as service:
        yield service

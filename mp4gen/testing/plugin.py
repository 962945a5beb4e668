"""The pytest plugin; loaded by pytest only, through its entry point."""

from __future__ import annotations

import typing

import pytest

if typing.TYPE_CHECKING:
    from collections.abc import Iterator

    from .service import FakeService

_MARKER = (
    "mp4gen_service(**settings): arguments of the `FakeService` behind the fixture of that name"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that configures the fixture."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def mp4gen_service(request: pytest.FixtureRequest) -> Iterator[FakeService]:
    """Run a `mp4gen.testing.FakeService` in its own thread.

    It is a plain fixture, so it works with every async plugin and without one. The marker
    `@pytest.mark.mp4gen_service(duration=0.2)` gives its arguments; the nearest one wins.
    """
    # In most projects no test asks for it.
    from .service import FakeService

    marker = request.node.get_closest_marker("mp4gen_service")
    with FakeService(**(marker.kwargs if marker else {})) as service:
        yield service

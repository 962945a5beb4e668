"""The version of the installed package."""

from __future__ import annotations

import functools


@functools.cache
def package_version() -> str:
    """Return the version of mp4gen, or "unknown" if its metadata is missing."""
    # The import costs more than the whole of this package's core; the first call pays for it.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mp4gen")
    except PackageNotFoundError:
        return "unknown"

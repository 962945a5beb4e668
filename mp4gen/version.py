"""The version of the installed package."""

import functools


@functools.cache
def package_version() -> str:
    """Return the version of mp4gen, or "unknown" if its metadata is missing."""
    # This import takes longer than the rest of the package, so it waits for the first call.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mp4gen")
    except PackageNotFoundError:
        return "unknown"

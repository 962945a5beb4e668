"""The version of the installed package."""

import functools

UNKNOWN = "unknown"


@functools.cache
def package_version() -> str:
    """Return the version of mp4gen, or "unknown" if its metadata is missing or broken."""
    # This import takes longer than the rest of the package, so it waits for the first client.
    from importlib.metadata import version

    try:
        return version("mp4gen") or UNKNOWN
    except Exception:  # noqa: BLE001 - a bundle can lack any part of the metadata
        return UNKNOWN

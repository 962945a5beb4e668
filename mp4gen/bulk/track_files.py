"""Find and read the files in a run's folder; writes nothing."""

import os
import stat
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path


def file_size(path: Path) -> int | None:
    """Return the bytes of a regular file, or None if it cannot be found."""
    # A path that is too long or forbidden raises an `OSError`, one with a null byte a `ValueError`.
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def available_names(folder: Path, stem: str, number: int) -> Iterator[str]:
    """Yield the file names, without `.mp4`, that a track may have in `folder`.

    They begin with `stem`, followed by the track's `number` if it is taken.
    """
    numbered = (f"-{number}-{again}" for again in count(2))
    for suffix in chain(("", f"-{number}"), numbered):
        # Also a broken link is a file of the user.
        if not os.path.lexists(folder / f"{stem}{suffix}.mp4"):
            yield stem + suffix

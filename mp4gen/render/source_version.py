"""Notice that an audio file was replaced or modified while it was rendered. Reads no content."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mp4gen.errors import RenderCancelledError, RenderError, RenderIOError

from .decode import display_name
from .options import PathLike

Version = tuple[int, int, int, int]


@contextmanager
def watch_source(path: PathLike) -> Iterator[Callable[[], None]]:
    """Yield a function that raises if the file at `path` is not the same as before the block.

    An error of the block about the content of a file that changed is not about the new content.

    Raises:
        RenderIOError: the file was replaced or modified; also in place of the block's own error.
    """
    source = Path(os.fspath(path))
    # While it is open, no file system gives it another number and no new file gets its number.
    with _hold_open(source):
        before = version_of(source)

        def check() -> None:
            if version_of(source) != before:
                raise RenderIOError(
                    f"The audio file changed while it was rendered: {display_name(source)}. "
                    "Render it again."
                )

        try:
            yield check
        except RenderError as error:
            if not isinstance(error, RenderCancelledError | RenderIOError):
                check()
            raise


@contextmanager
def _hold_open(source: Path) -> Iterator[None]:
    try:
        descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        # The decoder raises the error that describes the problem.
        yield
        return
    try:
        yield
    finally:
        os.close(descriptor)


def version_of(path: PathLike) -> Version | None:
    """Return what changes when a file is replaced or modified; None if it cannot be read."""
    try:
        stat = Path(os.fspath(path)).stat()
    except (OSError, ValueError):
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns

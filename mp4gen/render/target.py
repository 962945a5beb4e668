"""Check the path of a video before any work is done for it. Writes nothing."""

import os
from pathlib import Path

from mp4gen.errors import RenderError, RenderIOError

from . import decode
from .options import PathLike


def validate_target(to: PathLike, audio: PathLike) -> Path:
    """Return the path of the MP4, which may be a symbolic link to a file.

    Raises:
        RenderError: the target is not the name of an MP4 in a folder, or is the audio file.
        RenderIOError: the target cannot be checked.
    """
    target, source = Path(os.fspath(to)), Path(os.fspath(audio))
    name = decode.display_name(target)
    if "\0" in str(target):
        raise RenderError(f"Cannot write {name}: its name has a zero byte. Choose another name.")
    try:
        folder = Path(os.path.realpath(target)).parent
        folder_exists, exists = folder.is_dir(), _exists(target)
        is_same_file = exists and source.exists() and target.samefile(source)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RenderIOError(f"Cannot write {name}: {reason}. Use another path.") from error
    if not folder_exists:
        raise RenderError(f"The folder of {name} does not exist: {folder}. Create it.")
    if exists and not target.is_file():
        kind = "a folder" if target.is_dir() else "not a regular file"
        raise RenderError(f"Cannot write {name}: it is {kind}. Use a name that ends in .mp4.")
    if is_same_file:
        raise RenderError(f"Cannot write {name}: it is the audio file. Choose another name.")
    if target.suffix.lower() != ".mp4":
        raise RenderError(
            f"Cannot write {name}: the video is an MP4. Use a name that ends in .mp4."
        )
    return target


def _exists(path: Path) -> bool:
    """Return whether a file exists; unlike `Path.exists`, raise for links in a circle."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True

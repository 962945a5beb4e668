"""Check the path of a video before any work is done for it."""

import os
from pathlib import Path

from mp4gen.errors import RenderError, RenderIOError

from . import decode
from .options import PathLike


def validate_target(to: PathLike, audio: PathLike) -> Path:
    """Return the path of the MP4.

    Raises:
        RenderError: the target is not a file name in a folder, or is the audio file.
        RenderIOError: the target cannot be checked.
    """
    target, source = Path(os.fspath(to)), Path(os.fspath(audio))
    name = decode.display_name(target)
    if "\0" in str(target):
        raise RenderError(f"Cannot write {name}: its name has a zero byte. Choose another name.")
    try:
        folder_exists, exists = target.parent.is_dir(), target.exists()
        is_same_file = exists and source.exists() and target.samefile(source)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RenderIOError(f"Cannot write {name}: {reason}. Use another path.") from error
    if not folder_exists:
        raise RenderError(f"The folder of {name} does not exist: {target.parent}. Create it.")
    if exists and not target.is_file():
        kind = "a folder" if target.is_dir() else "not a regular file"
        raise RenderError(f"Cannot write {name}: it is {kind}. Use a name that ends in .mp4.")
    if is_same_file:
        raise RenderError(f"Cannot write {name}: it is the audio file. Choose another name.")
    return target

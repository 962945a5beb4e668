"""Choose the file that a download becomes; writes nothing."""

import os
from pathlib import Path

from mp4gen import filesystem
from mp4gen.errors import DownloadError
from mp4gen.models import Video

from .filenames import filename_from_url, safe_stem
from .partial_file import translate_os_errors


def target_path(video_or_url: Video | str, to: str | os.PathLike[str]) -> Path:
    """Return the path of the file: `to` if it ends in `.mp4`, else a file in the folder `to`.

    Raises:
        DownloadError: `~` is that of an unknown user, or of one without a home folder.
    """
    try:
        path = Path(to).expanduser()
    except RuntimeError:
        raise DownloadError(f"No home folder for {to}. Use an absolute path.") from None
    # A `Path` has lost the slash of a new folder.
    if not filesystem.names_folder(os.path.expanduser(to)):  # noqa: PTH111
        return path
    if isinstance(video_or_url, str):
        return path / filename_from_url(video_or_url)
    return path / f"{safe_stem(video_or_url.audio_id or video_or_url.task_id)}.mp4"


def resolve_links(path: Path) -> Path:
    """Return the file to which `path` leads, so that no symbolic link is replaced by a file.

    Raises:
        DownloadError: It leads to a folder, a device or a pipe, or cannot be read.
    """
    with translate_os_errors(path):
        return filesystem.resolve_links(path)

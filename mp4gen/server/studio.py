"""What a worker does for the page: looks into music, draws covers and preview pictures.

Runs in a worker process, like the renders: files are other people's, and a decoder may crash.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import attrs

from mp4gen.errors import RenderError

COVER_SIDE = 192
_QUALITY = 85
# A moment after the opening, when the picture has settled.
_MOMENT = 12.0


@attrs.frozen
class MusicInfo:
    """What a music file says about itself.

    Attributes:
        title: its title, or None.
        artist: its artist, or None.
        seconds: how long it plays.
        problem: why it cannot be used, as a sentence; None where it can.
    """

    title: str | None = None
    artist: str | None = None
    seconds: float | None = None
    problem: str | None = None


def look(paths: list[Path]) -> list[MusicInfo]:
    """What each of these files says about itself."""
    return [_look(path) for path in paths]


def cover(path: Path, max_duration: float) -> bytes:
    """The square picture of a track, as its video shows it, as a small JPEG.

    Raises:
        RenderError: this is no music that can become a video.
    """
    from mp4gen.render import render_cover

    return render_cover(path, COVER_SIDE, max_duration=max_duration)


def preview(path: Path, words: dict[str, Any], style: dict[str, Any], most: float) -> bytes:
    """A moment of the video that these settings would make, as a JPEG.

    Args:
        path: the music.
        words: `title`, `author` and `domain_name`.
        style: the arguments of `RenderStyle`.
        most: seconds of music at most.

    Raises:
        RenderError: this is no music that can become a video.
    """
    from mp4gen.render import RenderStyle, render_frame

    picture = render_frame(
        path,
        at=_MOMENT,
        style=RenderStyle(**style),
        max_duration=most,
        **words,
    )
    return _saved(picture)


def _look(path: Path) -> MusicInfo:
    from mp4gen.render import probe

    try:
        info = probe(path)
    except RenderError as error:
        return MusicInfo(problem=str(error))
    return MusicInfo(info.title, info.artist, info.duration)


def _saved(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()

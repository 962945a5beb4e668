"""What a worker does for the page: looks into music, draws covers and preview pictures.

Runs in a worker process, like the renders: files are other people's, and a decoder may crash.
"""

from __future__ import annotations

import functools
import io
import os
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
    from mp4gen.render import cover as covers
    from mp4gen.render import tags

    attached = tags.read_tags(path).cover
    if attached is not None:
        try:
            pixels = covers.read_cover(attached, COVER_SIDE)
            return covers.cover_jpeg((pixels / 255).astype("float32"))
        except RenderError:
            # As in the video: one made from the music stands in for a broken picture.
            attached = None
    features = _measured_once()(path, fps=30, bands=64, max_duration=max_duration)
    made, _ = covers.made_cover(features.digest, COVER_SIDE)
    return covers.cover_jpeg(made)


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
    from mp4gen.render import RenderStyle, analysis, render_frame

    # Only the words change from one preview to the next: the music is measured once.
    analysis.analyse = _measured_once()
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


@functools.lru_cache(maxsize=1)
def _measured_once() -> Any:
    """The renderer's own analysis, keeping what it found for the last few files."""
    from mp4gen.render import analysis

    real = analysis.analyse

    @functools.lru_cache(maxsize=6)
    def kept(path: str, _: tuple[int, int], settings: tuple[tuple[str, Any], ...]) -> Any:
        return real(path, **dict(settings))

    def once(path: Any, *, cancel: Any = None, **settings: Any) -> Any:
        stat = Path(path).stat()
        version = (stat.st_mtime_ns, stat.st_size)
        return kept(os.fspath(path), version, tuple(sorted(settings.items())))

    return once


def _saved(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()

"""What a worker does for the page: looks into music and videos, draws covers and previews.

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
# A still is shown about half as wide.
_THUMBNAIL_SIDE = 240
# A moment when the picture has settled and the music is under way, though not for ever so.
_PREVIEW_POSITION, _MAX_PREVIEW_TIME = 0.36, 90.0


@attrs.frozen
class MusicInfo:
    """What a music file says about itself.

    Attributes:
        title: its title, or None.
        artist: its artist, or None.
        duration: how long it plays.
        problem: why it cannot be used, as a sentence; None where it can.
    """

    title: str | None = None
    artist: str | None = None
    duration: float | None = None
    problem: str | None = None


def probe_files(paths: list[Path]) -> list[MusicInfo]:
    """What each of these files says about itself."""
    return [_probe_file(path) for path in paths]


def cover(path: Path, max_duration: float) -> bytes:
    """The square picture of a track, as its video shows it, as a small JPEG.

    Raises:
        RenderError: this is no music that can become a video.
    """
    from mp4gen.render import render_cover

    return render_cover(path, COVER_SIDE, max_duration=max_duration)


@attrs.frozen(kw_only=True)
class PreviewRequest:
    """A video that is not there yet, as far as its picture goes.

    Attributes:
        audio: the music file.
        duration: how long it plays, where that is known.
        captions: `title`, `author` and `domain_name`.
        style: the arguments of `RenderStyle`.
        max_duration: seconds of music at most.
    """

    audio: Path
    duration: float | None
    captions: dict[str, str | None]
    style: dict[str, Any]
    max_duration: float


def preview(request: PreviewRequest) -> bytes:
    """A moment of the video that is wished for, as a JPEG.

    Raises:
        RenderError: this is no music that can become a video.
    """
    return _to_jpeg(_draw_frame(request))


def preview_thumbnail(request: PreviewRequest) -> bytes:
    """The same moment as a small JPEG.

    Raises:
        RenderError: this is no music that can become a video.
    """
    return _to_thumbnail(_draw_frame(request))


def video_thumbnail(video: Path) -> bytes:
    """That moment of a finished video as a small JPEG, from the file itself.

    Raises:
        RenderError: there is no such video any more.
    """
    from mp4gen.render.thumbnail import extract_frame

    return _to_thumbnail(extract_frame(video, _preview_time))


def _preview_time(duration: float | None) -> float:
    return min(_MAX_PREVIEW_TIME, _PREVIEW_POSITION * duration) if duration else 0.0


def _draw_frame(request: PreviewRequest) -> Any:
    from mp4gen.render import RenderStyle, render_frame

    style, time = RenderStyle(**request.style), _preview_time(request.duration)
    return render_frame(
        request.audio, time=time, style=style, max_duration=request.max_duration, **request.captions
    )


def _to_thumbnail(image: Any) -> bytes:
    image.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    return _to_jpeg(image)


def _probe_file(path: Path) -> MusicInfo:
    from mp4gen.render import probe

    try:
        info = probe(path)
    except RenderError as error:
        return MusicInfo(problem=str(error))
    return MusicInfo(info.title, info.artist, info.duration)


def _to_jpeg(image: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()

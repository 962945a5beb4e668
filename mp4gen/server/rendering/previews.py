"""Reads metadata, and draws images for the page, in a worker: decoders may crash.

Files that cannot become a video, or were deleted, raise `RenderError`.
"""

import io
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from mp4gen.errors import RenderError, RenderIOError

from .video_options import NO_LYRICS, lyrics_name

COVER_SIDE = 192
_QUALITY = 85
# The page shows a thumbnail at about half this size.
_THUMBNAIL_SIDE = 240
# Seconds around that time of which a small preview is made: all of a song would take seconds.
_WINDOW, _WINDOW_LEAD = 9.0, 6.0
# The time of a preview: a share of the duration, and its maximum in seconds.
_PREVIEW_POSITION, _MAX_PREVIEW_TIME = 0.36, 90.0


@attrs.frozen
class MusicInfo:
    """The metadata of an audio file.

    Attributes:
        title: Its title, or None.
        artist: Its artist, or None.
        duration: Its seconds, or None.
        problem: Why it cannot be used, as a sentence; None if it can.
        is_temporary: Whether the file may be read later.
        has_lyrics: Whether there are lyrics with times in its tags, or beside it.
    """

    title: str | None = None
    artist: str | None = None
    duration: float | None = None
    problem: str | None = None
    is_temporary: bool = False
    has_lyrics: bool = False


def probe_files(paths: list[Path]) -> list[MusicInfo]:
    """Return the metadata of these files."""
    return [_probe_file(path) for path in paths]


def cover(path: Path) -> bytes:
    """Return the square cover of a track, as its video shows it, as a small JPEG."""
    from mp4gen.render import render_cover

    return render_cover(path, COVER_SIDE)


def waveform(path: Path, count: int) -> bytes:
    """Return the `seconds` of a track, and its loudness in `count` `peaks` to 100, as JSON."""
    from mp4gen.render.peaks import measure_peaks

    peaks, seconds = measure_peaks(path, count)
    return json.dumps({"seconds": round(seconds, 3), "peaks": peaks}).encode()


def convert_picture(content: bytes) -> bytes:
    """Return a picture of the user's own as a JPEG that is not larger than any video."""
    from mp4gen.render.options import MAX_SIDE
    from mp4gen.render.picture import shrink_picture

    return shrink_picture(content, "picture", MAX_SIDE)


@attrs.frozen(kw_only=True)
class PreviewRequest:
    """What a preview needs.

    Attributes:
        audio: The audio file.
        duration: Seconds of the video; None if it is unknown.
        style: The arguments of `RenderStyle`.
        arguments: Those of `render_frame`.
        lyrics: As of `VideoOptions`.
    """

    audio: Path
    duration: float | None
    style: dict[str, Any]
    arguments: dict[str, Any]
    lyrics: str | None = None


def preview(request: PreviewRequest) -> bytes:
    """Return one frame of the requested video, as a JPEG."""
    return _to_jpeg(_draw_frame(request))


def preview_thumbnail(request: PreviewRequest) -> bytes:
    """Return the same frame as a small JPEG."""
    return _to_thumbnail(_draw_frame(request))


def video_thumbnail(video: Path | str) -> bytes:
    """Return the same frame of a finished video, in a file or at a URL, as a small JPEG."""
    from mp4gen.render.thumbnail import extract_frame

    return _to_thumbnail(extract_frame(video, _preview_time))


def _preview_time(duration: float | None) -> float:
    return min(_MAX_PREVIEW_TIME, _PREVIEW_POSITION * duration) if duration else 0.0


def quick_thumbnail(request: PreviewRequest) -> bytes:
    """Return the frame of a few seconds around that time as a small JPEG."""
    time = _preview_time(request.duration)
    start = max(0.0, time - _WINDOW_LEAD)
    window = {"start": start, "length": _WINDOW}
    arguments = {**request.arguments, **window}
    return _to_thumbnail(_draw_at(attrs.evolve(request, arguments=arguments), time - start))


def _draw_frame(request: PreviewRequest) -> Any:
    return _draw_at(request, _preview_time(request.duration))


def _draw_at(request: PreviewRequest, time: float) -> Any:
    from mp4gen.render import RenderStyle, render_frame

    style = RenderStyle(**request.style)
    draw = partial(render_frame, request.audio, time=time, style=style, **request.arguments)
    text = request.lyrics
    if text is None or text == NO_LYRICS:
        return draw(lyrics="auto" if text is None else None)
    with tempfile.TemporaryDirectory(prefix="mp4gen-") as folder:
        path = Path(folder) / lyrics_name(text)
        path.write_text(text, "utf-8", "replace")
        return draw(lyrics=path)


def _to_thumbnail(image: Any) -> bytes:
    image.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    return _to_jpeg(image)


def _probe_file(path: Path) -> MusicInfo:
    from mp4gen.render import probe

    try:
        info = probe(path)
    except RenderIOError as error:
        return MusicInfo(problem=str(error), is_temporary=True)
    except RenderError as error:
        return MusicInfo(problem=str(error))
    return MusicInfo(info.title, info.artist, info.duration, has_lyrics=_has_lyrics(path))


def _has_lyrics(path: Path) -> bool:
    from mp4gen.render.lyrics.source import find_lyrics
    from mp4gen.render.tags import read_tags

    return bool(find_lyrics(path, "auto", read_tags(path))[0].lines)


def _to_jpeg(image: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()

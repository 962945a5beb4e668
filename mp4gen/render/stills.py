"""Render single pictures of a track: a frame of its video, its cover. Encodes no video."""

import functools
import math
import os
from pathlib import Path

from PIL import Image

from mp4gen.errors import RenderError

from . import analysis, cover, tags
from .canvas import Canvas
from .clip import Clip, clip_of
from .cover import cover_jpeg
from .lyrics.source import LyricsChoice
from .options import DEFAULT_STYLE, MAX_DURATION, FrameRate, PathLike, RenderStyle
from .pieces import Drawing
from .preparation import RenderRequest, choose_cover, prepare
from .source_version import Version, version_of


def render_frame(
    audio: PathLike,
    *,
    time: float,
    author: str | None = None,
    domain_name: str | None = None,
    title: str | None = None,
    cover: PathLike | None = None,
    lyrics: LyricsChoice = "auto",
    start: float | str = 0.0,
    length: float | str | None = None,
    style: RenderStyle = DEFAULT_STYLE,
    max_duration: float = MAX_DURATION,
) -> Image.Image:
    """Return the video's frame at `time` seconds, or its last, as an RGB image before encoding.

    The arguments are those of `render_video`. Reflections and the progress line, which a video
    moves ten times per second, are up to date. The analysis of the last few files is cached.

    Raises:
        RenderError: as for `render_video`.
    """
    clip = clip_of(start, length)
    request = RenderRequest(author, domain_name, title, cover, style, max_duration, clip, lyrics)
    if not -math.inf < time < math.inf:
        raise RenderError(f"Invalid time: {time!r}. Use a finite number of seconds.")
    prepared = prepare(audio, request, _analyse_cached)
    canvas = Canvas(style.width, style.height)
    number = min(max(int(time * style.fps + 1e-6), 0), prepared.spec.frame_count - 1)
    Drawing(prepared, canvas).draw_single(number)
    return Image.fromarray(canvas.to_rgb())


def render_cover(audio: PathLike, side: int = 600) -> bytes:
    """Return the cover of the track, the file's own or a generated one, as a square JPEG.

    Args:
        audio: as for `render_video`.
        side: pixels.

    Raises:
        RenderError: as for `render_video`.
    """
    cover_image, _ = choose_cover(None, tags.read_tags(audio).covers, side)
    if cover_image is not None:
        return cover_jpeg(cover.resize(cover_image, side))
    # No more of the track decides the colours.
    clip = Clip(length=analysis.DIGEST_SECONDS)
    features = _analyse_cached(audio, fps=30, bands=64, max_duration=MAX_DURATION, clip=clip)
    return cover_jpeg(cover.generate_cover(features.digest, side))


def _analyse_cached(
    audio: PathLike, *, fps: FrameRate, bands: int, max_duration: float, clip: Clip
) -> analysis.Features:
    version = version_of(audio)
    if version is None:
        # The analysis raises the error that describes the problem.
        return analysis.analyse(audio, fps=fps, bands=bands, max_duration=max_duration, clip=clip)
    path = str(Path(os.fspath(audio)).resolve())
    return _analyse_version(path, version, fps, bands, max_duration, clip)


@functools.lru_cache(maxsize=6)
def _analyse_version(
    path: str,
    _version: Version,
    fps: FrameRate,
    bands: int,
    max_duration: float,
    clip: Clip,
) -> analysis.Features:
    return analysis.analyse(path, fps=fps, bands=bands, max_duration=max_duration, clip=clip)

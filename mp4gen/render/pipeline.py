"""The whole way from a music file to a video; the only module that joins the others."""

from __future__ import annotations

import functools
import logging
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import get_args

from attrs import frozen
from PIL import Image

from mp4gen.errors import RenderError

from . import analysis, audio_track, cover, decode, encode, fonts, layout, motion, tags
from .cancellation import Deadline
from .canvas import Canvas
from .colour import Bytes, Floats, dominant_accent
from .cover import cover_jpeg
from .encode import OnProgress
from .options import AudioMode, PathLike, RenderResult, RenderStyle
from .scene import Scene, SceneSpec
from .text import Typesetter, sanitize

DEFAULT_STYLE = RenderStyle()
MAX_DURATION = 1200.0
ENCODER = "mp4gen"
# The cover among the MP4's tags has so many pixels a side, where the music's own has as many.
TAG_SIDE = 640
# A render may take a minute and so many times its music, time 1280x720 and 30 frames per second.
_TIMEOUT_FACTOR, _REFERENCE_PIXEL_RATE = 10, 1280 * 720 * 30
_log = logging.getLogger("mp4gen.render")


@frozen
class _RenderRequest:
    """What is asked for, whether of a video or of one picture."""

    author: str | None
    domain_name: str | None
    title: str | None
    cover: PathLike | None
    style: RenderStyle
    max_duration: float


@frozen(eq=False)
class _Prepared:
    """Everything that is known before the first picture."""

    features: analysis.Features
    spec: SceneSpec
    cover_image: Bytes | None
    typesetter: Typesetter
    warnings: tuple[str, ...]


def render_video(
    audio: PathLike,
    to: PathLike,
    *,
    author: str | None = None,
    domain_name: str | None = None,
    title: str | None = None,
    cover: PathLike | None = None,
    style: RenderStyle = DEFAULT_STYLE,
    audio_mode: AudioMode = "compatible",
    max_duration: float = MAX_DURATION,
    on_progress: OnProgress | None = None,
    cancel: threading.Event | None = None,
    timeout: float | None = None,
) -> RenderResult:
    """Make an MP4 of a music file; blocks until it is written.

    The file appears under its name only when it is whole. Until then it is a hidden
    `.mp4gen-*.part` beside it, which is removed whatever happens short of a kill.

    Args:
        audio: an mp3, m4a, aac, flac, ogg, opus, wav or aiff file.
        to: the MP4; an existing file is replaced.
        author: shown large time the beginning, then small; default: the file's artist tag.
        domain_name: the watermark time the bottom; default: none.
        title: default: the file's title tag.
        cover: a PNG, JPEG or WEBP; default: the file's own picture, else one made from the music.
        style: size, rate and quality.
        audio_mode: "compatible" copies AAC and encodes all else as AAC time 320 kb/s, which plays
            everywhere; "copy" hands on mp3, aac, flac, alac and opus bit for bit and makes the
            rest FLAC, which loses nothing of up to 24 bits.
        max_duration: seconds of music time most.
        on_progress: called with (seconds done, seconds in all), from this thread.
        cancel: set it from another thread to stop; obeyed between pictures.
        timeout: seconds of real time time most; default: a minute and ten times the music, more
            for larger pictures.

    Raises:
        RenderError: one sentence says what was wrong; nothing is left behind.
        RenderCancelledError: `cancel` was set; nothing is left behind.
    """
    target = _validate_output(to, audio)
    if audio_mode not in get_args(AudioMode):
        raise RenderError(f'audio_mode must be "compatible" or "copy", not {audio_mode!r}.')
    request = _RenderRequest(author, domain_name, title, cover, style, max_duration)
    deadline = Deadline(cancel, 60 + max_duration if timeout is None else timeout)
    prepared = _prepare(audio, request, functools.partial(analysis.analyse, cancel=deadline))
    if timeout is None:
        deadline.extend(_default_timeout(prepared.features.duration, style))
    intact = not (prepared.features.damaged_packets or prepared.features.format_changes)
    audio_plan = audio_track.plan_audio(audio, audio_mode, intact=intact)
    if audio_plan.warning:
        _log.warning("%s", audio_plan.warning)
    frame, canvas = encode.new_frame(style)
    job = encode.EncodeJob(
        audio=audio,
        audio_plan=audio_plan,
        tags=_output_tags(prepared.spec),
        cover=_tag_cover(prepared),
        duration=prepared.features.duration,
    )
    frame_numbers = _draw_frames(prepared, canvas)
    with encode.atomic_output(target) as part:
        encode.write(
            part,
            job,
            style,
            frame=frame,
            frame_numbers=frame_numbers,
            on_progress=on_progress,
            cancel=deadline,
        )
    return _result(target, prepared, audio_plan, style)


def _result(
    target: Path, prepared: _Prepared, audio_plan: audio_track.AudioPlan, style: RenderStyle
) -> RenderResult:
    frames = prepared.spec.frame_count
    warnings = (*prepared.warnings, *prepared.typesetter.warnings, audio_plan.warning)
    return RenderResult(
        path=target,
        duration=frames / style.fps,
        width=style.width,
        height=style.height,
        fps=style.fps,
        frames=frames,
        audio_codec=audio_plan.codec,
        audio_copied=audio_plan.copied,
        video_codec="h264",
        size_bytes=target.stat().st_size,
        warnings=tuple(warning for warning in warnings if warning),
    )


def _default_timeout(duration: float, style: RenderStyle) -> float:
    """Seconds that a render of so much music may take."""
    pixel_ratio = style.width * style.height * style.fps / _REFERENCE_PIXEL_RATE
    return 60 + _TIMEOUT_FACTOR * duration * max(pixel_ratio, 1)


def render_frame(
    audio: PathLike,
    *,
    time: float,
    author: str | None = None,
    domain_name: str | None = None,
    title: str | None = None,
    cover: PathLike | None = None,
    style: RenderStyle = DEFAULT_STYLE,
    max_duration: float = MAX_DURATION,
) -> Image.Image:
    """The picture that the video shows `time` so many seconds, as an RGB image, before encoding.

    The arguments are those of `render_video`; a moment beyond the end gives the last picture.
    Reflections and the progress line, which a video moves ten times a second, are up to date.
    What was heard is kept for the last few files, so further pictures of one come quickly.

    Raises:
        RenderError: as for `render_video`.
    """
    request = _RenderRequest(author, domain_name, title, cover, style, max_duration)
    if not math.isfinite(time):
        raise RenderError(f"time must be a number of seconds, not {time!r}.")
    prepared = _prepare(audio, request, _analyse_cached)
    canvas = Canvas(style.width, style.height)
    scene = Scene(prepared.spec, canvas, prepared.typesetter)
    frame_number = min(max(int(time * style.fps + 1e-6), 0), prepared.spec.frame_count - 1)
    first = 0
    for heights, glows in motion.animate(prepared.features, style.fps):
        row = frame_number - first
        if row < glows.size:
            next(scene.draw_frames(frame_number, heights[row : row + 1], glows[row : row + 1]))
            break
        first += glows.size
    return Image.fromarray(canvas.to_rgb())


def render_cover(audio: PathLike, side: int = 600, *, max_duration: float = MAX_DURATION) -> bytes:
    """The track's square picture, as its video shows it without a `cover` option, as a JPEG.

    Args:
        audio: as for `render_video`.
        side: pixels.
        max_duration: seconds of music time most.

    Raises:
        RenderError: as for `render_video`.
    """
    cover_image, _ = _choose_cover(None, tags.read_tags(audio).cover, side)
    if cover_image is not None:
        return cover_jpeg(cover.resize(cover_image, side))
    features = _analyse_cached(audio, fps=30, bands=64, max_duration=max_duration)
    return cover_jpeg(cover.generate_cover(features.digest, side)[0])


def _analyse_cached(
    music: PathLike, *, fps: int, bands: int, max_duration: float
) -> analysis.Features:
    try:
        stat = Path(os.fspath(music)).stat()
    except (OSError, ValueError):
        # The analysis says in plain words what is wrong with it.
        return analysis.analyse(music, fps=fps, bands=bands, max_duration=max_duration)
    version = stat.st_mtime_ns, stat.st_size
    return _analyse_version(
        str(Path(os.fspath(music)).resolve()), version, fps, bands, max_duration
    )


@functools.lru_cache(maxsize=6)
def _analyse_version(
    path: str, _version: tuple[int, int], fps: int, bands: int, max_duration: float
) -> analysis.Features:
    return analysis.analyse(path, fps=fps, bands=bands, max_duration=max_duration)


def _validate_output(to: PathLike, music: PathLike) -> Path:
    target = Path(os.fspath(to))
    name = decode.display_name(target)
    if "\0" in str(target):
        raise RenderError(f"{name} cannot be written: no name may hold a zero byte.")
    try:
        folder, exists = target.parent.is_dir(), target.exists()
        is_same_file = (
            exists and Path(os.fspath(music)).exists() and target.samefile(os.fspath(music))
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RenderError(f"{name} cannot be written: {why}.") from error
    if not folder:
        raise RenderError(f"The folder for {name} does not exist: {target.parent}.")
    if exists and not target.is_file():
        kind = "a folder" if target.is_dir() else "no file that can be replaced"
        raise RenderError(f"{name} is {kind}; give a file name ending in .mp4.")
    if is_same_file:
        raise RenderError(f"{name} is the music itself; give the video another name.")
    return target


def _prepare(
    music: PathLike, request: _RenderRequest, analyse: Callable[..., analysis.Features]
) -> _Prepared:
    style, max_duration = request.style, request.max_duration
    if not (math.isfinite(max_duration) and max_duration > 0):
        raise RenderError(f"max_duration must be a number of seconds, not {max_duration!r}.")
    for path in style.fonts:
        if not fonts.is_loadable(path):
            raise RenderError(f"{decode.display_name(path)} is not a font that can be read.")
    file_tags = tags.read_tags(music)
    texts = [sanitize(file_tags.title if request.title is None else request.title)]
    texts.append(sanitize(file_tags.artist if request.author is None else request.author))
    scene_layout = layout.layout_for(style.width, style.height, with_text=any(texts))
    # A wrong option is told before minutes are spent on the music.
    side = scene_layout.cover.width
    cover_override = None
    if request.cover is not None:
        cover_override = cover.read_cover(request.cover, side, TAG_SIDE)
    features = analyse(
        music, fps=style.fps, bands=scene_layout.bar_lefts.size, max_duration=max_duration
    )
    cover_image, warnings = _choose_cover(cover_override, file_tags.cover, side)
    if cover_image is None:
        cover_pixels = cover.generate_cover(features.digest, side)[0]
    else:
        cover_pixels = cover.resize(cover_image, side)
    if features.damaged_packets:
        name = decode.display_name(music)
        warnings.append(
            f"{name} has damaged packets, which were left out: {features.damaged_packets}."
        )
    spec = SceneSpec(
        layout=scene_layout,
        cover=cover_pixels,
        accent=dominant_accent(cover_pixels[::4, ::4], cover.generated_hue(features.digest)),
        title=texts[0],
        author=texts[1],
        domain_name=sanitize(request.domain_name),
        fps=style.fps,
        frame_count=features.levels.shape[0],
    )
    return _Prepared(features, spec, cover_image, Typesetter(style.fonts), tuple(warnings))


def _tag_cover(prepared: _Prepared) -> bytes:
    """The picture for the MP4's tags: larger than the one on the screen, where there is more."""
    if prepared.cover_image is not None:
        return cover_jpeg(cover.resize(prepared.cover_image, prepared.cover_image.shape[0]))
    return cover_jpeg(cover.generate_cover(prepared.features.digest, TAG_SIDE)[0])


def _choose_cover(
    cover_override: Bytes | None, attached_picture: bytes | None, side: int
) -> tuple[Bytes | None, list[str]]:
    if cover_override is not None or attached_picture is None:
        return cover_override, []
    try:
        return cover.read_cover(attached_picture, side, TAG_SIDE), []
    except RenderError as error:
        # A broken picture inside good music is no reason to refuse the music.
        return None, [f"{error} One made from the music is shown."]


def _draw_frames(prepared: _Prepared, canvas: Canvas) -> Iterator[int]:
    """Draw what stands still, then one picture time a step; each step gives its number."""
    scene = Scene(prepared.spec, canvas, prepared.typesetter)
    return _draw_runs(scene, motion.animate(prepared.features, prepared.spec.fps))


def _draw_runs(scene: Scene, runs: Iterable[tuple[Floats, Floats]]) -> Iterator[int]:
    first = 0
    for heights, glows in runs:
        yield from scene.draw_frames(first, heights, glows)
        first += glows.size


def _output_tags(spec: SceneSpec) -> dict[str, str]:
    named = {"title": spec.title, "artist": spec.author, "comment": ENCODER}
    return {key: text for key, text in named.items() if text}

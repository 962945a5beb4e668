"""Render a video, a frame or a cover from an audio file. Joins the other modules."""

import functools
import logging
import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

from attrs import frozen
from PIL import Image

from mp4gen.errors import RenderError, RenderIOError

from . import analysis, audio_track, cover, damage, decode, encode, fonts, layout, motion, tags
from .cancellation import CancelToken, Deadline
from .canvas import Canvas
from .colour import Bytes, dominant_accent
from .cover import cover_jpeg
from .encode import OnProgress
from .options import DEFAULT_STYLE, AudioMode, PathLike, RenderResult, RenderStyle
from .scene import Scene, SceneSpec
from .source_version import watch_source
from .text import Typesetter, sanitize

MAX_DURATION = 1200.0
ENCODER = "mp4gen"
# Largest side in pixels of the cover among the MP4's tags.
TAG_SIDE = 640
# The default timeout in seconds per second of audio, at this many pixels per second.
_TIMEOUT_FACTOR, _REFERENCE_PIXEL_RATE = 10, 1280 * 720 * 30
_log = logging.getLogger("mp4gen.render")


@frozen
class _RenderRequest:
    """The arguments that a video and a single frame share."""

    author: str | None
    domain_name: str | None
    title: str | None
    cover: PathLike | None
    style: RenderStyle
    max_duration: float


@frozen(eq=False)
class _Prepared:
    """Everything that is known before the first frame."""

    style: RenderStyle
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
    cancel: CancelToken | None = None,
    timeout: float | None = None,
) -> RenderResult:
    """Render an MP4 of an audio file; block until it is written.

    The MP4 gets its name when it is complete. Until then it is a hidden `.mp4gen-*.part` beside
    it, which only a killed process leaves behind.

    Args:
        audio: an mp3, m4a, aac, flac, ogg, opus, wav or aiff file.
        to: the MP4; replaced if it exists.
        author: shown large at the beginning, then small; default: the file's artist tag.
        domain_name: the watermark at the bottom; default: none.
        title: default: the file's title tag, else its name.
        cover: a PNG, JPEG, WEBP or, with Pillow 11.3, AVIF; default: the file's front cover, else
            its first usable picture, else one generated from the audio.
        style: size, frame rate and quality.
        audio_mode: "compatible" copies AAC-LC in stereo or mono up to 48 kHz, and encodes the
            rest as such at 320 kb/s, for all players. Tracks that peak above 0.95 are encoded with
            one constant gain to 0.94. "copy" copies mp3, aac, flac, alac and opus, and makes the
            rest FLAC.
        max_duration: largest accepted duration of the audio in seconds.
        on_progress: called with (seconds done, seconds in total) in this thread.
        cancel: a `threading.Event` to set in another thread; checked for every packet and frame.
        timeout: seconds of real time; default: 60 and 10 times the duration, more for large sizes.

    Raises:
        RenderError: invalid input; nothing is left behind.
        RenderIOError: the MP4 cannot be written, the audio cannot be read or changed meanwhile;
            nothing is left behind.
        RenderCancelledError: `cancel` was set; nothing is left behind.
    """
    target = _validate_output(to, audio)
    if audio_mode not in get_args(AudioMode):
        raise RenderError(f'Invalid audio_mode: {audio_mode!r}. Use "compatible" or "copy".')
    request = _RenderRequest(author, domain_name, title, cover, style, max_duration)
    deadline = Deadline(cancel, 60 + max_duration if timeout is None else timeout)
    with watch_source(audio) as check_source:
        prepared = _prepare(audio, request, functools.partial(analysis.analyse, cancel=deadline))
        if timeout is None:
            deadline.extend(_default_timeout(prepared.features.duration, style))
        return _encode(
            audio,
            target,
            prepared,
            audio_mode=audio_mode,
            on_progress=on_progress,
            deadline=deadline,
            check_source=check_source,
        )


def _default_timeout(duration: float, style: RenderStyle) -> float:
    pixel_ratio = style.width * style.height * style.fps / _REFERENCE_PIXEL_RATE
    return 60 + _TIMEOUT_FACTOR * duration * max(pixel_ratio, 1)


def _encode(
    audio: PathLike,
    target: Path,
    prepared: _Prepared,
    *,
    audio_mode: AudioMode,
    on_progress: OnProgress | None,
    deadline: Deadline,
    check_source: Callable[[], None],
) -> RenderResult:
    features, spec, style = prepared.features, prepared.spec, prepared.style
    audio_plan = audio_track.plan_audio(audio, audio_mode, features)
    if audio_plan.warning:
        _log.warning("%s", audio_plan.warning)
    frame, canvas = encode.new_frame(style)
    job = encode.EncodeJob(
        audio=audio,
        audio_plan=audio_plan,
        style=style,
        tags={"title": spec.title, "artist": spec.author, "comment": ENCODER},
        cover=_tag_cover(prepared),
        duration=features.duration,
        frame=frame,
        frame_numbers=_draw_frames(prepared, canvas),
        on_progress=on_progress,
        cancel=deadline,
    )
    with encode.atomic_output(target) as part:
        encode.write(part, job)
        check_source()
    warnings = (*prepared.warnings, *prepared.typesetter.warnings, audio_plan.warning)
    return RenderResult(
        path=target,
        duration=spec.frame_count / style.fps,
        width=style.width,
        height=style.height,
        fps=style.fps,
        frames=spec.frame_count,
        audio_codec=audio_plan.codec,
        audio_copied=audio_plan.copied,
        video_codec="h264",
        size_bytes=target.stat().st_size,
        warnings=tuple(filter(None, warnings)),
    )


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
    """Return the video's frame at `time` seconds, or its last, as an RGB image before encoding.

    The arguments are those of `render_video`. Reflections and the progress line, which a video
    moves ten times per second, are up to date. The analysis of the last few files is cached.

    Raises:
        RenderError: as for `render_video`.
    """
    request = _RenderRequest(author, domain_name, title, cover, style, max_duration)
    if not math.isfinite(time):
        raise RenderError(f"Invalid time: {time!r}. Use a finite number of seconds.")
    prepared = _prepare(audio, request, _analyse_cached)
    canvas = Canvas(style.width, style.height)
    scene = Scene(prepared.spec, canvas, prepared.typesetter)
    number = min(max(int(time * style.fps + 1e-6), 0), prepared.spec.frame_count - 1)
    for first, heights, glows in motion.animate(prepared.features, style.fps):
        row = slice(number - first, number - first + 1)
        if row.start < glows.size:
            next(scene.draw_frames(number, heights[row], glows[row]))
            break
    return Image.fromarray(canvas.to_rgb())


def render_cover(audio: PathLike, side: int = 600, *, max_duration: float = MAX_DURATION) -> bytes:
    """Return the cover of the track, the file's own or a generated one, as a square JPEG.

    Args:
        audio: as for `render_video`.
        side: pixels.
        max_duration: largest accepted duration of the audio in seconds.

    Raises:
        RenderError: as for `render_video`.
    """
    cover_image, _ = _choose_cover(None, tags.read_tags(audio).covers, side)
    if cover_image is not None:
        return cover_jpeg(cover.resize(cover_image, side))
    features = _analyse_cached(audio, fps=30, bands=64, max_duration=max_duration)
    return cover_jpeg(cover.generate_cover(features.digest, side)[0])


def _analyse_cached(
    audio: PathLike, *, fps: int, bands: int, max_duration: float
) -> analysis.Features:
    try:
        path = Path(os.fspath(audio)).resolve()
        stat = path.stat()
    except (OSError, ValueError):
        # The analysis raises the error that describes the problem.
        return analysis.analyse(audio, fps=fps, bands=bands, max_duration=max_duration)
    return _analyse_version(str(path), (stat.st_mtime_ns, stat.st_size), fps, bands, max_duration)


@functools.lru_cache(maxsize=6)
def _analyse_version(
    path: str, _version: tuple[int, int], fps: int, bands: int, max_duration: float
) -> analysis.Features:
    return analysis.analyse(path, fps=fps, bands=bands, max_duration=max_duration)


def _validate_output(to: PathLike, audio: PathLike) -> Path:
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


def _prepare(
    audio: PathLike, request: _RenderRequest, analyse: Callable[..., analysis.Features]
) -> _Prepared:
    style, max_duration = request.style, request.max_duration
    if not (math.isfinite(max_duration) and max_duration > 0):
        raise RenderError(f"Invalid max_duration: {max_duration!r}. Use a number above 0.")
    for path in style.fonts:
        if not fonts.is_loadable(path):
            font = decode.display_name(path)
            raise RenderError(
                f"Cannot read the font file: {font}. Use a TrueType or OpenType file."
            )
    file_tags = tags.read_tags(audio)
    own_title = file_tags.title or Path(os.fspath(audio)).stem
    title = sanitize(own_title if request.title is None else request.title)
    author = sanitize(file_tags.artist if request.author is None else request.author)
    scene_layout = layout.layout_for(style.width, style.height, with_text=bool(title or author))
    side = scene_layout.cover.width
    # Options are checked before minutes are spent on the audio.
    cover_override = None
    if request.cover is not None:
        cover_override = cover.read_cover(request.cover, side, TAG_SIDE)
    features = analyse(
        audio, fps=style.fps, bands=scene_layout.bar_lefts.size, max_duration=max_duration
    )
    cover_image, warnings = _choose_cover(cover_override, file_tags.covers, side)
    if cover_image is None:
        cover_pixels = cover.generate_cover(features.digest, side)[0]
    else:
        cover_pixels = cover.resize(cover_image, side)
    warnings += tags.unreadable_warnings(
        title=file_tags.title if request.title is None else "",
        author=file_tags.artist if request.author is None else "",
    )
    warnings += damage.warnings_of(decode.display_name(audio), features)
    spec = SceneSpec(
        layout=scene_layout,
        cover=cover_pixels,
        accent=dominant_accent(cover_pixels[::4, ::4], cover.generated_hue(features.digest)),
        title=title,
        author=author,
        domain_name=sanitize(request.domain_name),
        fps=style.fps,
        frame_count=features.levels.shape[0],
    )
    return _Prepared(style, features, spec, cover_image, Typesetter(style.fonts), tuple(warnings))


def _tag_cover(prepared: _Prepared) -> bytes:
    """Return the cover for the MP4's tags, which may be larger than the one in the video."""
    image = prepared.cover_image
    if image is not None:
        return cover_jpeg(cover.resize(image, image.shape[0]))
    return cover_jpeg(cover.generate_cover(prepared.features.digest, TAG_SIDE)[0])


def _choose_cover(
    override: Bytes | None, attached: Sequence[bytes], side: int
) -> tuple[Bytes | None, list[str]]:
    if override is not None:
        return override, []
    try:
        return cover.first_readable(attached, side, TAG_SIDE), []
    except RenderError as error:
        # A broken cover does not make the audio unusable.
        return None, [f"{error} A cover generated from the audio is shown."]


def _draw_frames(prepared: _Prepared, canvas: Canvas) -> Iterator[int]:
    """Draw the still parts now, then one frame a step; each step yields the frame's number."""
    scene = Scene(prepared.spec, canvas, prepared.typesetter)
    runs = motion.animate(prepared.features, prepared.spec.fps)
    return (number for run in runs for number in scene.draw_frames(*run))

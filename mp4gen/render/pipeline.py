"""Render a video from an audio file. Joins the other modules."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from mp4gen.errors import RenderError

from . import analysis, audio_track, encode
from .cancellation import CancelToken, Deadline
from .encode import OnProgress
from .options import (
    DEFAULT_STYLE,
    MAX_DURATION,
    AudioMode,
    PathLike,
    RenderResult,
    RenderStyle,
)
from .own_video import ENCODER
from .preparation import Prepared, RenderRequest, draw_frames, prepare, tag_cover
from .source_version import watch_source
from .target import validate_target

# The default timeout in seconds per second of audio, at this many pixels per second.
_TIMEOUT_FACTOR, _REFERENCE_PIXEL_RATE = 10, 1280 * 720 * 30
_log = logging.getLogger("mp4gen.render")


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
        audio: a file in one of these formats: flac, wav, aiff, w64, caf, au, wv, m4a, opus, ogg,
            webm, mka, mp3, mp2, aac, ac3 or eac3.
        to: the MP4, a name that ends in `.mp4`. An existing file is replaced; of a symbolic link,
            the file to which it leads.
        author: shown large at the beginning, then small; default: the file's artist tag.
        domain_name: the watermark at the bottom; default: none.
        title: default: the file's title tag, else its name.
        cover: a PNG, JPEG, WEBP or, with Pillow 11.3, AVIF; default: the file's front cover, else
            its first usable picture, else one generated from the audio.
        style: size, frame rate and quality.
        audio_mode: "compatible" copies AAC-LC in stereo or mono up to 48 kHz, and encodes the
            rest as such at 320 kb/s, for all players. Tracks that peak above 0.95 are encoded with
            one constant gain to 0.94. "copy" copies mp3, aac, flac, alac and opus, and makes the
            rest FLAC. Audio in Matroska or WebM, whose times are rounded, is always encoded.
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
    target = validate_target(to, audio)
    if audio_mode not in get_args(AudioMode):
        raise RenderError(f'Invalid audio_mode: {audio_mode!r}. Use "compatible" or "copy".')
    request = RenderRequest(author, domain_name, title, cover, style, max_duration)
    deadline = Deadline(cancel, 60 + max_duration if timeout is None else timeout)
    with watch_source(audio) as check_source:
        prepared = prepare(audio, request, functools.partial(analysis.analyse, cancel=deadline))
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
    prepared: Prepared,
    *,
    audio_mode: AudioMode,
    on_progress: OnProgress | None,
    deadline: Deadline,
    check_source: Callable[[], None],
) -> RenderResult:
    features, spec, style = prepared.features, prepared.spec, prepared.style
    audio_plan = audio_track.plan_audio(audio_mode, features)
    if audio_plan.warning:
        _log.warning("%s", audio_plan.warning)
    frame, canvas = encode.new_frame(style)
    job = encode.EncodeJob(
        audio=audio,
        audio_plan=audio_plan,
        style=style,
        tags={"title": spec.title, "artist": spec.author, "comment": ENCODER},
        cover=tag_cover(prepared),
        duration=features.duration,
        frame=frame,
        frame_numbers=draw_frames(prepared, canvas),
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

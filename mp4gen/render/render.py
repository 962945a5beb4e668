"""The whole way from a music file to a video; the only module that joins the others."""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
from attrs import frozen
from PIL import Image

from mp4gen.errors import RenderError

from . import analysis, audio, cover, encode, layout, motion, sound, tags
from .canvas import Canvas
from .colour import Floats, accent_of
from .cover import cover_jpeg
from .encode import OnProgress
from .scene import Scene, Spec
from .text import Typesetter, clean
from .values import AudioMode, PathLike, RenderResult, RenderStyle

DEFAULT_STYLE = RenderStyle()
MAX_DURATION = 1200.0
ENCODER = "mp4gen"
_log = logging.getLogger("mp4gen.render")


@frozen(eq=False)
class _Prepared:
    """Everything that is known before the first picture."""

    features: analysis.Features
    spec: Spec
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
) -> RenderResult:
    """Make an MP4 of a music file; blocks until it is written.

    The file appears under its name only when it is whole. Until then it is a hidden
    `.mp4gen-*.part` beside it, which is removed whatever happens short of a kill.

    Args:
        audio: an mp3, m4a, aac, flac, ogg, opus, wav or aiff file.
        to: the MP4; an existing file is replaced.
        author: shown large at the beginning, then small; default: the file's artist tag.
        domain_name: the watermark at the bottom; default: none.
        title: default: the file's title tag.
        cover: a PNG, JPEG or WEBP; default: the file's own picture, else one made from the music.
        style: size, rate and quality.
        audio_mode: "compatible" copies AAC and encodes all else as AAC at 320 kb/s, which plays
            everywhere; "copy" hands on mp3, aac, flac, alac and opus bit for bit and keeps the
            rest lossless as FLAC.
        max_duration: seconds of music at most.
        on_progress: called with (seconds done, seconds in all), from this thread.
        cancel: set it from another thread to stop; obeyed between pictures.

    Raises:
        RenderError: one sentence says what was wrong; nothing is left behind.
        RenderCancelledError: `cancel` was set; nothing is left behind.
    """
    target = _target(to, audio)
    if audio_mode not in get_args(AudioMode):
        raise RenderError(f'audio_mode must be "compatible" or "copy", not {audio_mode!r}.')
    prepared = _prepare(
        audio,
        author=author,
        domain_name=domain_name,
        title=title,
        cover_file=cover,
        style=style,
        max_duration=max_duration,
        cancel=cancel,
    )
    chosen = sound.plan(audio, audio_mode, damaged=prepared.features.damaged > 0)
    if chosen.warning:
        _log.warning("%s", chosen.warning)
    spec = prepared.spec
    frame, canvas = encode.new_picture(style)
    job = encode.Job(
        audio=audio,
        sound=chosen,
        tags=_own_tags(spec),
        cover=cover_jpeg(spec.cover),
        frames=spec.frames,
        seconds=prepared.features.duration,
    )
    draw = _drawing(prepared, canvas)
    with encode.whole_file(target) as part:
        encode.write(
            part,
            job,
            style,
            frame=frame,
            draw=draw,
            on_progress=on_progress,
            cancel=cancel,
        )
    warnings = (*prepared.warnings, *prepared.typesetter.warnings, chosen.warning)
    return RenderResult(
        path=target,
        duration=spec.frames / style.fps,
        width=style.width,
        height=style.height,
        fps=style.fps,
        frames=spec.frames,
        audio_codec=chosen.codec,
        audio_copied=chosen.copied,
        video_codec="h264",
        size_bytes=target.stat().st_size,
        warnings=tuple(warning for warning in warnings if warning),
    )


def render_frame(
    audio: PathLike,
    *,
    at: float,
    author: str | None = None,
    domain_name: str | None = None,
    title: str | None = None,
    cover: PathLike | None = None,
    style: RenderStyle = DEFAULT_STYLE,
    max_duration: float = MAX_DURATION,
) -> Image.Image:
    """The picture that the video shows `at` so many seconds, as an RGB image, before encoding.

    The arguments are those of `render_video`; a moment beyond the end gives the last picture.

    Raises:
        RenderError: as for `render_video`.
    """
    prepared = _prepare(
        audio,
        author=author,
        domain_name=domain_name,
        title=title,
        cover_file=cover,
        style=style,
        max_duration=max_duration,
        cancel=None,
    )
    canvas = Canvas(style.width, style.height)
    scene = Scene(prepared.spec, canvas, prepared.typesetter)
    wanted = min(max(int(at * style.fps + 1e-6), 0), prepared.spec.frames - 1)
    for number, (heights, glow) in enumerate(motion.motion(prepared.features, style.fps)):
        if number == wanted:
            scene.draw(number, heights, glow)
            break
    return Image.fromarray(canvas.picture())


def _target(to: PathLike, music: PathLike) -> Path:
    target = Path(os.fspath(to))
    name = audio.named(target)
    if not target.parent.is_dir():
        raise RenderError(f"The folder for {name} does not exist: {target.parent}.")
    if target.is_dir():
        raise RenderError(f"{name} is a folder; give a file name ending in .mp4.")
    if target.exists() and Path(os.fspath(music)).exists() and target.samefile(os.fspath(music)):
        raise RenderError(f"{name} is the music itself; give the video another name.")
    return target


def _prepare(
    music: PathLike,
    *,
    author: str | None,
    domain_name: str | None,
    title: str | None,
    cover_file: PathLike | None,
    style: RenderStyle,
    max_duration: float,
    cancel: threading.Event | None,
) -> _Prepared:
    if not (math.isfinite(max_duration) and max_duration > 0):
        raise RenderError(f"max_duration must be a number of seconds, not {max_duration!r}.")
    own = tags.read_tags(music)
    words = [clean(own.title if title is None else title)]
    words.append(clean(own.artist if author is None else author))
    placed = layout.layout_for(style.width, style.height, with_words=any(words))
    # A wrong option is told before minutes are spent on the music.
    side = placed.cover.width
    given = cover.read_cover(cover_file, side) if cover_file is not None else None
    features = analysis.analyse(
        music,
        fps=style.fps,
        bands=placed.bars_left.size,
        max_duration=max_duration,
        cancel=cancel,
    )
    picture, warnings = _picture(given, own.cover, side)
    made, hue = cover.made_cover(features.digest, side)
    floats: Floats = made if picture is None else picture.astype(np.float32) / np.float32(255)
    if features.damaged:
        warnings.append(
            f"{features.damaged} damaged packets of {audio.named(music)} were left out."
        )
    spec = Spec(
        layout=placed,
        cover=floats,
        accent=accent_of(floats[::4, ::4], hue),
        title=words[0],
        author=words[1],
        domain_name=clean(domain_name),
        fps=style.fps,
        frames=features.levels.shape[0],
    )
    return _Prepared(features, spec, Typesetter(style.fonts), tuple(warnings))


def _picture(
    given: analysis.Bytes | None, attached: bytes | None, side: int
) -> tuple[analysis.Bytes | None, list[str]]:
    if given is not None or attached is None:
        return given, []
    try:
        return cover.read_cover(attached, side), []
    except RenderError as error:
        # A broken picture inside good music is no reason to refuse the music.
        return None, [f"{error} One made from the music is shown."]


def _drawing(prepared: _Prepared, canvas: Canvas) -> Callable[[int], None]:
    spec = prepared.spec
    scene = Scene(spec, canvas, prepared.typesetter)
    states = motion.motion(prepared.features, spec.fps)

    def draw(number: int) -> None:
        heights, glow = next(states)
        scene.draw(number, heights, glow)

    return draw


def _own_tags(spec: Spec) -> dict[str, str]:
    named = {"title": spec.title, "artist": spec.author, "comment": ENCODER}
    return {key: text for key, text in named.items() if text}

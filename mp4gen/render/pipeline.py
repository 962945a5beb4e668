"""Render a video from an audio file. Joins the other modules."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from . import analysis, decode, encode, tags
from .cancellation import CancelToken, Deadline
from .clip import Clip, clip_of
from .encoding import Encoding
from .header import header_duration
from .lyrics.source import LyricsChoice
from .options import (
    DEFAULT_STYLE,
    MAX_DURATION,
    AudioMode,
    AudioOptions,
    PathLike,
    RenderResult,
    RenderStyle,
    check_range,
)
from .preparation import RenderRequest, prepare
from .presets import Preset, preset_of
from .progress_report import OnProgress, ProgressReport
from .side_by_side import PieceProcesses, Workers
from .song_cache import SongCache
from .source_version import version_of, watch_source
from .target import validate_target

MAX_WORKERS = 64
MAX_MAX_SIZE = 1 << 40
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
    lyrics: LyricsChoice = "auto",
    start: float | str = 0.0,
    length: float | str | None = None,
    style: RenderStyle = DEFAULT_STYLE,
    audio_mode: AudioMode = "compatible",
    audio_bitrate: int | None = None,
    max_size: int | None = None,
    max_duration: float = MAX_DURATION,
    workers: Workers = 1,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
    timeout: float | None = None,
    cache: SongCache | None = None,
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
        lyrics: "auto" for a .lrc, .srt or .vtt file that is beside the music and has its name,
            else synchronised lyrics in its tags; the path of such a file; or None.
        start: where a clip starts: seconds, "1:15" or "1:02:03.5".
        length: length of the clip in the same forms; default: up to the track's end. The audio is
            cut to the sample, faded for 15 ms at the cuts, and never copied.
        style: look, size, frame rate and quality. That of a preset also has limits, which other
            arguments override: the length (longer tracks are cut, with a warning), the size of
            the file and the bit rate of the audio.
        audio_mode: "compatible" copies AAC-LC in stereo or mono up to 48 kHz, and encodes the
            rest as such, for all players. Tracks that peak above 0.95 are encoded with one
            constant gain to 0.94. "copy" copies mp3, aac, flac, alac and opus, and makes the rest
            FLAC. Audio in Matroska or WebM, whose times are rounded, is always encoded.
        audio_bitrate: bits per second of encoded AAC, 32000 to 448000. AAC that has more is
            encoded too. Default: 320000 in stereo and 192000 in mono, up to 448000 where dense
            music needs it; AAC is copied whatever it has.
        max_size: bytes that the file may have at most. The quality is "fine" then. The quantizer
            is raised up to 36 and the audio bit rate lowered down to 96000 as far as necessary,
            unless `audio_bitrate` or a copy fixes the latter. A tenth of the video is encoded
            beforehand to choose both; if the result is still too large, all is encoded again.
        max_duration: largest accepted duration of the video in seconds.
        workers: largest number of processes, this one included, that render the video side by
            side, in pieces of 8 seconds; at most one for every 20 seconds of music. The file has
            the same bytes with any number. A function is called often, and can lower the number
            during the render.
        on_progress: called with (seconds done, seconds in total) in this thread.
        cancel: a `threading.Event` to set in another thread; checked for every packet and frame.
        timeout: seconds of real time; default: 60 and 10 times the duration, more for large sizes.
        cache: keeps the analysis and the encoded audio for the next video of the same song, which
            takes a quarter less then. The files have the same bytes as without one.

    Raises:
        RenderError: invalid input, or the video does not fit into `max_size`; nothing is left
            behind.
        RenderIOError: the MP4 cannot be written, the audio cannot be read or changed meanwhile;
            nothing is left behind.
        RenderCancelledError: `cancel` was set; nothing is left behind.
    """
    target = validate_target(to, audio)
    limits = preset_of(style.platform)
    audio_options = _audio_options(limits, audio_mode, audio_bitrate)
    if max_size is not None:
        check_range("max_size", max_size, 1, MAX_MAX_SIZE)
    if not (callable(workers) or isinstance(workers, PieceProcesses)):
        check_range("workers", workers, 1, MAX_WORKERS)
    clip, warnings = _limited(audio, clip_of(start, length), limits)
    request = RenderRequest(author, domain_name, title, cover, style, max_duration, clip, lyrics)
    deadline = Deadline(cancel, 60 + max_duration if timeout is None else timeout)
    with watch_source(audio) as check_source, _processes(workers) as processes:
        analyse = functools.partial(
            _analyse, processes, deadline, cache, encoded_rate=audio_options.sample_rate
        )
        prepared = prepare(audio, request, analyse)
        duration = prepared.features.duration
        if timeout is None:
            deadline.extend(_default_timeout(duration, style))
        # The estimate may have been too low.
        processes.start(duration)
        report = ProgressReport(on_progress, prepared.spec.frame_count, duration)
        encoding = Encoding(audio, prepared, processes, report, deadline, cache)
        return _encode(
            encoding,
            target,
            audio_options=audio_options,
            max_size=limits.max_size if max_size is None else max_size,
            warnings=warnings,
            check_source=check_source,
        )


def _audio_options(limits: Preset, mode: AudioMode, bit_rate: int | None) -> AudioOptions:
    if bit_rate is None and mode == "compatible":
        bit_rate = limits.audio_bitrate
    return AudioOptions(mode, bit_rate, limits.sample_rate, limits.edit_list)


def _limited(audio: PathLike, clip: Clip, limits: Preset) -> tuple[Clip, tuple[str, ...]]:
    """Return the clip that a platform takes, and a sentence if it is not what was asked for."""
    longest = limits.max_length
    if longest is None or (seconds := clip.duration_in(tags.probe(audio).duration)) <= longest:
        return clip, ()
    if clip.length is None:
        text = f"Cut to {longest:g} s, the limit of {limits.label}."
        hint = "Choose the part with start and length."
        clip = attrs.evolve(clip, length=longest)
    else:
        text = f"The video has {seconds:g} s, but the limit of {limits.label} is {longest:g} s."
        hint = "Choose a shorter length."
    return clip, (f"{text} {hint}",)


def _reduced_text(style: RenderStyle, audio_bitrate: int | None) -> str:
    limits = preset_of(style.platform)
    audio = "" if audio_bitrate is None else f", audio of {audio_bitrate / 1000:g} kb/s"
    return (
        f"Reduced to {(limits.max_size or 0) / 1e6:g} MB, the limit of {limits.label}: quantizer "
        f"{style.qp}{audio}. Choose a shorter length for better quality."
    )


def _processes(workers: Workers) -> PieceProcesses:
    return workers if isinstance(workers, PieceProcesses) else PieceProcesses(workers)


def _analyse(
    processes: PieceProcesses,
    cancel: CancelToken,
    cache: SongCache | None,
    path: PathLike,
    *,
    clip: Clip,
    **options: Any,
) -> analysis.Features:
    """Analyse the audio while the processes start."""
    if processes.limit > 1:
        with decode.open_audio(path) as (container, stream):
            duration = header_duration(container, stream)
        processes.start(clip.duration_in(duration))
    work = functools.partial(analysis.analyse, path, cancel=cancel, clip=clip, **options)
    if cache is None:
        return work()
    return cache.features(version_of(path), (clip, *sorted(options.items())), work)


def _default_timeout(duration: float, style: RenderStyle) -> float:
    pixel_ratio = float(style.width * style.height * style.fps / _REFERENCE_PIXEL_RATE)
    return 60 + _TIMEOUT_FACTOR * duration * max(pixel_ratio, 1)


def _encode(
    encoding: Encoding,
    target: Path,
    *,
    audio_options: AudioOptions,
    max_size: int | None,
    warnings: tuple[str, ...],
    check_source: Callable[[], None],
) -> RenderResult:
    prepared = encoding.prepared
    spec, style = prepared.spec, prepared.style
    with encode.atomic_output(target) as part:
        audio_plan, used_style = encoding.write(part, audio_options, max_size)
        encoding.report.finish()
        check_source()
    if audio_plan.warning:
        _log.warning("%s", audio_plan.warning)
    has_less_audio = not audio_plan.copied and audio_plan.bit_rate != audio_options.bit_rate
    is_limit = max_size is not None and max_size == preset_of(style.platform).max_size
    if is_limit and (used_style.qp > style.qp or has_less_audio):
        warnings += (_reduced_text(used_style, audio_plan.bit_rate),)
    warnings += (*prepared.warnings, *prepared.typesetter.warnings, audio_plan.warning)
    return RenderResult(
        path=target,
        duration=float(spec.frame_count / style.fps),
        width=style.width,
        height=style.height,
        fps=style.fps,
        frames=spec.frame_count,
        audio_codec=audio_plan.codec,
        audio_copied=audio_plan.copied,
        audio_bitrate=audio_plan.bit_rate,
        video_codec="h264",
        size_bytes=target.stat().st_size,
        warnings=tuple(filter(None, warnings)),
    )

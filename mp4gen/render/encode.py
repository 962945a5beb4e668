"""Encode frames and audio into one MP4 that appears under its name only when it is complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import av
import av.error
import numpy as np
from attrs import frozen
from av import VideoCodecContext, VideoFrame, VideoStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.stream import Disposition

from mp4gen import filesystem
from mp4gen.errors import RenderError, RenderIOError

from . import progressive
from .audio_track import AudioPlan
from .audio_writer import open_audio_writer
from .cancellation import CancelToken, check_cancelled
from .canvas import Canvas
from .decode import display_name
from .options import PathLike, RenderStyle
from .presets import preset_of
from .song_cache import SongCache

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# The audio is written this far ahead of the video.
AUDIO_LEAD_SECONDS = 0.5
REPORT_SECONDS = 0.5
_BT709 = "colorprim=bt709:transfer=bt709:colormatrix=bt709"
_COLOUR_BT709, _RANGE_LIMITED = 1, 1
# How much finer the quantizer of a key frame is. Still areas are copied from it for 8 seconds;
# coarser steps would turn the dither of a dark background into bands.
_KEY_RATIO = 6
# The light of a beat changes the ring around the cover, and its coding errors stay until the next
# key frame. So smooth shapes get finer steps than detail (in sixteenths of the quantizer's), small
# values are kept, and the edges of blocks are smoothed.
_SMOOTH_SCALE, _DETAIL_SCALE, _DETAIL_FREQUENCY = 8, 20, 4
# What moves everywhere has no errors that stay, and is found in the last frame to part of a pixel.
_MOVING = "subme=1"
_DEBLOCKING = "deblock=1,0,0:deadzone-inter=11"


class EncodedFrame(NamedTuple):
    """One frame of H.264, decoded and shown at its number."""

    number: int
    is_key: bool
    data: bytes


@frozen(eq=False)
class EncodeJob:
    """The content of one video; `cover` is a JPEG for the tags.

    Without an edit list the encoder's delay stays, and the first frame lasts that much longer.
    `qp_offset` is that of the frames' encoders.
    """

    audio: PathLike
    audio_plan: AudioPlan
    style: RenderStyle
    tags: dict[str, str]
    cover: bytes
    frames: Iterable[EncodedFrame]
    cancel: CancelToken | None
    edit_list: bool = True
    cache: SongCache | None = None
    qp_offset: int = 0


class _WriteError(OSError):
    """The video cannot be written."""


class _PartFile(FileIO):
    """The file as the muxer writes it, which itself would ignore some errors."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w")
        self.error: _WriteError | None = None

    def write(self, data: ReadableBuffer) -> int:
        """Write all of the data."""
        rest = memoryview(data)
        try:
            with _write_errors():
                while rest:
                    rest = rest[super().write(rest) :]
        except _WriteError as error:
            self.error = error
            raise
        return memoryview(data).nbytes


@contextmanager
def _write_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _WriteError(error.errno, error.strerror) from error


@contextmanager
def atomic_output(to: Path) -> Iterator[Path]:
    """Yield a temporary file beside `to`, and rename it to `to` once it is complete and on disk.

    If `to` is a symbolic link, the file to which it leads is written.

    Raises:
        RenderIOError: the file cannot be written.
    """
    filled = False
    try:
        with filesystem.atomic_write(filesystem.resolve_links(to)) as part:
            yield part
            filled = True
    except OSError as error:
        # An OSError from the caller's own callback is raised unchanged.
        if not (filled or isinstance(error, _WriteError)):
            raise
        reason = error.strerror or type(error).__name__
        raise RenderIOError(
            f"Cannot write {display_name(to)}: {reason}. Check the disk and the folder."
        ) from error


def new_frame(style: RenderStyle) -> tuple[VideoFrame, Canvas]:
    """Allocate one frame for the whole video, and a canvas that draws into its memory."""
    frame = VideoFrame(style.width, style.height, "yuv420p")
    luma, blue, red = (np.frombuffer(memoryview(plane), np.uint8) for plane in frame.planes)
    line_sizes = (frame.planes[0].line_size, frame.planes[1].line_size, frame.planes[2].line_size)
    return frame, Canvas(style.width, style.height, (luma, blue, red), line_sizes)


def write(part: Path, job: EncodeJob) -> None:
    """Encode and mux the video and the audio of a job into the file `part`.

    Raises:
        RenderError: the file cannot be written, or a codec failed.
        RenderCancelledError: the job was cancelled.
    """
    options = {**progressive.MUXER_OPTIONS, "use_editlist": str(int(job.edit_list))}
    file = _PartFile(part)
    try:
        with file, av.open(file, "w", format="mp4", options=options) as output:
            output.metadata.update({key: text for key, text in job.tags.items() if text})
            _mux(output, job)
        with _write_errors():
            progressive.rewrite(part)
    except av.error.FFmpegError as error:
        # The muxer's end may hide a failed write behind an error of its own.
        if file.error is not None:
            raise file.error from error
        # AAC fits every MP4; packets copied from the input may not.
        hint = "" if job.audio_plan.codec == "aac" else ' Use audio_mode="compatible" (--audio).'
        raise RenderError(f"Cannot encode the video: {error.strerror}.{hint}") from error


def _mux(output: OutputContainer, job: EncodeJob) -> None:
    fps, tick = job.style.fps, 1 / Fraction(job.style.fps)
    video = video_stream(output, job.style, job.qp_offset)
    audio = open_audio_writer(job.audio_plan, job.audio, output, job.cancel, job.cache)
    with closing(audio) as audio_writer:
        _attach_cover(output, job.cover)
        for frame in job.frames:
            check_cancelled(job.cancel)
            packet = av.Packet(frame.data)
            packet.stream, packet.time_base = video, tick
            packet.pts = packet.dts = frame.number
            packet.is_keyframe = frame.is_key
            output.mux(packet)
            audio_writer.advance(float(frame.number / fps) + AUDIO_LEAD_SECONDS)
        audio_writer.finish()
        check_cancelled(job.cancel)


def _attach_cover(output: OutputContainer, jpeg: bytes) -> None:
    """Put the cover among the tags, for file browsers and players."""
    stream = output.add_stream("mjpeg", rate=1)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = 2, 2, "yuvj420p"
    stream.disposition = Disposition.attached_pic
    output.start_encoding()
    packet = av.Packet(jpeg)
    packet.stream, packet.time_base = stream, Fraction(1)
    packet.pts = packet.dts = 0
    output.mux(packet)


def video_stream(output: OutputContainer, style: RenderStyle, qp_offset: int = 0) -> VideoStream:
    """Add the stream for the frames of encoders of this style."""
    stream = output.add_stream("libx264", rate=style.fps, options=_options(style, qp_offset))
    _configure(stream.codec_context, style)
    return stream


def new_encoder(style: RenderStyle, qp_offset: int = 0) -> VideoCodecContext:
    """Create an H.264 encoder: High profile, BT.709, tuned for frames that are mostly still.

    Args:
        style: size, frame rate, quality and quantizer.
        qp_offset: how much coarser than key frames the others are quantized, because they move.
    """
    encoder = VideoCodecContext.create("libx264", "w")
    encoder.options = _options(style, qp_offset)
    encoder.time_base, encoder.framerate = 1 / Fraction(style.fps), Fraction(style.fps)
    # The header of an MP4 has the parameters of all frames.
    encoder.flags |= Flags.global_header
    _configure(encoder, style)
    return encoder


def _configure(encoder: VideoCodecContext, style: RenderStyle) -> None:
    encoder.width, encoder.height, encoder.pix_fmt = style.width, style.height, "yuv420p"
    # More would share each small frame among slices: no faster, up to half more work.
    encoder.thread_count = 1
    encoder.color_primaries = encoder.color_trc = encoder.colorspace = _COLOUR_BT709
    encoder.color_range = _RANGE_LIMITED
    encoder.sample_aspect_ratio = Fraction(1)


def keyframe_interval(style: RenderStyle) -> int:
    """Return the number of frames from one key frame to the next."""
    return max(round(preset_of(style.platform).keyframe_seconds * style.fps), 1)


def report_interval(style: RenderStyle) -> int:
    """Return the number of frames from one report of progress to the next."""
    return max(round(style.fps * REPORT_SECONDS), 1)


def _options(style: RenderStyle, qp_offset: int) -> dict[str, str]:
    keyint = f"keyint={keyframe_interval(style)}"
    # CABAC codes the same pictures in a seventh fewer bits, for a twentieth more work.
    cabac = int(style.quality == "fine")
    # Key frames keep their quantizer.
    key_ratio = _KEY_RATIO * 2 ** (qp_offset / 6)
    lists = f"cqm4iy={_scaling(4)}:cqm4py={_scaling(4)}:cqm8p={_scaling(8)}"
    # A constant quantizer skips still blocks at once; rate control would code them again and
    # again, and look ahead.
    return {
        "preset": "ultrafast",
        "qp": str(style.qp + qp_offset),
        "x264-params": (
            f"cabac={cabac}:8x8dct=1:ipratio={key_ratio:.3f}:{keyint}:{_DEBLOCKING}:{_BT709}"
            f":{_MOVING if qp_offset else lists}"
        ),
    }


def _scaling(side: int) -> str:
    """Return the scaling list of luma for a transform of `side` x `side` frequencies."""
    rise = (_DETAIL_SCALE - _SMOOTH_SCALE) / _DETAIL_FREQUENCY
    frequencies = [(row + column) * 8 // side for row in range(side) for column in range(side)]
    return ",".join(str(round(min(_SMOOTH_SCALE + rise * f, _DETAIL_SCALE))) for f in frequencies)

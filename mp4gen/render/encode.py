"""Pictures and sound into one MP4 that is whole under its name or not there at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from attrs import frozen
from av.container import OutputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from mp4gen import filesystem
from mp4gen.errors import RenderError

from .audio_track import AudioPlan, open_audio_writer
from .cancellation import CancelToken, check_cancelled
from .canvas import Canvas
from .decode import display_name
from .options import PathLike, RenderStyle

# The sound is written so far ahead of the picture, in seconds.
AUDIO_LEAD_SECONDS = 0.5
KEYFRAME_SECONDS = 8
_BT709 = "colorprim=bt709:transfer=bt709:colormatrix=bt709"
_COLOUR_BT709, _RANGE_LIMITED = 1, 1
# How much finer a key picture's steps are than the others'. What stands still is taken from it for
# eight duration: so fine, the dither of a dark ground survives, which coarser steps make bands of.
_KEY_RATIO = 6

OnProgress = Callable[[float, float], object]


@frozen(eq=False)
class EncodeJob:
    """What is to be written.

    Attributes:
        audio: the music file.
        audio_plan: how its sound gets in.
        tags: the MP4's own, by libavformat's names.
        cover: a JPEG for the MP4's own tags.
        duration: of decoded sound.
    """

    audio: PathLike
    audio_plan: AudioPlan
    tags: dict[str, str]
    cover: bytes
    duration: float


@contextmanager
def atomic_output(to: Path) -> Iterator[Path]:
    """Give a temporary file beside `to`; it takes that name once it is complete and on disk.

    Raises:
        RenderError: it cannot be written there.
    """
    filled = False
    try:
        with filesystem.atomic_write(to) as part:
            yield part
            filled = True
    except OSError as error:
        # What a caller's own function raises while the file is filled is the caller's.
        if not (filled or isinstance(error, av.error.FFmpegError)):
            raise
        raise RenderError(
            f"{display_name(to)} cannot be written: {error.strerror or type(error).__name__}."
        ) from error


def new_frame(style: RenderStyle) -> tuple[VideoFrame, Canvas]:
    """One frame for the whole video, and the canvas that draws right into its memory."""
    frame = VideoFrame(style.width, style.height, "yuv420p")
    luma, blue, red = (np.frombuffer(memoryview(plane), np.uint8) for plane in frame.planes)
    line_sizes = (frame.planes[0].line_size, frame.planes[1].line_size, frame.planes[2].line_size)
    return frame, Canvas(style.width, style.height, (luma, blue, red), line_sizes)


def write(
    part: Path,
    job: EncodeJob,
    style: RenderStyle,
    *,
    frame: VideoFrame,
    frame_numbers: Iterable[int],
    on_progress: OnProgress | None,
    cancel: CancelToken | None,
) -> None:
    """Encode and mux the frame_numbers with the sound into the file `part`.

    Each step of `frame_numbers` draws the next one on `frame` and gives its number.

    Raises:
        RenderError: the file cannot be written, or the codecs failed.
        RenderCancelledError: `cancel` was set.
    """
    try:
        with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as output:
            output.metadata.update(job.tags)
            _mux(
                output,
                job,
                style,
                frame=frame,
                frame_numbers=frame_numbers,
                on_progress=on_progress,
                cancel=cancel,
            )
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise
        # What an MP4 cannot hold as it is, it can as AAC.
        hint = "" if job.audio_plan.codec == "aac" else ' Use audio_mode="compatible" (--audio).'
        raise RenderError(f"The video could not be encoded: {error.strerror}.{hint}") from error


def _mux(
    output: OutputContainer,
    job: EncodeJob,
    style: RenderStyle,
    *,
    frame: VideoFrame,
    frame_numbers: Iterable[int],
    on_progress: OnProgress | None,
    cancel: CancelToken | None,
) -> None:
    video = video_stream(output, style)
    audio_writer = open_audio_writer(job.audio_plan, job.audio, output, cancel)
    try:
        _attach_cover(output, job.cover)
        for number in frame_numbers:
            check_cancelled(cancel)
            if on_progress is not None and number % (style.fps // 2) == 0:
                on_progress(min(number / style.fps, job.duration), job.duration)
            frame.pts = number
            output.mux(video.encode(frame))
            audio_writer.advance(number / style.fps + AUDIO_LEAD_SECONDS)
        output.mux(video.encode(None))
        audio_writer.finish()
        check_cancelled(cancel)
    finally:
        audio_writer.close()
    if on_progress is not None:
        on_progress(job.duration, job.duration)


def _attach_cover(output: OutputContainer, jpeg: bytes) -> None:
    """Put a picture among the tags, where file browsers and players look for it."""
    stream = output.add_stream("mjpeg", rate=1)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = 2, 2, "yuvj420p"
    stream.disposition = Disposition.attached_pic
    output.start_encoding()
    packet = av.Packet(jpeg)
    packet.stream, packet.time_base = stream, Fraction(1)
    packet.pts = packet.dts = 0
    output.mux(packet)


def video_stream(output: OutputContainer, style: RenderStyle) -> VideoStream:
    """Add the H.264 stream: High profile, BT.709, made for frame_numbers that mostly stand still."""
    stream = output.add_stream("libx264", rate=style.fps, options=_options(style))
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = style.width, style.height, "yuv420p"
    context.thread_count = style.threads
    context.color_primaries = _COLOUR_BT709
    context.color_trc = _COLOUR_BT709
    context.colorspace = _COLOUR_BT709
    context.color_range = _RANGE_LIMITED
    return stream


def _options(style: RenderStyle) -> dict[str, str]:
    keyint = f"keyint={KEYFRAME_SECONDS * style.fps}"
    if style.quality == "fine":
        # No B-frames: a fifth less work for an eighth more bits, and nothing to reorder.
        return {"preset": "veryfast", "crf": "20", "x264-params": f"bframes=0:{keyint}:{_BT709}"}
    # With a constant quantiser what stands still is skipped at once. Rate control would code it
    # again and again, and look ahead for it too. CABAC would cost an eighth more work, most of it
    # to say "skipped" for each of the blocks that stand still, for a tenth fewer bits.
    return {
        "preset": "ultrafast",
        "qp": str(style.qp),
        "x264-params": f"cabac=0:8x8dct=1:ipratio={_KEY_RATIO}:{keyint}:{_BT709}",
    }

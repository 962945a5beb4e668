"""The values that go into a render and come out of it; no codec, no drawing, no files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from attrs import field, frozen

from mp4gen.errors import RenderError

PathLike = str | os.PathLike[str]
AudioMode = Literal["compatible", "copy"]
Quality = Literal["fast", "fine"]

MIN_SIDE = 144
MAX_AREA = 1920 * 1088
MAX_SIDE = 2560


def _paths(paths: Iterable[PathLike]) -> tuple[str, ...]:
    return tuple(os.fspath(path) for path in paths)


@frozen
class RenderStyle:
    """How the video is drawn and encoded.

    Attributes:
        width: pixels, even, 144 to 2560; at most 1920x1088 pixels in all.
        height: pixels, even; wider than high, square or upright each get a layout of their own.
        fps: frames per second, 24 to 60.
        quality: "fast" (a constant quantiser, the cheapest) or "fine" (smaller files, more CPU).
        qp: the constant quantiser of "fast", 16 (best) to 28 (smallest).
        threads: encoder threads; 0 lets the encoder choose. The bytes depend on it.
        fonts: font files to be tried for letters that the bundled font lacks, before the system's.

    Raises:
        RenderError: a value is no whole number or out of range; says which.
    """

    width: int = 1280
    height: int = 720
    fps: int = 30
    quality: Quality = "fast"
    qp: int = 24
    threads: int = 0
    fonts: tuple[str, ...] = field(default=(), converter=_paths)

    def __attrs_post_init__(self) -> None:
        _check_size(self.width, self.height)
        _check_range("fps", self.fps, 24, 60)
        _check_range("qp", self.qp, 16, 28)
        _check_range("threads", self.threads, 0, 64)
        if self.quality not in ("fast", "fine"):
            raise RenderError(f'quality must be "fast" or "fine", not {self.quality!r}.')
        for path in self.fonts:
            if not Path(path).is_file():
                raise RenderError(f"The font file {path} does not exist.")


@frozen
class AudioInfo:
    """What a music file says about itself, without decoding it.

    Attributes:
        duration: seconds, from the header where it is believable, else counted from the packets.
        title: the title tag, cleaned, or None.
        artist: the artist tag, cleaned, or None.
        codec: the codec's short name: "mp3", "aac", "flac", "opus", "vorbis", "alac", "pcm_s16le".
        sample_rate: Hz.
        channels: how many.
        bit_rate: bits a second, 0 where unknown.
        has_cover: whether a picture is attached.
    """

    duration: float
    title: str | None
    artist: str | None
    codec: str
    sample_rate: int
    channels: int
    bit_rate: int
    has_cover: bool


@frozen
class RenderResult:
    """What was written.

    Attributes:
        path: the MP4.
        duration: seconds of the picture; the sound ends within its last frame.
        width: pixels.
        height: pixels.
        fps: frames per second.
        frames: pictures in all.
        audio_codec: codec of the sound inside: "aac", "mp3", "flac", "alac" or "opus".
        audio_copied: whether the sound's packets are the input's, bit for bit.
        video_codec: always "h264".
        size_bytes: of the file.
        warnings: one sentence for each thing that is not as asked for or may not play everywhere.
    """

    path: Path
    duration: float
    width: int
    height: int
    fps: int
    frames: int
    audio_codec: str
    audio_copied: bool
    video_codec: str
    size_bytes: int
    warnings: tuple[str, ...] = ()


def _check_size(width: int, height: int) -> None:
    if not (isinstance(width, int) and isinstance(height, int)):
        raise RenderError(f"The size {width!r}x{height!r} must be of whole numbers.")
    if width % 2 or height % 2:
        raise RenderError(f"The size {width}x{height} must be even both ways.")
    if min(width, height) < MIN_SIDE:
        raise RenderError(f"The size {width}x{height} is too small: {MIN_SIDE} at least.")
    if max(width, height) > MAX_SIDE or width * height > MAX_AREA:
        raise RenderError(f"The size {width}x{height} is too large: 1920x1080 or its twin at most.")


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not (isinstance(value, int) and low <= value <= high):
        raise RenderError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")

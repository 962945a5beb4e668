"""Validated options and results of a render. Draws and decodes nothing."""

import os
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

from attrs import field, frozen

from mp4gen.errors import RenderError

from . import presets
from .looks import check_look

PathLike = str | os.PathLike[str]
AudioMode = Literal["compatible", "copy"]
Quality = Literal["fast", "fine"]
# Exact: a whole number, or a fraction as of NTSC.
FrameRate = int | Fraction

MAX_DURATION = 1200.0
MIN_SIDE = 144
MAX_SIDE = 3840
MAX_AREA = 3840 * 2160
MIN_FPS, MAX_FPS = 24, 60
NTSC_RATES = Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60000, 1001)
# 23.98 and 59.94 are usual names of such rates.
_NTSC_ROUNDING = Fraction(1, 200)
MIN_QP, MAX_QP = 16, 36
MIN_AUDIO_BITRATE, MAX_AUDIO_BITRATE = 32_000, 448_000
# Those made of the cover.
BACKGROUNDS = "auto", "blur"
COLOUR_PATTERN = "#[0-9A-Fa-f]{6}"
# Bytes of an image file.
MAX_PICTURE_BYTES = 32 << 20


def _frame_rate(value: FrameRate | float | str) -> FrameRate:
    """Return the exact rate that a number stands for, or the value itself if there is none."""
    try:
        exact = Fraction(value)
    except (TypeError, ValueError, ArithmeticError):
        # The validation of the style refuses it.
        return cast("FrameRate", value)
    if exact.denominator == 1:
        return exact.numerator
    named = (rate for rate in NTSC_RATES if abs(rate - exact) <= _NTSC_ROUNDING)
    return next(named, cast("FrameRate", value))


def _paths(paths: Iterable[PathLike]) -> tuple[str, ...]:
    return tuple(os.fspath(path) for path in paths)


def _path_or_text(value: PathLike | None) -> str | None:
    # The validation of the style refuses what is neither.
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _lower_colour(value: PathLike | None) -> str | None:
    text = _path_or_text(value)
    return text.lower() if text is not None and is_colour(text) else text


@frozen
class RenderStyle:
    """How a video is drawn and encoded.

    Attributes:
        look: "bars", "ring", "wave", "waveform", "pulse", or a name from the entry point group
            `mp4gen.looks`.
        background: "auto" (made of the cover's colours), "blur" (the cover, blurred), a colour
            such as "#1d2b53", or the path of a picture.
        accent: the main colour, such as "#ff8800", of all that moves and of the "auto" background;
            None: the picture's if the background is one, else the cover's.
        width: pixels, even, 144 to 3840; width x height is at most 3840x2160 pixels.
        height: pixels, even. Landscape, square, 4:5 and portrait videos have their own
            layouts.
        fps: frames per second: a whole number from 24 to 60, or 23.976, 29.97 or 59.94, which
            mean exactly 24000/1001, 30000/1001 and 60000/1001. A `Fraction` or a text such as
            "30000/1001" is accepted too.
        quality: "fast" (least CPU) or "fine" (the same pictures in smaller files, more CPU).
        qp: quantizer, 16 (best quality) to 36 (smallest file).
        font: font file for all words; None for the bundled font, which also draws the letters
            that this file lacks.
        logo: PNG file with transparency for the upper right corner, or None.
        fonts: font files for letters that the bundled font lacks, tried before the system's.
        platform: name of the preset whose limits the video keeps, and whose audio and key frames
            it has; set by `RenderStyle.preset`.

    Raises:
        RenderError: a value is of the wrong type or out of range, or a file does not exist.
    """

    look: str = "bars"
    background: str = field(default="auto", converter=_lower_colour)
    accent: str | None = field(default=None, converter=_lower_colour)
    width: int = 1280
    height: int = 720
    fps: FrameRate = field(default=30, converter=_frame_rate)
    quality: Quality = "fast"
    qp: int = 24
    font: str | None = field(default=None, converter=_path_or_text)
    logo: str | None = field(default=None, converter=_path_or_text)
    fonts: tuple[str, ...] = field(default=(), converter=_paths)
    platform: str | None = None

    @classmethod
    def preset(cls, name: str, **fields: Any) -> Self:
        """Return the style for a platform: its size and frame rate, and its limits.

        Args:
            name: "youtube", "reel", "tiktok", "story", "square", "x", "whatsapp" or "discord".
            fields: other fields of the style, which win over those of the preset.

        Raises:
            RenderError: the preset is unknown, or a field is invalid.
        """
        return cls(**{**presets.preset(name).style, "platform": name, **fields})

    def __attrs_post_init__(self) -> None:
        presets.preset_of(self.platform)
        check_look(self.look)
        _check_background(self.background)
        if self.accent is not None and not is_colour(self.accent):
            raise RenderError(f"Invalid accent: {self.accent!r}. Use a colour such as #ff8800.")
        _check_size(self.width, self.height)
        _check_fps(self.fps)
        check_range("qp", self.qp, MIN_QP, MAX_QP)
        if self.quality not in ("fast", "fine"):
            raise RenderError(f'Invalid quality: {self.quality!r}. Use "fast" or "fine".')
        for path in self.font_files:
            _check_file("font", path)
        if self.logo is not None:
            _check_file("logo", self.logo)

    @property
    def font_files(self) -> tuple[str, ...]:
        """All font files that the style names, `font` first."""
        return self.fonts if self.font is None else (self.font, *self.fonts)


@frozen
class AudioOptions:
    """How the audio of a video is stored.

    Attributes:
        mode: "compatible" or "copy", as of `render_video`.
        bit_rate: bits per second of encoded AAC; AAC that has more is encoded as well. None: 320
            kb/s in stereo and 192 kb/s in mono, and more for dense music.
        sample_rate: 48000 converts audio of any other rate; None keeps the rates that every player
            supports.
        edit_list: whether an edit list hides the encoder's delay. Without one, the video begins
            with that much silence (21 ms) and its first frame, and the rest follows in sync.
            Some platforms ask for this; but then Apple's players assume a delay of 2112 samples,
            and begin 25 ms too late in the music.

    Raises:
        RenderError: a value is out of range, or a bit rate was given for a copy.
    """

    mode: AudioMode = "compatible"
    bit_rate: int | None = None
    sample_rate: Literal[48000] | None = None
    edit_list: bool = True

    def __attrs_post_init__(self) -> None:
        if self.mode not in get_args(AudioMode):
            raise RenderError(f'Invalid audio_mode: {self.mode!r}. Use "compatible" or "copy".')
        if self.bit_rate is None:
            return
        check_range("audio_bitrate", self.bit_rate, MIN_AUDIO_BITRATE, MAX_AUDIO_BITRATE)
        if self.mode == "copy":
            raise RenderError(
                'Invalid audio_bitrate for audio_mode="copy", which keeps the audio as it is. '
                'Use audio_mode="compatible".'
            )


@frozen
class AudioInfo:
    """The properties of an audio file, read without decoding it.

    Attributes:
        duration: seconds, from the header if it is plausible, else counted from the packets.
        title: the title tag, sanitized, or None.
        artist: the artist tag, sanitized, or None.
        codec: its name in lower case, such as "mp3", "aac" or "pcm_s16le".
        sample_rate: Hz.
        channels: number of channels.
        bit_rate: bits per second, 0 if unknown.
        has_cover: whether a cover is attached.
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
    """The video that was written.

    Attributes:
        path: the MP4.
        duration: seconds of video; the audio ends within its last frame.
        width: pixels.
        height: pixels.
        fps: frames per second, a `Fraction` if it is not a whole number.
        frames: number of frames.
        audio_codec: "aac", "mp3", "flac", "alac" or "opus".
        audio_copied: whether the audio packets are the input's, bit for bit.
        video_codec: always "h264".
        size_bytes: size of the file.
        audio_bitrate: bits per second of the AAC if `audio_bitrate` or `max_size` set them, or
            None.
        warnings: one sentence for each deviation from the request and each player limit.
    """

    path: Path
    duration: float
    width: int
    height: int
    fps: FrameRate
    frames: int
    audio_codec: str
    audio_copied: bool
    video_codec: str
    size_bytes: int
    audio_bitrate: int | None = None
    warnings: tuple[str, ...] = ()


def is_colour(value: object) -> bool:
    """Return whether a value is a colour such as "#1d2b53"."""
    return isinstance(value, str) and re.fullmatch(COLOUR_PATTERN, value) is not None


def is_picture(background: object) -> bool:
    """Return whether a background is none of ours and no colour, but the path of a picture."""
    return background not in BACKGROUNDS and not is_colour(background)


def _check_background(value: object) -> None:
    if not is_picture(value):
        return
    hint = "Use auto, blur, a colour such as #1d2b53, or the path of a picture."
    if not isinstance(value, str) or value.startswith("#"):
        raise RenderError(f"Invalid background: {value!r}. {hint}")
    if not _is_file(value):
        raise RenderError(f"The background does not exist: {value}. {hint}")


def _check_file(kind: str, path: object) -> None:
    if not (isinstance(path, str) and _is_file(path)):
        raise RenderError(f"The {kind} file does not exist: {path}. Check the path.")


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        # A null character, or a name that is too long.
        return False


def _check_size(width: int, height: int) -> None:
    if not all(isinstance(side, int) for side in (width, height)):
        hint = "Use whole numbers."
    elif width % 2 or height % 2:
        hint = "Use even numbers."
    elif min(width, height) < MIN_SIDE:
        hint = f"Use at least {MIN_SIDE} pixels for each side."
    elif max(width, height) > MAX_SIDE or width * height > MAX_AREA:
        hint = f"Use at most {MAX_SIDE} pixels for a side and as many as 3840x2160 in total."
    else:
        return
    raise RenderError(f"Invalid size: {width!r}x{height!r}. {hint}")


def _check_fps(fps: object) -> None:
    if not (fps in NTSC_RATES or (isinstance(fps, int) and MIN_FPS <= fps <= MAX_FPS)):
        shown = fps if isinstance(fps, Fraction) else repr(fps)
        raise RenderError(
            f"Invalid fps: {shown}. Use a whole number from {MIN_FPS} to {MAX_FPS}, or 23.976, "
            "29.97 or 59.94."
        )


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Refuse a value that is not a whole number from `low` to `high`.

    Raises:
        RenderError: with the name and the range.
    """
    if isinstance(value, bool) or not (isinstance(value, int) and low <= value <= high):
        raise RenderError(f"Invalid {name}: {value!r}. Use a whole number from {low} to {high}.")


DEFAULT_STYLE = RenderStyle()

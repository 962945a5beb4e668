"""What the platforms take, as data: sizes, limits and audio; renders nothing.

Each figure comes from the page that the comment above it names. Where a platform states nothing,
the renderer's default stays.
"""

from collections.abc import Mapping
from typing import Any, Literal

from attrs import field, frozen

from mp4gen.errors import RenderError

DEFAULT_KEYFRAME_SECONDS = 8.0


@frozen(kw_only=True)
class Preset:
    """What one platform takes.

    Attributes:
        label: the name of the platform in messages.
        style: fields of `RenderStyle`.
        max_length: seconds of the longest video.
        max_size: bytes of the largest file.
        audio_bitrate: bits per second of the audio, at most.
        sample_rate: Hz of the audio, or None for the usual ones of at most 48000.
        edit_list: whether the file may have an edit list, as of `AudioOptions`.
        keyframe_seconds: seconds from one key frame to the next.
    """

    label: str
    style: Mapping[str, Any] = field(factory=dict)
    max_length: float | None = None
    max_size: int | None = None
    audio_bitrate: int | None = None
    sample_rate: Literal[48000] | None = None
    edit_list: bool = True
    keyframe_seconds: float = DEFAULT_KEYFRAME_SECONDS


NO_PRESET = Preset(label="")
_LANDSCAPE = {"width": 1920, "height": 1080, "fps": 30}
_PORTRAIT = {"width": 1080, "height": 1920, "fps": 30}
_SQUARE = {"width": 1080, "height": 1080, "fps": 30}
PRESETS: dict[str, Preset] = {
    # https://support.google.com/youtube/answer/1722171: 1080p, 48 or 96 kHz, 384 kb/s in stereo, no
    # edit lists, a closed GOP of half the frame rate.
    "youtube": Preset(
        label="YouTube",
        style=_LANDSCAPE,
        audio_bitrate=384_000,
        sample_rate=48000,
        edit_list=False,
        keyframe_seconds=0.5,
    ),
    # https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media
    # "Reel Specifications": 9:16 recommended, at most 1920 pixels wide, 23 to 60 frames per second,
    # AAC of at most 48 kHz at 128 kb/s, no edit lists, 15 minutes, 300 MB.
    "reel": Preset(
        label="Instagram Reels",
        style=_PORTRAIT,
        max_length=900.0,
        max_size=300_000_000,
        audio_bitrate=128_000,
        edit_list=False,
    ),
    # https://developers.tiktok.com/doc/content-posting-api-media-transfer-guide "Video
    # restrictions": 360 to 4096 pixels, 23 to 60 frames per second, 10 minutes (3 for some
    # accounts), 4 GB. 9:16: https://ads.tiktok.com/help/article?aid=6669199281502552069.
    "tiktok": Preset(label="TikTok", style=_PORTRAIT, max_length=600.0, max_size=4_000_000_000),
    # The page of "reel", "Story Video Specifications": as there, but 60 seconds and 100 MB.
    "story": Preset(
        label="Instagram Stories",
        style=_PORTRAIT,
        max_length=60.0,
        max_size=100_000_000,
        audio_bitrate=128_000,
        edit_list=False,
    ),
    # A square video in Instagram's feed is a reel: the page and the limits of "reel".
    "square": Preset(
        label="Instagram",
        style=_SQUARE,
        max_length=900.0,
        max_size=300_000_000,
        audio_bitrate=128_000,
        edit_list=False,
    ),
    # https://docs.x.com/x-api/media/quickstart/best-practices: 1280x720 recommended, 30 or 60
    # frames per second, AAC-LC of at least 128 kb/s, no open GOP, 140 seconds, 512 MB.
    "x": Preset(
        label="X",
        style={"width": 1280, "height": 720, "fps": 30},
        max_length=140.0,
        max_size=512_000_000,
    ),
    # https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media "Supported Media
    # Types": H.264 without B-frames and AAC, 16 MB.
    "whatsapp": Preset(label="WhatsApp", max_size=16_000_000),
    # https://discord.com/developers/docs/reference#uploading-files: 10 MiB for all users before
    # September 2026, and at least that since then.
    "discord": Preset(label="Discord", max_size=10_000_000),
}


def preset(name: object) -> Preset:
    """Return a preset by its name.

    Raises:
        RenderError: there is none; the text lists all.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise RenderError(f"Unknown preset: {name!r}. Use one of: {', '.join(PRESETS)}.")
    return PRESETS[name]


def preset_of(platform: str | None) -> Preset:
    """Return the preset of `RenderStyle.platform`, one without limits for None."""
    return NO_PRESET if platform is None else preset(platform)

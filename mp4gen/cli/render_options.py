"""The options of `mp4gen render` that are arguments of `render_video`; renders nothing."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import attrs
from cyclopts import Parameter

from mp4gen.render import RenderStyle
from mp4gen.render.clip import clip_of
from mp4gen.render.options import AudioMode, AudioOptions, check_range
from mp4gen.render.pipeline import MAX_MAX_SIZE
from mp4gen.render.preparation import RenderRequest, check_request

from .arguments import expand_user_text
from .options import parse_number
from .style_options import PRESET_HELP, StyleOptions


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Content:
    """What the video shows.

    Attributes:
        author: Name shown at the beginning.
        domain_name: Watermark at the bottom.
        title: Title of the track; for a single audio file.
        cover: PNG, JPEG or WEBP image.
        lyrics: LRC, SubRip or WebVTT file for a single audio file; auto for those beside the music
            or in its tags, none for no lyrics.
        start: Where the video starts in the track: seconds, 1:15 or 1:02:03.5.
        length: Length of the video, in the same forms.
    """

    author: Annotated[str | None, Parameter(show_default="the artist tag")] = None
    domain_name: str | None = None
    title: Annotated[str | None, Parameter(show_default="the title tag, else the file name")] = None
    cover: Annotated[
        Path | None, Parameter(show_default="the embedded cover, or a generated one")
    ] = None
    lyrics: str = "auto"
    start: Annotated[str, Parameter(show_default="the beginning")] = "0"
    length: Annotated[str | None, Parameter(show_default="up to the end")] = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Videos(StyleOptions):
    """How the videos of each audio file look."""

    preset: Annotated[
        list[str] | None,
        Parameter(help=f"{PRESET_HELP} Repeatable: one video for each, such as song.reel.mp4."),
    ] = None

    def styles(self) -> dict[str, RenderStyle]:
        """Return the style of each preset by its name, or a single one.

        Raises:
            UsageError: The size is invalid.
            RenderError: Another option is invalid.
        """
        if not self.preset:
            return {"": self.style()}
        return {name: self.style(name) for name in self.preset}


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Sound:
    """How the audio is stored."""

    audio_mode: Annotated[
        AudioMode,
        Parameter(
            name="--audio",
            help="Audio of the video. compatible: AAC, which plays everywhere. copy: mp3, aac, "
            "flac, alac and opus bit for bit, other formats as FLAC of up to 24 bits.",
        ),
    ] = "compatible"
    audio_bitrate: Annotated[
        str | None,
        Parameter(
            show_default="320k in stereo, 192k in mono, up to 448k for dense music",
            help="Bits per second of the encoded audio, 32k to 448k.",
        ),
    ] = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Limits:
    """Limits of the file size, the length of the video and the time of its render.

    Attributes:
        max_size: Maximum size of the file, for instance 16M; K, M and G are powers of 1000. The
            quality of picture and audio is lowered as far as necessary.
        max_duration: Maximum seconds of the video.
        timeout: Maximum seconds that the render of a file may take.
    """

    max_size: str | None = None
    max_duration: float = 1200.0
    timeout: Annotated[float | None, Parameter(show_default="60 s and ten times the audio")] = None


def render_arguments(content: Content, sound: Sound, limits: Limits) -> dict[str, Any]:
    """Return the arguments of `render_video`, without the style, that the options stand for.

    Raises:
        UsageError: A number is invalid.
    """
    arguments: dict[str, Any] = {}
    for group in (content, sound, limits):
        arguments |= attrs.asdict(group)
    arguments["lyrics"] = _lyrics(content.lyrics)
    if sound.audio_bitrate is not None:
        arguments["audio_bitrate"] = parse_number(sound.audio_bitrate, "--audio-bitrate", "192k")
    if limits.max_size is not None:
        arguments["max_size"] = parse_number(limits.max_size, "--max-size", "16M")
    return arguments


def _lyrics(choice: str) -> str | None:
    if choice in ("auto", "none"):
        return None if choice == "none" else choice
    return expand_user_text(choice)


def check_arguments(arguments: dict[str, Any], styles: Iterable[RenderStyle]) -> None:
    """Check the arguments, with each of the styles, before many files fail for the same reason.

    Raises:
        RenderError: An option is invalid for all files.
    """
    AudioOptions(arguments["audio_mode"], arguments["audio_bitrate"])
    if arguments["max_size"] is not None:
        check_range("max_size", arguments["max_size"], 1, MAX_MAX_SIZE)
    names = ("author", "domain_name", "title", "cover", "lyrics", "max_duration")
    shared = {name: arguments[name] for name in names}
    clip = clip_of(arguments["start"], arguments["length"])
    for style in styles:
        check_request(RenderRequest(**shared, style=style, clip=clip))

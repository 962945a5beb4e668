"""How one video of the server looks and which part of its song it has; imports no codec."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs

from mp4gen.render.options import RenderStyle
from mp4gen.render.presets import PRESETS

ASPECT_RATIOS = ("16:9", "9:16", "1:1", "4:5")
# A background that is not one of the renderer's words, but a picture of the data directory.
PICTURE_PREFIX = "picture:"
NO_LYRICS = "none"
# An arrow alone may also be sung.
_CUE_TIMES = re.compile(r"(?:^|[\r\n])[ \t]*[\d:.,]+[ \t]*-+>")


@attrs.frozen(kw_only=True)
class VideoOptions:
    """The options of one video; None leaves a choice to the server's style or to the song.

    Attributes:
        look: The look, as of `RenderStyle`.
        background: "auto", "blur", a colour such as "#1d2b53", or `PICTURE_PREFIX` and the name of
            a picture in the data directory.
        accent: The main colour, such as "#ff8800".
        preset: The platform whose size and limits the video has.
        title: Shown instead of the song's title.
        cover: The name of a picture in the data directory, shown instead of the song's cover.
        lyrics: `NO_LYRICS`, or the text of an LRC, SubRip or WebVTT file; None for the song's own.
        start: Seconds into the song at which the video starts.
        length: Seconds of the video; None up to the end.
    """

    look: str | None = None
    background: str | None = None
    accent: str | None = None
    preset: str | None = None
    title: str | None = None
    cover: str | None = None
    lyrics: str | None = None
    start: float = 0.0
    length: float | None = None

    def chosen(self) -> dict[str, Any]:
        """Return the options that were chosen, as values that `json.dumps` takes."""
        return {
            field.name: value
            for field in attrs.fields(VideoOptions)
            if (value := getattr(self, field.name)) != field.default
        }

    @property
    def picture_names(self) -> tuple[str, ...]:
        """The names of the pictures in the data directory that the video needs."""
        background = self.background or ""
        own = background.startswith(PICTURE_PREFIX)
        names = (self.cover, background.removeprefix(PICTURE_PREFIX) if own else None)
        return tuple(filter(None, names))

    def seconds_of(self, duration: float) -> float:
        """Return the seconds of the video of a song of that duration."""
        rest = max(duration - self.start, 0.0)
        lengths = [self.length]
        if self.preset is not None and self.length is None:
            lengths.append(PRESETS[self.preset].max_length)
        return min([rest, *(length for length in lengths if length is not None)])


DEFAULT_OPTIONS = VideoOptions()


def lyrics_name(text: str) -> str:
    """Return the name of a file for this text of lyrics, by its format."""
    return "lyrics.srt" if _CUE_TIMES.search(text) else "lyrics.lrc"


def size_for(width: int, height: int, aspect_ratio: str | None) -> tuple[int, int]:
    """Return the size that has this aspect ratio and the short side of `width` x `height`.

    The long side of 16:9 and 9:16 is that of a size that is not square.
    """
    long, short = max(width, height), min(width, height)
    if long == short:
        long = _even(short * 16 / 9)
    sizes = {
        "16:9": (long, short),
        "9:16": (short, long),
        "1:1": (short, short),
        "4:5": (short, _even(short * 5 / 4)),
    }
    return sizes.get(aspect_ratio or "", (width, height))


def _even(side: float) -> int:
    return 2 * round(side / 2)


def style_for(
    style: RenderStyle,
    aspect_ratio: str | None,
    options: VideoOptions = DEFAULT_OPTIONS,
    pictures: Path | None = None,
) -> dict[str, Any]:
    """Return the arguments of the `RenderStyle` of one render.

    Args:
        style: The server's style.
        aspect_ratio: One of `ASPECT_RATIOS`; None for the size of the preset, or of `style`.
        options: What was chosen for the video; it wins over the preset, which wins over `style`.
        pictures: The folder of the pictures that the options name.
    """
    values = attrs.asdict(style)
    if options.preset is not None:
        values |= {**PRESETS[options.preset].style, "platform": options.preset}
    values["width"], values["height"] = size_for(values["width"], values["height"], aspect_ratio)
    for name in ("look", "background", "accent"):
        if (value := getattr(options, name)) is not None:
            values[name] = value
    background = options.background or ""
    if pictures is not None and background.startswith(PICTURE_PREFIX):
        values["background"] = str(pictures / background.removeprefix(PICTURE_PREFIX))
    return values

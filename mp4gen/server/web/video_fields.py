"""Reads the optional fields of a request for a video, of the API and of the page."""

import unicodedata
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import attrs

from mp4gen.errors import InvalidRequestError, RenderError
from mp4gen.lyrics.files import parse_lyrics
from mp4gen.render import presets
from mp4gen.render.looks import check_look
from mp4gen.render.options import BACKGROUNDS, is_colour
from mp4gen.render.times import parse_time
from mp4gen.server.rendering.video_options import (
    ASPECT_RATIOS,
    NO_LYRICS,
    VideoOptions,
    lyrics_name,
)

T = TypeVar("T")

MAX_TITLE_LENGTH = 100
MAX_LYRICS_BYTES = 100_000
MIN_LENGTH, MAX_SECONDS = 0.5, 360_000
AUTO = "auto"


@attrs.frozen
class VideoFields:
    """The optional fields of one request, as the parts of a task."""

    aspect_ratio: str | None
    options: VideoOptions


def parse_video_fields(fields: Mapping[str, Any]) -> VideoFields:
    """Return the optional fields of a request; other fields are ignored, empty ones are not given.

    Args:
        fields: `aspectRatio`, `look`, `background`, `accent`, `preset`, `title`, `lyrics`, `start`
            and `length`.

    Raises:
        InvalidRequestError: Code 400; the text has a sentence for each invalid field.
    """
    problems: list[str] = []

    def read(name: str, parse: Callable[[Any], T], default: T) -> T:
        value = fields.get(name)
        try:
            return default if value in (None, "") else parse(value)
        except RenderError as error:
            problems.append(str(error))
        return default

    found = VideoFields(
        read("aspectRatio", _aspect_ratio, None),
        VideoOptions(
            look=read("look", _look, None),
            background=read("background", _background, None),
            accent=read("accent", _accent, None),
            preset=read("preset", _preset, None),
            title=read("title", _title, None),
            lyrics=read("lyrics", _lyrics, None),
            start=read("start", partial(_seconds, name="start", low=0.0), 0.0),
            length=read("length", partial(_seconds, name="length", low=MIN_LENGTH), None),
        ),
    )
    if problems:
        raise InvalidRequestError(" ".join(problems), code=400)
    return found


def _invalid(name: str, value: object, hint: str) -> RenderError:
    return RenderError(f"Invalid {name}: {value!r:.60}. Use {hint}.")


def _aspect_ratio(value: Any) -> str | None:
    if value not in ASPECT_RATIOS:
        raise _invalid("aspectRatio", value, f"one of {', '.join(ASPECT_RATIOS)}")
    return str(value)


def _look(value: Any) -> str | None:
    check_look(value)
    return str(value)


def _preset(value: Any) -> str | None:
    presets.preset(value)
    return str(value)


def _background(value: Any) -> str | None:
    if value in BACKGROUNDS:
        return str(value)
    if is_colour(value):
        return str(value).lower()
    raise _invalid("background", value, f"{', '.join(BACKGROUNDS)} or a colour such as #1d2b53")


def _accent(value: Any) -> str | None:
    if not is_colour(value):
        raise _invalid("accent", value, "a colour such as #ff8800")
    return str(value).lower()


def _title(value: Any) -> str | None:
    text = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
    controls = any(unicodedata.category(char) in {"Cc", "Cs"} for char in text)
    if not text or len(text) > MAX_TITLE_LENGTH or controls:
        hint = f"text of at most {MAX_TITLE_LENGTH} characters, without control characters"
        raise _invalid("title", value, hint)
    return text


def _lyrics(value: Any) -> str | None:
    if value in (AUTO, NO_LYRICS):
        return None if value == AUTO else NO_LYRICS
    hint = f"{AUTO}, {NO_LYRICS} or the text of an LRC, SubRip or WebVTT file"
    if not isinstance(value, str):
        raise _invalid("lyrics", value, hint)
    content = value.encode("utf-8", "replace")
    if len(content) > MAX_LYRICS_BYTES:
        raise _invalid("lyrics", value, f"at most {MAX_LYRICS_BYTES} bytes")
    if not parse_lyrics(content, lyrics_name(value)).lines:
        raise _invalid("lyrics", value, f"{hint}, which has times")
    return value


def _seconds(value: Any, *, name: str, low: float) -> float:
    seconds = parse_time(value, name)
    if not low <= seconds <= MAX_SECONDS:
        raise _invalid(name, value, f"{low:g} to {MAX_SECONDS} seconds")
    return seconds

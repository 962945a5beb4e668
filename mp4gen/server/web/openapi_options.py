"""The optional fields of a request for a video, for `/openapi.json`."""

from typing import Any

from mp4gen.render.looks import look_names
from mp4gen.render.options import BACKGROUNDS, COLOUR_PATTERN
from mp4gen.render.presets import PRESETS
from mp4gen.server.rendering.video_options import ASPECT_RATIOS, NO_LYRICS

from .video_fields import (
    AUTO,
    MAX_LYRICS_BYTES,
    MAX_SECONDS,
    MAX_TITLE_LENGTH,
    MIN_LENGTH,
)

# No control characters, and not only spaces.
_CONTROLS = r"\u0000-\u001f\u007f-\u009f"
NON_BLANK = rf"[^{_CONTROLS}]*[^\s{_CONTROLS}][^{_CONTROLS}]*"
_CLOCK = r"^(([0-9]{1,2}:)?[0-5]?[0-9]:[0-5]?[0-9]|[0-9]{1,5})(\.[0-9]{1,9})?$"


def option_schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of each field; none is required, and null or "" means no field."""
    return {name: _optional(text, *schemas) for name, (text, *schemas) in _fields().items()}


def _fields() -> dict[str, tuple[Any, ...]]:
    lyrics = f"{AUTO} for those beside or in the music, {NO_LYRICS}, or the text of an LRC, SubRip "
    return {
        "aspectRatio": (
            "The shape, with the short side of the preset or of the server.",
            _one_of(*ASPECT_RATIOS),
        ),
        "look": ("The look.", _one_of(*look_names())),
        "background": (
            "The background: made of the cover's colours, the blurred cover, or a colour.",
            _one_of(*BACKGROUNDS),
            _text(pattern=f"^{COLOUR_PATTERN}$"),
        ),
        "accent": (
            "The main colour; by default from the picture.",
            _text(pattern=f"^{COLOUR_PATTERN}$"),
        ),
        "preset": (
            "The platform whose size and limits the video has; other fields win.",
            _one_of(*PRESETS),
        ),
        "title": (
            "Shown instead of the song's title.",
            _text(maxLength=MAX_TITLE_LENGTH, pattern=f"^{NON_BLANK}$"),
        ),
        "lyrics": (f"{lyrics} or WebVTT file with times.", _text(maxLength=MAX_LYRICS_BYTES)),
        "start": (
            "Where the video starts in the song: seconds, 1:15 or 1:02:03.5.",
            {"type": "number", "minimum": 0, "maximum": MAX_SECONDS},
            _text(pattern=_CLOCK),
        ),
        "length": (
            "The length of the video, in the same forms; by default up to the end.",
            {"type": "number", "minimum": MIN_LENGTH, "maximum": MAX_SECONDS},
            _text(pattern=_CLOCK),
        ),
    }


def _text(**limits: Any) -> dict[str, Any]:
    return {"type": "string", **limits}


def _one_of(*names: str) -> dict[str, Any]:
    return _text(enum=list(names))


def _optional(description: str, *schemas: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "anyOf": [*schemas, {"enum": [None, ""]}]}

"""Render music videos: an audio file in, an MP4 out.

Every call blocks. Nothing here knows of HTTP. Needs the `render` extra.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from .options import AudioInfo, RenderResult, RenderStyle
    from .pipeline import render_video
    from .stills import render_cover, render_frame
    from .tags import probe

__all__ = [
    "AudioInfo",
    "RenderResult",
    "RenderStyle",
    "probe",
    "render_cover",
    "render_frame",
    "render_video",
]

_MODULES = {
    "AudioInfo": "options",
    "RenderResult": "options",
    "RenderStyle": "options",
    "probe": "tags",
    "render_cover": "stills",
    "render_frame": "stills",
    "render_video": "pipeline",
}


def __getattr__(name: str) -> object:
    # Loaded on use: the options and the list of formats need no codecs.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("av", "mutagen", "numpy", "PIL"):
            raise
        raise ModuleNotFoundError(
            f"Missing package: {package}. Run: pip install 'mp4gen[render]'.",
            name=error.name,
        ) from None


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

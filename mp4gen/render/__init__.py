"""Render music videos: an audio file in, an MP4 out.

Every call blocks. Nothing here knows of HTTP. Needs the `render` extra.
"""

import typing

from mp4gen import lazy

if typing.TYPE_CHECKING:
    from .options import AudioInfo, RenderResult, RenderStyle
    from .pipeline import render_video
    from .song_cache import SongCache
    from .stills import render_cover, render_frame
    from .tags import probe

__all__ = [
    "AudioInfo",
    "RenderResult",
    "RenderStyle",
    "SongCache",
    "probe",
    "render_cover",
    "render_frame",
    "render_video",
]

if not typing.TYPE_CHECKING:
    # Loaded on use: the options and the list of formats need no codecs.
    _load, __dir__ = lazy.loader(
        __name__, __all__, ("options", "song_cache", "tags", "stills", "pipeline")
    )

    def __getattr__(name: str) -> object:
        try:
            return _load(name)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in ("av", "mutagen", "numpy", "PIL"):
                raise
            raise ModuleNotFoundError(
                f"Missing package: {package}. Run: pip install 'mp4gen[render]'.",
                name=error.name,
            ) from None

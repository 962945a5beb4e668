"""Music in, video out: draws what is heard and writes an MP4 that plays everywhere.

Blocking, and free of HTTP: it knows files, pictures and sound. Needs the `render` extra.
"""

from __future__ import annotations

from .render import render_cover, render_frame, render_video
from .tags import probe
from .values import AudioInfo, RenderResult, RenderStyle

__all__ = [
    "AudioInfo",
    "RenderResult",
    "RenderStyle",
    "probe",
    "render_cover",
    "render_frame",
    "render_video",
]

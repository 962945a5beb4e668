"""Render music videos: an audio file in, an MP4 out.

Every call blocks. Nothing here knows of HTTP. Needs the `render` extra.
"""

try:
    from .options import AudioInfo, RenderResult, RenderStyle
    from .pipeline import render_video
    from .stills import render_cover, render_frame
    from .tags import probe
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package not in ("av", "mutagen", "numpy", "PIL"):
        raise
    raise ModuleNotFoundError(
        f"Missing package: {package}. Run: pip install 'mp4gen[render]'.",
        name=error.name,
    ) from None

__all__ = [
    "AudioInfo",
    "RenderResult",
    "RenderStyle",
    "probe",
    "render_cover",
    "render_frame",
    "render_video",
]

"""The options for how videos look, of `mp4gen render` and `mp4gen serve`; renders nothing."""

from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from mp4gen.render import RenderStyle
from mp4gen.render.options import DEFAULT_STYLE, Quality

from .exit_codes import UsageError


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class VideoOptions:
    """How videos look; each option is a field of `RenderStyle`."""

    size: Annotated[
        str,
        Parameter(help="Width x height, at most 3840x2160; also for portrait and square videos."),
    ] = f"{DEFAULT_STYLE.width}x{DEFAULT_STYLE.height}"
    fps: Annotated[
        str,
        Parameter(help="Frames per second, 24 to 60, for instance 29.97 or 30000/1001."),
    ] = str(DEFAULT_STYLE.fps)
    quality: Annotated[
        Quality,
        Parameter(
            help="Encoding: fine makes the same pictures in smaller files and needs more time."
        ),
    ] = DEFAULT_STYLE.quality
    qp: Annotated[
        int,
        Parameter(help="Quantizer, 16 (best quality) to 36 (smallest file)."),
    ] = DEFAULT_STYLE.qp
    font: Annotated[
        list[Path] | None,
        Parameter(help="Font for characters that the bundled font lacks; repeatable."),
    ] = None

    def style(self) -> RenderStyle:
        """Return the style."""
        width, _, height = self.size.lower().partition("x")
        if not all(side.isascii() and side.isdecimal() for side in (width, height)):
            raise UsageError(
                f"Invalid size: {self.size!r}. Use width x height, for instance 1280x720."
            )
        return RenderStyle(
            width=int(width),
            height=int(height),
            fps=self.fps,
            quality=self.quality,
            qp=self.qp,
            fonts=tuple(map(str, self.font or ())),
        )


DEFAULT_VIDEO_OPTIONS = VideoOptions()

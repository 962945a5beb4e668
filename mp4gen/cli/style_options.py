"""The options for how videos look, of `mp4gen render` and `mp4gen serve`; renders nothing."""

from pathlib import Path
from typing import Annotated, Any

import attrs
from cyclopts import Parameter

from mp4gen.render import RenderStyle
from mp4gen.render.looks import OWN_LOOKS
from mp4gen.render.options import DEFAULT_STYLE, Quality
from mp4gen.render.presets import PRESETS

from .arguments import expand_user_text
from .exit_codes import UsageError

PRESET_HELP = f"Size, limits and audio of a platform: {', '.join(PRESETS)}. Other options win."
_SIZE = f"{DEFAULT_STYLE.width}x{DEFAULT_STYLE.height}"


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class StyleOptions:
    """How videos look; each option is a field of `RenderStyle`, and None its default."""

    look: Annotated[
        str | None,
        Parameter(
            show_default=DEFAULT_STYLE.look,
            help=f"Look: {', '.join(OWN_LOOKS)}, or that of an installed package.",
        ),
    ] = None
    background: Annotated[
        str | None,
        Parameter(
            show_default=DEFAULT_STYLE.background,
            help="Background: auto (the cover's colours), blur (the cover, blurred), a colour such "
            "as #1d2b53, or a picture.",
        ),
    ] = None
    accent: Annotated[
        str | None,
        Parameter(show_default="from the picture", help="Main colour, such as #ff8800."),
    ] = None
    font: Annotated[Path | None, Parameter(help="Font file for all words.")] = None
    fallback_font: Annotated[
        list[Path] | None,
        Parameter(help="Font for characters that the bundled font lacks; repeatable."),
    ] = None
    logo: Annotated[
        Path | None, Parameter(help="PNG with transparency for a corner of the video.")
    ] = None
    size: Annotated[
        str | None,
        Parameter(
            show_default=_SIZE,
            help="Width x height, at most 3840x2160; also for portrait and square videos.",
        ),
    ] = None
    fps: Annotated[
        str | None,
        Parameter(
            show_default=str(DEFAULT_STYLE.fps),
            help="Frames per second, 24 to 60, for instance 29.97 or 30000/1001.",
        ),
    ] = None
    quality: Annotated[
        Quality | None,
        Parameter(
            show_default=DEFAULT_STYLE.quality,
            help="Encoding: fine makes the same pictures in smaller files and needs more time.",
        ),
    ] = None
    qp: Annotated[
        int | None,
        Parameter(
            show_default=str(DEFAULT_STYLE.qp),
            help="Quantizer, 16 (best quality) to 36 (smallest file).",
        ),
    ] = None

    def style(self, preset: str | None = None) -> RenderStyle:
        """Return the style; the options win over the preset.

        Raises:
            UsageError: The size is invalid.
            RenderError: Another option is invalid.
        """
        options: dict[str, Any] = {
            "look": self.look,
            "background": self.background and expand_user_text(self.background),
            "accent": self.accent,
            "font": self.font,
            "fonts": tuple(map(str, self.fallback_font or ())),
            "logo": self.logo,
            "fps": self.fps,
            "quality": self.quality,
            "qp": self.qp,
        } | self._size()
        fields = {name: value for name, value in options.items() if value is not None}
        if preset is None:
            return RenderStyle(**fields)
        return RenderStyle.preset(preset, **fields)

    def _size(self) -> dict[str, int]:
        if self.size is None:
            return {}
        width, _, height = self.size.lower().partition("x")
        if not all(side.isascii() and side.isdecimal() for side in (width, height)):
            raise UsageError(
                f"Invalid size: {self.size!r}. Use width x height, for instance 1280x720."
            )
        return {"width": int(width), "height": int(height)}

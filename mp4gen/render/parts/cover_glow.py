"""Draw the light of the beat around the cover, in a few levels that are drawn once."""

from collections.abc import Iterator, Sequence

import numpy as np

from mp4gen.render import background
from mp4gen.render.canvas import Canvas, crop
from mp4gen.render.colour import Floats, Planes, rgb_to_yuv420
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run

from .updates import light_levels

GLOW_REACH, GLOW_OPACITY, GLOW_FALLOFF, GLOW_LEVELS = 32, 0.5, 1.5, 8


class CoverGlow:
    """A ring of light around a square cover with round corners.

    Args:
        stage: where to draw.
        cover: the square.
        colour: sRGB.
        limit_below: an even row at which the light has faded out.
    """

    def __init__(self, stage: Stage, cover: Box, colour: Floats, limit_below: int) -> None:
        layout = stage.spec.layout
        radius, reach = layout.px(background.CORNER_RADIUS), layout.px(GLOW_REACH)
        grown = cover.expanded(reach, layout.width, layout.height)
        box = Box(grown.left, grown.top, grown.right, min(grown.bottom, limit_below))
        area = stage.pixels[box.slices]
        halo = _halo(box, cover, radius, reach) * _fade_below(box, cover, limit_below)
        strength = (halo * np.float32(GLOW_OPACITY))[..., None]
        glowing = rgb_to_yuv420(area + (colour - area) * strength)
        top, bottom = -(-(cover.top + radius) // 2) * 2, (cover.bottom - radius) // 2 * 2
        left, right = -(-cover.left // 2) * 2, cover.right // 2 * 2
        self.boxes: Sequence[Box] = (
            Box(box.left, box.top, box.right, top),
            Box(box.left, bottom, box.right, box.bottom),
            Box(box.left, top, left, bottom),
            Box(right, top, box.right, bottom),
        )
        self._parts = [
            _levels(stage.canvas, part, crop(glowing, part.relative_to(box))) for part in self.boxes
        ]
        self._level = 0

    def draw_frames(self, run: Run, slow_updates: Flags) -> Iterator[None]:
        """Draw the light of each frame; it gets dimmer in the frames of `slow_updates` only."""
        for level in light_levels(run.glows, slow_updates, GLOW_LEVELS, self._level):
            if level != self._level:
                self._show(level)
            yield

    def _show(self, level: int) -> None:
        self._level = level
        for views, levels in self._parts:
            for view, drawn in zip(views, levels[level], strict=True):
                view[:] = drawn


def _levels(canvas: Canvas, box: Box, lit: Planes) -> tuple[Planes, list[Planes]]:
    """Return a box of the canvas, and its pixels from dark to lit in `GLOW_LEVELS` steps."""
    dark = canvas.view(box)
    ends = [tuple(end.astype(np.float32) for end in pair) for pair in zip(dark, lit, strict=True)]
    levels: list[Planes] = []
    for share in np.linspace(0, 1, GLOW_LEVELS + 1, dtype=np.float32):
        luma, blue, red = (np.rint(off + (on - off) * share).astype(np.uint8) for off, on in ends)
        levels.append((luma, blue, red))
    return dark, levels


def _fade_below(box: Box, cover: Box, limit: int) -> Floats:
    """Return 1 down to the cover's lower edge, then a fade to 0 at the limit."""
    rows = np.arange(box.top, box.bottom, dtype=np.float32)
    fade: Floats = np.clip((limit - rows) / np.float32(max(limit - cover.bottom, 1)), 0, 1)
    return fade[:, None]


def _halo(box: Box, cover: Box, radius: float, reach: float) -> Floats:
    """Return light that falls off with the distance from the cover, with none on the cover."""
    middle_x, middle_y = (cover.left + cover.right) / 2, (cover.top + cover.bottom) / 2
    x = np.abs(np.arange(box.left, box.right) + 0.5 - middle_x) - (cover.width / 2 - radius)
    y = np.abs(np.arange(box.top, box.bottom) + 0.5 - middle_y) - (cover.height / 2 - radius)
    distance = background.edge_distance(x, y, radius)
    fade = np.clip(1 - distance / reach, 0, 1) ** GLOW_FALLOFF
    light: Floats = (fade * np.clip(distance + 0.5, 0, 1)).astype(np.float32)
    return light

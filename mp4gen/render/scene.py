"""The picture of one moment: draws on planes only what changed since the last; no codec, no files.

Every part is told its whole state each time, so a moment can be drawn without those before it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from attrs import frozen
from PIL import Image

from . import background
from .bars import Bars
from .canvas import Canvas, Planes
from .colour import Accent, Floats, rgb_to_yuv420
from .layout import Box, Layout
from .progress import ProgressLine, draw_line, progress_rows
from .text import Line, Typesetter

TITLE_OPACITY, HERO_OPACITY, QUIET_OPACITY, WATERMARK_OPACITY = 0.96, 0.98, 0.75, 0.55
TRACK_OPACITY, DONE_OPACITY = 0.18, 0.88
# An author without a title takes the title's place, and is quiet at so much of the usual size.
AUTHOR_ONLY_SCALE = 1.2
OPENING_SECONDS, SETTLE_SECONDS = 4.0, 0.6
GLOW_REACH, GLOW_OPACITY, GLOW_LEVELS = 36, 0.55, 8
# Soft light, reflections and the slow line follow this often a second: each change costs the
# encoder blocks, hundreds of them for light, and nobody sees a faint one sooner.
SLOW_UPDATE_HZ = 10


@frozen(eq=False)
class SceneSpec:
    """What the picture is made of.

    Attributes:
        layout: where everything stands.
        cover: sRGB floats, as large as the layout's cover.
        accent: the track's colour.
        title: cleaned, or "".
        author: cleaned, or "".
        domain_name: cleaned, or "".
        fps: frames per second.
        frame_count: pictures in all.
    """

    layout: Layout
    cover: Floats
    accent: Accent
    title: str
    author: str
    domain_name: str
    fps: int
    frame_count: int


class Scene:
    """Draws a track's pictures on one canvas, in runs that may begin anywhere."""

    def __init__(self, spec: SceneSpec, canvas: Canvas, typesetter: Typesetter) -> None:
        layout = spec.layout
        background_pixels = background.draw_background(spec.cover, layout)
        background.draw_cover(background_pixels, spec.cover, layout)
        _watermark(background_pixels, spec, typesetter)
        title_block = _TitleBlock(background_pixels, spec, canvas, typesetter)
        done = background_pixels[progress_rows(layout)].copy()
        draw_line(background_pixels[progress_rows(layout)], layout, TRACK_OPACITY)
        draw_line(done, layout, DONE_OPACITY)
        canvas.put(Box(0, 0, layout.width, layout.height), rgb_to_yuv420(background_pixels))
        colours = spec.accent.sweep(layout.bar_lefts.size)
        self._frame_count = max(spec.frame_count, 1)
        self._slow_interval = max(round(spec.fps / SLOW_UPDATE_HZ), 1)
        self._drawn = False
        self._title_block = title_block
        self._progress = ProgressLine(canvas, layout, rgb_to_yuv420(done))
        self._bars = Bars(canvas, background_pixels, layout, colours)
        self._glow = _Glow(canvas, background_pixels, layout, colours[colours.shape[0] // 4])

    def draw_frames(self, first: int, heights: Floats, glows: Floats) -> Iterator[int]:
        """Bring the canvas to one picture after the other; gives the number of each.

        Args:
            first: the first picture's number.
            heights: (pictures, bars), from 0 to 1.
            glows: (pictures,), from 0 to 1.
        """
        frames = np.arange(first, first + glows.size)
        slow_updates = (frames % self._slow_interval == 0) | (frames + 1 >= self._frame_count)
        slow_updates[0] |= not self._drawn
        parts = (
            self._bars.draw_frames(heights, slow_updates),
            self._progress.draw_frames((frames + 1) / self._frame_count, slow_updates),
        )
        moments = zip(frames.tolist(), glows.tolist(), slow_updates.tolist(), *parts, strict=True)
        for frame, glow, slow_update, *_ in moments:
            self._drawn = True
            self._title_block.draw(frame)
            self._glow.draw(glow, allow_dimming=slow_update)
            yield frame


def _watermark(background_pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
    if not spec.domain_name:
        return
    layout = spec.layout
    max_width = layout.width - 2 * layout.progress.left
    text, size = typesetter.fit(spec.domain_name, max(17 * layout.unit, 8), "medium", max_width)
    line = typesetter.line(text, size, "medium")
    left = (layout.width - line.advance) / 2
    background.draw_text(background_pixels, line, left, layout.watermark_base, WATERMARK_OPACITY)


class _TitleBlock:
    """Title and author: the author large at first, then settling into a quiet size."""

    def __init__(
        self, background_pixels: Floats, spec: SceneSpec, canvas: Canvas, typesetter: Typesetter
    ) -> None:
        layout, design = spec.layout, spec.layout.design
        self._layout, self._canvas = layout, canvas
        # A short clip is not all opening.
        opening = min(OPENING_SECONDS, spec.frame_count / spec.fps / 2)
        self._settled = round(opening * spec.fps)
        self._start = max(self._settled - round(SETTLE_SECONDS * spec.fps), 0)
        self._drawn_progress = -1.0
        unit, max_width = layout.unit, layout.text_box.width
        base = float(layout.title_base)
        hero_size, quiet_size = design.hero_size * unit, design.author_size * unit
        hero_base, quiet_base = base + design.hero_step * unit, base + design.author_step * unit
        if spec.title:
            text, size = typesetter.fit(spec.title, design.title_size * unit, "semibold", max_width)
            self._put(
                background_pixels, typesetter.line(text, size, "semibold"), base, TITLE_OPACITY
            )
        else:
            hero_size, quiet_size = (
                design.title_size * unit,
                AUTHOR_ONLY_SCALE * design.author_size * unit,
            )
            hero_base = quiet_base = base
        text, fitted = typesetter.fit(spec.author, hero_size, "regular", max_width)
        self._hero = typesetter.line(text, fitted, "regular")
        quiet = min(quiet_size, fitted)
        self._quiet = typesetter.line(text, quiet, "regular")
        self._bases = hero_base, quiet_base
        self._shrunk = quiet / fitted
        self._box = box = self._reach()
        self._background = background_pixels[box.top : box.bottom, box.left : box.right].copy()

    def draw(self, frame: int) -> None:
        """Draw the words of a picture; nothing where they stand still."""
        steps = max(self._settled - self._start, 1)
        done = min(max((frame - self._start) / steps, 0.0), 1.0)
        if done == self._drawn_progress:
            return
        self._drawn_progress = done
        eased = done * done * (3 - 2 * done)
        area = self._background.copy()
        opacity = HERO_OPACITY + (QUIET_OPACITY - HERO_OPACITY) * eased
        base = self._bases[0] + (self._bases[1] - self._bases[0]) * eased
        if eased == 1.0:
            self._put_in(area, self._quiet, base, opacity)
        else:
            self._put_in(area, self._scaled(1 + (self._shrunk - 1) * eased), base, opacity)
        self._canvas.put(self._box, rgb_to_yuv420(area))

    def _reach(self) -> Box:
        """All that the author's line touches on its way from the opening's place to its own."""
        text_box = self._layout.text_box
        lines = self._hero, self._quiet
        rows = [round(base) - line.origin[1] for base, line in zip(self._bases, lines, strict=True)]
        ends = [row + line.pixels.shape[0] for row, line in zip(rows, lines, strict=True)]
        box = Box(
            text_box.left,
            max(min(rows), text_box.top),
            text_box.right,
            min(max(ends), text_box.bottom),
        )
        return box.expanded(0, self._layout.width, self._layout.height)

    def _scaled(self, scale: float) -> Line:
        if scale == 1.0:
            return self._hero
        image, (x, y) = Image.fromarray(self._hero.pixels), self._hero.origin
        back = 1 / scale
        # The pen's start stays where it is; the rest shrinks towards it.
        moved = image.transform(
            image.size,
            Image.Transform.AFFINE,
            (back, 0, x - x * back, 0, back, y - y * back),
            Image.Resampling.BICUBIC,
        )
        return Line(np.asarray(moved), (x, y), self._hero.advance * scale)

    def _left(self, line: Line) -> float:
        if self._layout.design.text_beside_cover:
            return float(self._layout.text_box.left)
        return (self._layout.width - line.advance) / 2

    def _put(self, pixels: Floats, line: Line, base: float, opacity: float) -> None:
        background.draw_text(pixels, line, self._left(line), base, opacity)

    def _put_in(self, area: Floats, line: Line, base: float, opacity: float) -> None:
        box = self._box
        left = self._left(line) - box.left
        background.draw_text(area, line, left, base - box.top, opacity)


class _Glow:
    """A ring of light round the cover, in a few levels that are drawn once."""

    def __init__(
        self, canvas: Canvas, background_pixels: Floats, layout: Layout, colour: Floats
    ) -> None:
        cover, radius = layout.cover, layout.px(20)
        grown = cover.expanded(layout.px(GLOW_REACH), layout.width, layout.height)
        box = Box(grown.left, grown.top, grown.right, min(grown.bottom, _limit_below(layout)))
        area = background_pixels[box.top : box.bottom, box.left : box.right]
        light = _halo(box, cover, radius, layout.px(GLOW_REACH)) * _fade_below(layout, box)
        strength = (light * np.float32(GLOW_OPACITY))[..., None]
        glowing = rgb_to_yuv420(area + (colour - area) * strength)
        inner = Box(cover.left + radius, cover.top + radius, cover.right, cover.bottom)
        top, bottom = -(-inner.top // 2) * 2, (cover.bottom - radius) // 2 * 2
        left, right = -(-cover.left // 2) * 2, cover.right // 2 * 2
        self._parts: list[tuple[Planes, list[Planes]]] = []
        for part in (
            Box(box.left, box.top, box.right, top),
            Box(box.left, bottom, box.right, box.bottom),
            Box(box.left, top, left, bottom),
            Box(right, top, box.right, bottom),
        ):
            self._parts.append(_levels(canvas, glowing, box, part))
        self._level = 0

    def draw(self, glow: float, *, allow_dimming: bool = True) -> None:
        """Draw the ring, from 0 (none) to 1; brighter at once, darker where it may fall."""
        # Rounded down: the last of a glow is not seen, and would cost as much as the rest.
        level = int(glow * GLOW_LEVELS + 1e-3)
        if level == self._level or (level < self._level and not allow_dimming):
            return
        self._level = level
        for views, levels in self._parts:
            for view, drawn in zip(views, levels[level], strict=True):
                view[:] = drawn


def _levels(canvas: Canvas, glowing: Planes, box: Box, part: Box) -> tuple[Planes, list[Planes]]:
    views = canvas.view(part)
    glow_canvas = Canvas(
        box.width, box.height, (glowing[0].ravel(), glowing[1].ravel(), glowing[2].ravel())
    )
    inside = Box(
        part.left - box.left, part.top - box.top, part.right - box.left, part.bottom - box.top
    )
    ends = [
        (view.astype(np.float32), lit.astype(np.float32))
        for view, lit in zip(views, glow_canvas.view(inside), strict=True)
    ]
    levels: list[Planes] = []
    for level in range(GLOW_LEVELS + 1):
        share = np.float32(level / GLOW_LEVELS)
        luma, blue, red = (np.rint(off + (on - off) * share).astype(np.uint8) for off, on in ends)
        levels.append((luma, blue, red))
    return views, levels


def _limit_below(layout: Layout) -> int:
    """The row at which the light must end: what stands below draws itself without it."""
    below = layout.bars_base - layout.bars_height
    if not layout.design.text_beside_cover:
        below = min(below, layout.text_box.top)
    return max(below, layout.cover.bottom) // 2 * 2


def _fade_below(layout: Layout, box: Box) -> Floats:
    """1 down to the cover's lower edge, then fading to 0 at the limit."""
    rows = np.arange(box.top, box.bottom, dtype=np.float32)
    fade_height = max(_limit_below(layout) - layout.cover.bottom, 1)
    fade: Floats = np.clip((_limit_below(layout) - rows) / np.float32(fade_height), 0, 1)[:, None]
    return fade


def _halo(box: Box, cover: Box, radius: float, reach: float) -> Floats:
    """Light falling off with the distance from the cover's edge; none on the cover itself."""
    middle_x, middle_y = (cover.left + cover.right) / 2, (cover.top + cover.bottom) / 2
    x = np.abs(np.arange(box.left, box.right) + 0.5 - middle_x) - (cover.width / 2 - radius)
    y = np.abs(np.arange(box.top, box.bottom) + 0.5 - middle_y) - (cover.height / 2 - radius)
    outside = np.hypot(np.maximum(x, 0)[None], np.maximum(y, 0)[:, None])
    distance = outside + np.minimum(np.maximum(x[None], y[:, None]), 0) - radius
    fade = np.exp(-((np.maximum(distance, 0) / (reach * 0.42)) ** 2))
    edge = np.clip(1 - distance / reach, 0, 1)
    light: Floats = (fade * edge * np.clip(distance + 0.5, 0, 1)).astype(np.float32)
    return light

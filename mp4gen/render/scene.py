"""Draw frames: on each, only what changed since the last. Knows no codec and no files.

Every part gets its complete state each time, so any frame can be drawn without those before it.
"""

from collections.abc import Iterator

import numpy as np
from attrs import frozen
from PIL import Image

from . import background
from .bars import Bars
from .canvas import Canvas, crop
from .colour import Accent, Floats, Planes, rgb_to_yuv420
from .layout import BLOCK, Box, Layout
from .options import FrameRate
from .progress import ProgressLine, draw_line, progress_box
from .text import Line, Typesetter

TITLE_OPACITY, HERO_OPACITY, QUIET_OPACITY, WATERMARK_OPACITY = 0.96, 0.98, 0.75, 0.55
TRACK_OPACITY, DONE_OPACITY = 0.18, 0.88
# An author without a title takes the title's place; its quiet size is larger by this factor.
AUTHOR_ONLY_SCALE = 1.2
OPENING_SECONDS, SETTLE_SECONDS = 4.0, 0.6
GLOW_REACH, GLOW_OPACITY, GLOW_FALLOFF, GLOW_LEVELS = 32, 0.5, 1.5, 8
# Updates per second of dimming light, reflections and the progress line. Each makes the encoder
# code blocks again, hundreds for light; faster updates of faint parts would not be visible.
SLOW_UPDATE_HZ = 10


@frozen(eq=False)
class SceneSpec:
    """The content of a video's frames: sanitized texts, and a cover as large as the layout's."""

    layout: Layout
    cover: Floats
    accent: Accent
    title: str
    author: str
    domain_name: str
    fps: FrameRate
    frame_count: int


class Scene:
    """Draws a track's frames on one canvas, in runs that may begin anywhere."""

    def __init__(self, spec: SceneSpec, canvas: Canvas, typesetter: Typesetter) -> None:
        layout = spec.layout
        pixels = background.draw_background(spec.cover, spec.accent, layout)
        background.draw_cover(pixels, spec.cover, layout)
        _draw_watermark(pixels, spec, typesetter)
        self._title_block = _TitleBlock(pixels, spec, canvas, typesetter)
        line = pixels[progress_box(layout).slices]
        done = line.copy()
        draw_line(line, layout, TRACK_OPACITY)
        draw_line(done, layout, DONE_OPACITY)
        canvas.put(Box(0, 0, layout.width, layout.height), rgb_to_yuv420(pixels))
        colours = spec.accent.sweep(layout.bar_lefts.size)
        self._frame_count = max(spec.frame_count, 1)
        self._slow_interval = max(round(spec.fps / SLOW_UPDATE_HZ), 1)
        self._drawn = False
        self._progress = ProgressLine(canvas, layout, rgb_to_yuv420(done))
        self._bars = Bars(canvas, pixels, layout, colours)
        self._glow = _Glow(canvas, pixels, layout, colours[colours.shape[0] // 4])

    def independent_frame(self, number: int) -> int:
        """Return the last frame up to `number` that is the same whatever was drawn before it."""
        return number - number % self._slow_interval

    def draw_frames(self, first: int, heights: Floats, glows: Floats) -> Iterator[int]:
        """Draw the frames from number `first`, and yield the number of each.

        `heights` (frames, bars) and `glows` (frames,) are from 0 to 1.
        """
        frames = np.arange(first, first + glows.size)
        slow_updates = (frames % self._slow_interval == 0) | (frames + 1 >= self._frame_count)
        slow_updates[0] |= not self._drawn
        parts = (
            self._bars.draw_frames(heights, slow_updates),
            self._progress.draw_frames((frames + 1) / self._frame_count, slow_updates),
        )
        states = zip(frames.tolist(), glows.tolist(), slow_updates.tolist(), *parts, strict=True)
        for frame, glow, slow_update, *_ in states:
            self._drawn = True
            self._title_block.draw(frame)
            self._glow.draw(glow, allow_dimming=slow_update)
            yield frame


def _draw_watermark(pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
    if not spec.domain_name:
        return
    layout = spec.layout
    max_width = layout.width - 2 * layout.progress.left
    text, size = typesetter.fit(spec.domain_name, max(17 * layout.unit, 8), "medium", max_width)
    line = typesetter.line(text, size, "medium")
    left = (layout.width - line.advance) / 2
    background.draw_text(pixels, line, left, layout.watermark_base, WATERMARK_OPACITY)


class _TitleBlock:
    """Title and author: the author large at first, then at a quiet size."""

    def __init__(
        self, pixels: Floats, spec: SceneSpec, canvas: Canvas, typesetter: Typesetter
    ) -> None:
        layout, design = spec.layout, spec.layout.design
        self._layout, self._canvas = layout, canvas
        # At most half of a short clip is opening.
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
            title = typesetter.line(text, size, "semibold")
            background.draw_text(pixels, title, self._left(title), base, TITLE_OPACITY)
        else:
            hero_size = design.title_size * unit
            quiet_size = AUTHOR_ONLY_SCALE * design.author_size * unit
            hero_base = quiet_base = base
        text, fitted = typesetter.fit(spec.author, hero_size, "regular", max_width)
        self._hero = typesetter.line(text, fitted, "regular")
        quiet = min(quiet_size, fitted)
        self._quiet = typesetter.line(text, quiet, "regular")
        self._bases = hero_base, quiet_base
        self._shrunk = quiet / fitted
        self._box = self._author_box()
        self._background = pixels[self._box.slices].copy()

    def draw(self, frame: int) -> None:
        """Draw the author of a frame, if it has moved."""
        steps = max(self._settled - self._start, 1)
        done = min(max((frame - self._start) / steps, 0.0), 1.0)
        if done == self._drawn_progress:
            return
        self._drawn_progress = done
        eased = done * done * (3 - 2 * done)
        area = self._background.copy()
        opacity = HERO_OPACITY + (QUIET_OPACITY - HERO_OPACITY) * eased
        base = self._bases[0] + (self._bases[1] - self._bases[0]) * eased
        line = self._quiet if eased == 1.0 else self._scaled(1 + (self._shrunk - 1) * eased)
        left = self._left(line) - self._box.left
        background.draw_text(area, line, left, base - self._box.top, opacity)
        self._canvas.put(self._box, rgb_to_yuv420(area))

    def _author_box(self) -> Box:
        """Return the box of all pixels that the author touches during and after the opening."""
        text_box = self._layout.text_box
        lines = self._hero, self._quiet
        rows = [round(base) - line.origin[1] for base, line in zip(self._bases, lines, strict=True)]
        ends = [row + line.pixels.shape[0] for row, line in zip(rows, lines, strict=True)]
        top, bottom = max(min(rows), text_box.top), min(max(ends), text_box.bottom)
        box = Box(text_box.left, top, text_box.right, bottom)
        return box.expanded(0, self._layout.width, self._layout.height)

    def _scaled(self, scale: float) -> Line:
        if scale == 1.0:
            return self._hero
        image, (x, y) = Image.fromarray(self._hero.pixels), self._hero.origin
        back = 1 / scale
        # The line shrinks towards its start.
        matrix = (back, 0, x - x * back, 0, back, y - y * back)
        affine, smooth = Image.Transform.AFFINE, Image.Resampling.BICUBIC
        moved = image.transform(image.size, affine, matrix, smooth)
        return Line(np.asarray(moved), (x, y), self._hero.advance * scale)

    def _left(self, line: Line) -> float:
        if self._layout.design.text_beside_cover:
            return float(self._layout.text_box.left)
        return (self._layout.width - line.advance) / 2


class _Glow:
    """A ring of light around the cover, in a few levels that are drawn once."""

    def __init__(self, canvas: Canvas, pixels: Floats, layout: Layout, colour: Floats) -> None:
        cover, radius = layout.cover, layout.px(20)
        grown = cover.expanded(layout.px(GLOW_REACH), layout.width, layout.height)
        box = Box(grown.left, grown.top, grown.right, min(grown.bottom, _limit_below(layout)))
        area = pixels[box.slices]
        halo = _halo(box, cover, radius, layout.px(GLOW_REACH)) * _fade_below(layout, box)
        strength = (halo * np.float32(GLOW_OPACITY))[..., None]
        glowing = rgb_to_yuv420(area + (colour - area) * strength)
        top, bottom = -(-(cover.top + radius) // 2) * 2, (cover.bottom - radius) // 2 * 2
        left, right = -(-cover.left // 2) * 2, cover.right // 2 * 2
        parts = (
            Box(box.left, box.top, box.right, top),
            Box(box.left, bottom, box.right, box.bottom),
            Box(box.left, top, left, bottom),
            Box(right, top, box.right, bottom),
        )
        views = [canvas.view(part) for part in parts]
        lit = [crop(glowing, part.relative_to(box)) for part in parts]
        self._parts = [(view, _levels(view, light)) for view, light in zip(views, lit, strict=True)]
        self._level = 0

    def draw(self, glow: float, *, allow_dimming: bool = True) -> None:
        """Draw the ring, from 0 (none) to 1; dimmer only if `allow_dimming`."""
        # Rounded down: the faintest level is not visible, but would cost as much as the others.
        level = int(glow * GLOW_LEVELS + 1e-3)
        if level == self._level or (level < self._level and not allow_dimming):
            return
        self._level = level
        for views, levels in self._parts:
            for view, drawn in zip(views, levels[level], strict=True):
                view[:] = drawn


def _levels(dark: Planes, lit: Planes) -> list[Planes]:
    """Blend the planes from dark to lit in `GLOW_LEVELS` steps."""
    ends = [tuple(end.astype(np.float32) for end in pair) for pair in zip(dark, lit, strict=True)]
    levels: list[Planes] = []
    for share in np.linspace(0, 1, GLOW_LEVELS + 1, dtype=np.float32):
        luma, blue, red = (np.rint(off + (on - off) * share).astype(np.uint8) for off, on in ends)
        levels.append((luma, blue, red))
    return levels


def _limit_below(layout: Layout) -> int:
    """Return the row at which the light must end, because the parts below draw over it."""
    below = layout.bars_base - layout.bars_height
    if not layout.design.text_beside_cover:
        below = min(below, layout.text_box.top)
    aligned = below // BLOCK * BLOCK
    if aligned >= layout.cover.bottom + BLOCK:
        return aligned
    return max(below, layout.cover.bottom) // 2 * 2


def _fade_below(layout: Layout, box: Box) -> Floats:
    """Return 1 down to the cover's lower edge, then a fade to 0 at the limit."""
    rows = np.arange(box.top, box.bottom, dtype=np.float32)
    limit = _limit_below(layout)
    height = np.float32(max(limit - layout.cover.bottom, 1))
    fade: Floats = np.clip((limit - rows) / height, 0, 1)[:, None]
    return fade


def _halo(box: Box, cover: Box, radius: float, reach: float) -> Floats:
    """Return light that falls off with the distance from the cover, with none on the cover."""
    middle_x, middle_y = (cover.left + cover.right) / 2, (cover.top + cover.bottom) / 2
    x = np.abs(np.arange(box.left, box.right) + 0.5 - middle_x) - (cover.width / 2 - radius)
    y = np.abs(np.arange(box.top, box.bottom) + 0.5 - middle_y) - (cover.height / 2 - radius)
    distance = background.edge_distance(x, y, radius)
    fade = np.clip(1 - distance / reach, 0, 1) ** GLOW_FALLOFF
    light: Floats = (fade * np.clip(distance + 0.5, 0, 1)).astype(np.float32)
    return light

"""Draw the author: large at first, then quiet under the title, and bright again at the end."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from mp4gen.render import background
from mp4gen.render.colour import rgb_to_yuv420
from mp4gen.render.easing import ease
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run, ending_of
from mp4gen.render.text import Line

from .words import HERO_OPACITY, QUIET_OPACITY, fit_author, text_left

OPENING_SECONDS, SETTLE_SECONDS = 4.0, 0.6


class TitleBlock:
    """The author during and after the opening."""

    def __init__(self, stage: Stage) -> None:
        spec, words = stage.spec, stage.spec.layout.words
        self._width, self._words, self._canvas = spec.layout.width, words, stage.canvas
        # At most half of a short clip is opening.
        opening = min(OPENING_SECONDS, spec.frame_count / spec.fps / 2)
        self._settled = round(opening * spec.fps)
        self._start = max(self._settled - round(SETTLE_SECONDS * spec.fps), 0)
        self._ending = ending_of(spec.frame_count, spec.fps)
        self._brighten = max(round(SETTLE_SECONDS * spec.fps), 1)
        self._drawn = -1.0, -1.0
        author = fit_author(spec, stage.typesetter)
        self._bases = author.hero_base, author.quiet_base
        self._hero = stage.typesetter.line(author.text, author.hero_size, "regular")
        self._quiet = stage.typesetter.line(author.text, author.quiet_size, "regular")
        self._shrunk = author.quiet_size / author.hero_size
        self._shadow = spec.background.text_shadow(author.quiet_size)
        self._box = self._author_box(spec.layout.height)
        # Without an author the words' place may be another part's.
        self.boxes: Sequence[Box] = (self._box,) if spec.author else ()
        self._background = stage.pixels[self._box.slices].copy()

    def draw_frames(self, run: Run, _slow_updates: Flags) -> Iterator[None]:
        """Draw the author in each frame in which it has moved, or is brighter for the ending."""
        settled = ease((run.frames - self._start) / max(self._settled - self._start, 1))
        ended = ease((run.frames + 1 - self._ending) / self._brighten)
        for state in zip(settled.tolist(), ended.tolist(), strict=True):
            if self.boxes and state != self._drawn:
                self._drawn = state
                self._draw(*state)
            yield

    def _draw(self, settled: float, ended: float) -> None:
        area = self._background.copy()
        opacity = HERO_OPACITY + (QUIET_OPACITY - HERO_OPACITY) * (settled - ended)
        base = self._bases[0] + (self._bases[1] - self._bases[0]) * settled
        line = self._quiet if settled == 1.0 else self._scaled(1 + (self._shrunk - 1) * settled)
        left = text_left(line.advance, self._words, self._width) - self._box.left
        top = base - self._box.top
        background.draw_text(area, line, left, top, opacity, shadow=self._shadow)
        self._canvas.put(self._box, rgb_to_yuv420(area))

    def _author_box(self, frame_height: int) -> Box:
        """Return the box of all pixels that the author touches during and after the opening."""
        words = self._words.box
        lines = self._hero, self._quiet
        rows = [round(base) - line.origin[1] for base, line in zip(self._bases, lines, strict=True)]
        ends = [row + line.pixels.shape[0] for row, line in zip(rows, lines, strict=True)]
        top, bottom = max(min(rows), words.top), min(max(ends), words.bottom)
        box = Box(words.left, top, words.right, max(bottom, top))
        return box.expanded(0, self._width, frame_height)

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

"""Draw the position and the length of the video, in figures of equal width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen

from mp4gen.render import background
from mp4gen.render.colour import Floats, rgb_to_yuv420
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, SceneSpec, Stage
from mp4gen.render.motion import Run
from mp4gen.render.scrim import TextPlace
from mp4gen.render.text import Typesetter
from mp4gen.render.times import clock

from .words import FAINT_CONTRAST

POSITION_OPACITY, LENGTH_OPACITY = 0.92, 0.60
_ASCENT, _DESCENT = 0.80, 0.25
_FIGURES = "0123456789"


@frozen
class TimePlace:
    """Where the times stand, in pixels: the position at the left, the length at the right."""

    left: int
    right: int
    base: int
    size: float


class TimeLabel:
    """The position, which changes once a second."""

    def __init__(self, stage: Stage, place: TimePlace) -> None:
        spec = stage.spec
        self._fps, self._place, self._canvas = spec.fps, place, stage.canvas
        self._figures = _figures(spec, place, stage.typesetter)
        width = self._figures.width(clock(_seconds(spec)))
        self._box = label_box(place, width, spec.layout.width, spec.layout.height)
        self.boxes: Sequence[Box] = (self._box,)
        self._background = stage.pixels[self._box.slices].copy()
        self._shown = -1

    def draw_frames(self, run: Run, _slow_updates: Flags) -> Iterator[None]:
        """Draw the position in each frame in which it has changed."""
        # In the last frame the whole video has been played.
        seconds = np.floor((run.frames + 1) / float(self._fps) + 1e-6).astype(np.int64)
        for second in seconds.tolist():
            if second != self._shown:
                self._shown = second
                self._draw(clock(second))
            yield

    def _draw(self, text: str) -> None:
        area, box = self._background.copy(), self._box
        place = self._place.left - box.left, self._place.base - box.top
        self._figures.draw(area, text, place, POSITION_OPACITY)
        self._canvas.put(box, rgb_to_yuv420(area))


def draw_length(pixels: Floats, spec: SceneSpec, place: TimePlace, typesetter: Typesetter) -> None:
    """Draw the length of the video, in place."""
    figures, text = _figures(spec, place, typesetter), clock(_seconds(spec))
    figures.draw(pixels, text, (place.right - figures.width(text), place.base), LENGTH_OPACITY)


def time_places(spec: SceneSpec, place: TimePlace) -> tuple[TextPlace, TextPlace]:
    """Return where position and length stand, and the contrast that they need."""
    # No figure is wider than this share of its size.
    width = round(0.65 * place.size * len(clock(_seconds(spec))))
    top, bottom = round(place.base - _ASCENT * place.size), round(place.base)
    position = Box(place.left, top, place.left + width, bottom)
    length = Box(place.right - width, top, place.right, bottom)
    return (
        TextPlace(position, POSITION_OPACITY, FAINT_CONTRAST),
        TextPlace(length, LENGTH_OPACITY, FAINT_CONTRAST),
    )


def label_box(place: TimePlace, text_width: float, width: int, height: int) -> Box:
    """Return the even box of the position in a frame of width x height."""
    top, bottom = place.base - _ASCENT * place.size, place.base + _DESCENT * place.size
    box = Box(place.left, round(top), round(place.left + text_width), round(bottom))
    return box.expanded(2, width, height)


class _Figures:
    """Lines of figures that share the width of the widest, so that no figure moves another."""

    def __init__(self, typesetter: Typesetter, size: float, shadow: float) -> None:
        self._shadow = shadow
        self._lines = {char: typesetter.line(char, size, "medium") for char in f"{_FIGURES}:"}
        self._cell = max(self._lines[char].advance for char in _FIGURES)

    def width(self, text: str) -> float:
        return sum(self._advance(char) for char in text)

    def draw(self, pixels: Floats, text: str, place: tuple[float, float], opacity: float) -> None:
        """Draw a text in place from (left, baseline)."""
        left, base = place
        for char in text:
            line = self._lines[char]
            middle = left + (self._advance(char) - line.advance) / 2
            background.draw_text(pixels, line, middle, base, opacity, shadow=self._shadow)
            left += self._advance(char)

    def _advance(self, char: str) -> float:
        return self._lines[char].advance if char == ":" else self._cell


def _figures(spec: SceneSpec, place: TimePlace, typesetter: Typesetter) -> _Figures:
    return _Figures(typesetter, place.size, spec.background.text_shadow(place.size))


def _seconds(spec: SceneSpec) -> int:
    return int(spec.frame_count / spec.fps + 1e-6)

"""Draw the frames of lyrics: three lines, of which the middle one is lit as it is sung."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

from mp4gen.render.canvas import SCALES
from mp4gen.render.colour import Floats, Planes, blend
from mp4gen.render.layout import Box, LyricPlaces
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run

from .pictures import Picture, changed_columns
from .plan import LyricsPlan
from .steps import StepDrawer
from .timing import FADE_SECONDS


class LyricsPart:
    """The lyrics of a video in their box.

    Args:
        stage: shows all that is still.
        plan: the lyrics.
        places: where they stand.
    """

    def __init__(self, stage: Stage, plan: LyricsPlan, places: LyricPlaces) -> None:
        self._schedule, self._fps = plan.schedule, float(stage.spec.fps)
        self.boxes: Sequence[Box] = (places.box,)
        self._view = stage.canvas.view(places.box)
        # A step is drawn for its own frames, and for the fade to the next one.
        self._shown = functools.lru_cache(maxsize=2)(StepDrawer(stage, plan, places).draw)
        self._state: tuple[int, float] = (-1, 1.0)
        self._shares: list[Floats] = []

    def draw_frames(self, run: Run, _slow_updates: Flags) -> Iterator[None]:
        """Draw the frames of a run, one a step."""
        for frame in run.frames.tolist():
            self._draw(frame / self._fps)
            yield

    def _draw(self, seconds: float) -> None:
        number = self._schedule.step_at(seconds)
        start = self._schedule.steps[number].start
        is_new = number and start > 0
        fade = min(max((seconds - start) / FADE_SECONDS, 0.0), 1.0) if is_new else 1.0
        shown = self._shown(number)
        shares = shown.shares_at(seconds)
        if (number, fade) != self._state:
            self._draw_all(number, fade, shown.picture.complete(shares), seconds)
        else:
            self._draw_change(shown.picture, shares)
        self._state, self._shares = (number, fade), shares

    def _draw_all(self, number: int, fade: float, planes: Planes, seconds: float) -> None:
        if fade < 1.0:
            old = self._shown(number - 1)
            planes = blend(old.picture.complete(old.shares_at(seconds)), planes, fade)
        for target, plane in zip(self._view, planes, strict=True):
            target[:] = plane

    def _draw_change(self, picture: Picture, shares: list[Floats]) -> None:
        first, end = changed_columns(self._shares, shares)
        if picture.box is None or end == first:
            return
        box = picture.box
        for index, area in enumerate(picture.lit(shares, first, end)):
            scale = SCALES[index]
            columns = slice(first // scale, end // scale)
            self._view[index][box.scaled_down(scale).slices][:, columns] = area

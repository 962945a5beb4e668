"""Draw a video with lyrics, in whose long gaps the look is shown as it is without lyrics."""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Iterator

from .analysis import Features
from .canvas import Canvas
from .colour import Planes, blend
from .layout import Box
from .looks.look import SceneSpec
from .lyrics.timing import INTERLUDE_FADE
from .motion import Run
from .scene import Scene
from .text import Typesetter


class _Mode(enum.Enum):
    LYRICS = 0
    FADE = 1
    LOOK = 2


def new_scene(
    spec: SceneSpec, features: Features, canvas: Canvas, typesetter: Typesetter
) -> Scene | AlternatingScene:
    """Return the scene of a video."""
    if spec.between is None:
        return Scene(spec, features, canvas, typesetter)
    return AlternatingScene(spec, spec.between, features, canvas, typesetter)


class AlternatingScene:
    """Two scenes, of which one is shown, or a picture between both.

    The scene with the lyrics draws on the canvas, since it is shown for most of the time. The other
    one is made when it is needed, and has a canvas of its own.
    """

    def __init__(
        self,
        spec: SceneSpec,
        between: SceneSpec,
        features: Features,
        canvas: Canvas,
        typesetter: Typesetter,
    ) -> None:
        self._canvas, self._frame = canvas, Box(0, 0, canvas.width, canvas.height)
        self._between, self._features, self._typesetter = between, features, typesetter
        self._lyrics = Scene(spec, features, canvas, typesetter)
        self._look_canvas = Canvas(canvas.width, canvas.height)
        self._look: Scene | None = None
        # What the scene with the lyrics has drawn, while the canvas shows something else.
        self._kept: Planes | None = None
        self._fade_frames = self._whole(INTERLUDE_FADE * float(spec.fps))
        interludes = spec.lyrics.schedule.interludes if spec.lyrics else ()
        # Frames at which the look begins to fade in, and out.
        self._fades = [
            (
                self._whole(max(start * float(spec.fps), -self._fade_frames)),
                self._whole(min(end * float(spec.fps), 2 * spec.frame_count)),
            )
            for start, end in interludes
        ]

    def independent_frame(self, number: int) -> int:
        """Return the last frame up to `number` that is the same whatever was drawn before it."""
        return self._lyrics.independent_frame(number)

    def draw_frames(self, run: Run) -> Iterator[int]:
        """Draw the frames of a run, and yield the number of each."""
        draw = {
            _Mode.LYRICS: self._draw_lyrics,
            _Mode.FADE: self._draw_fade,
            _Mode.LOOK: self._draw_look,
        }
        first = run.first
        for mode, frames in itertools.groupby(run.frames.tolist(), self._mode):
            end = first + len(list(frames))
            part = run.part(first, end)
            first = end
            if part is not None:
                yield from draw[mode](part)

    def _whole(self, frames: float) -> int:
        """Return a number of frames at which a scene may begin, since no frame before it counts."""
        step = self._lyrics.slow_interval
        return math.ceil(frames / step) * step

    def _mode(self, frame: int) -> _Mode:
        length = self._fade_frames
        for start, end in self._fades:
            if start <= frame < start + length or end <= frame < end + length:
                return _Mode.FADE
            if start <= frame < end:
                return _Mode.LOOK
        return _Mode.LYRICS

    def _share(self, frame: int) -> float:
        """Return how far the look has faded in, from 0 to 1."""
        length = self._fade_frames
        return max(
            min(frame - start, end + length - frame, length) / length for start, end in self._fades
        )

    def _draw_lyrics(self, run: Run) -> Iterator[int]:
        self._restore()
        yield from self._lyrics.draw_frames(run)

    def _draw_look(self, run: Run) -> Iterator[int]:
        self._keep()
        for frame in self._look_scene().draw_frames(run):
            self._canvas.put(self._frame, self._look_canvas.planes)
            yield frame

    def _draw_fade(self, run: Run) -> Iterator[int]:
        self._restore()
        both = zip(self._lyrics.draw_frames(run), self._look_scene().draw_frames(run), strict=True)
        for frame, _ in both:
            self._keep()
            mixed = blend(self._canvas.planes, self._look_canvas.planes, self._share(frame))
            self._canvas.put(self._frame, mixed)
            yield frame
            self._restore()
        self._keep()

    def _look_scene(self) -> Scene:
        if self._look is None:
            self._look = Scene(self._between, self._features, self._look_canvas, self._typesetter)
        return self._look

    def _keep(self) -> None:
        if self._kept is None:
            luma, blue, red = (plane.copy() for plane in self._canvas.planes)
            self._kept = luma, blue, red

    def _restore(self) -> None:
        if self._kept is not None:
            self._canvas.put(self._frame, self._kept)
            self._kept = None

"""Draw frames: on each, only what changed since the last. Knows no codec and no files."""

from collections.abc import Iterator, Sequence

import numpy as np

from . import background
from .analysis import Features
from .canvas import Canvas
from .colour import Floats, rgb_to_yuv420
from .layout import Box
from .logo import draw_logo
from .looks.look import Part, SceneSpec, Stage, check_boxes
from .lyrics.part import LyricsPart
from .motion import Run
from .parts.words import text_places
from .parts.zoom import Zoom
from .text import Typesetter

# Updates per second of dimming light, reflections and the progress line. Each makes the encoder
# code blocks again, hundreds for light; faster updates of faint parts would not be visible.
SLOW_UPDATE_HZ = 10


class Scene:
    """Draws a track's frames on one canvas, in runs that may begin anywhere.

    Attributes:
        slow_interval: frames from one update of faint things to the next.
    """

    def __init__(
        self, spec: SceneSpec, features: Features, canvas: Canvas, typesetter: Typesetter
    ) -> None:
        layout = spec.layout
        pixels = background.draw_background(spec, text_places(spec, typesetter))
        _draw_still(pixels, spec, typesetter)
        canvas.put(Box(0, 0, layout.width, layout.height), rgb_to_yuv420(pixels))
        stage = Stage(spec, features, canvas, pixels, typesetter)
        self._parts = list(layout.parts(stage))
        if spec.lyrics is not None and layout.lyrics is not None:
            self._parts.append(LyricsPart(stage, spec.lyrics, layout.lyrics))
        if spec.background.is_blur:
            self._parts.append(_zoom(stage, self._parts))
        check_boxes(self._parts, layout.width, layout.height)
        self._frame_count = max(spec.frame_count, 1)
        self._bands = layout.bands
        self.slow_interval = max(round(spec.fps / SLOW_UPDATE_HZ), 1)
        self._drawn = False

    def independent_frame(self, number: int) -> int:
        """Return the last frame up to `number` that is the same whatever was drawn before it."""
        return number - number % self.slow_interval

    def draw_frames(self, run: Run) -> Iterator[int]:
        """Draw the frames of a run, and yield the number of each."""
        frames = run.frames
        slow_updates = (frames % self.slow_interval == 0) | (frames + 1 >= self._frame_count)
        slow_updates[0] |= not self._drawn
        heard = run.with_bands(self._bands)
        parts = (part.draw_frames(heard, slow_updates) for part in self._parts)
        for frame, *_ in zip(frames.tolist(), *parts, strict=True):
            self._drawn = True
            yield frame


def _draw_still(pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
    spec.layout.draw_still(pixels, spec, typesetter)
    draw_logo(pixels, spec)


def _zoom(stage: Stage, others: Sequence[Part]) -> Zoom:
    spec, typesetter = stage.spec, stage.typesetter
    blurred = background.draw_blurred_cover(spec, text_places(spec, typesetter))
    on_white = np.ones_like(stage.pixels)
    _draw_still(on_white, spec, typesetter)
    return Zoom(stage, blurred, on_white, [box for part in others for box in part.boxes])

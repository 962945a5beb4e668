"""A look of another package: the cover, the title, and a row of lights, one for each band."""

from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen

from mp4gen.render import background
from mp4gen.render.colour import Floats, rgb_to_yuv420
from mp4gen.render.layout import Box, centred_cover_box
from mp4gen.render.looks.look import Content, Flags, Layout, Part, SceneSpec, Stage
from mp4gen.render.looks.shapes import WordsDesign, frame_for, place_watermark, place_words
from mp4gen.render.motion import Run
from mp4gen.render.parts.title_block import TitleBlock
from mp4gen.render.parts.words import draw_words
from mp4gen.render.text import Typesetter

BANDS, LEVELS = 16, 24
WORDS = WordsDesign(
    left=0.12, right=0.88, centred=True, title=(0.59, 40), author=(0.645, 22), hero=30,
    two_rows=(0.7, 0.1),
)  # fmt: skip


class Lights:
    """Changes in each frame only the lights whose level is another one than before."""

    def __init__(self, stage: Stage, boxes: Sequence[Box]) -> None:
        self.boxes, self._canvas = boxes, stage.canvas
        self._shown = np.full(len(boxes), -1)
        self._levels = []
        for box, colour in zip(boxes, stage.spec.accent.sweep(len(boxes)), strict=True):
            dark = stage.pixels[box.slices]
            light = (colour - dark) * background.rounded(box.width, box.height, 3)[..., None]
            shares = np.linspace(0.15, 1, LEVELS + 1, dtype=np.float32)
            self._levels.append([rgb_to_yuv420(dark + light * share) for share in shares])

    def draw_frames(self, run: Run, slow_updates: Flags) -> Iterator[None]:
        """Draw one frame a step; any frame may be the first."""
        for levels in np.rint(run.heights * LEVELS).astype(int):
            for number in np.flatnonzero(levels != self._shown):
                self._canvas.put(self.boxes[number], self._levels[number][levels[number]])
            self._shown = levels
            yield


@frozen(eq=False, kw_only=True)
class LightsLayout(Layout):
    """Where everything is in a frame."""

    lights: Sequence[Box]

    def draw_still(self, pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
        """Draw what never changes on the background."""
        background.draw_cover(pixels, spec.cover, self.cover, self.unit)
        draw_words(pixels, spec, typesetter)

    def parts(self, stage: Stage) -> Sequence[Part]:
        """Return what changes; each part has its own even boxes."""
        return Lights(stage, self.lights), TitleBlock(stage)


def layout_for(width: int, height: int, content: Content) -> LightsLayout:
    """Place the look in a frame of any size."""
    frame = frame_for(width, height)
    side, step = round(7 * frame.unit) * 2, round(10 * frame.unit) * 2
    left, top = (width - BANDS * step) // 4 * 2, round(frame.y(0.78) / 2) * 2
    lefts = range(left, left + BANDS * step, step)
    return LightsLayout(
        width=width,
        height=height,
        unit=frame.unit,
        bands=BANDS,
        cover=centred_cover_box(width, frame.y(0.17), 230 * frame.unit, frame.unit),
        words=place_words(frame, WORDS),
        watermark=place_watermark(frame),
        lights=[Box(x, top, x + side, top + side) for x in lefts],
    )

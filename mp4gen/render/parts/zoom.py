"""Move the blurred cover behind all that is still: slowly towards the middle, then back.

What is still was drawn on the background, and each pixel of it is a mix of the two. The mix is
found once, so a step enlarges a small image, and mixes it in where no other part draws.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mp4gen.render.blurred_cover import MIN_ZOOM, BlurredCover
from mp4gen.render.canvas import SCALES
from mp4gen.render.colour import YUV_OFFSETS, Bytes, Floats, halved, rgb_to_yuv
from mp4gen.render.cover import upscale
from mp4gen.render.easing import ease
from mp4gen.render.layout import Box, around
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run, beat_glows

# Steps come with beats. None moves a pixel by more than 0.2 at 720p, which is not visible alone.
STEPS_PER_SECOND = 2
MAX_ZOOM, SECONDS = 1.06, 60.0
# Units over which the movement fades to rest beside another part.
FEATHER = 40
# With more boxes than these, the space between them stays still as well.
MAX_BOXES = 12


@frozen(eq=False)
class _Mix:
    """A box of one plane: what moves in it, and the rest, dithered."""

    box: Box
    plane: int
    pixels: Bytes
    moving: Floats
    rest: Floats


class Zoom:
    """The blurred cover, wherever no other part draws.

    Args:
        stage: shows all that is still.
        blurred: the background.
        on_white: all that is still, drawn on white, sRGB (height, width, 3).
        taken: the boxes of the other parts.
    """

    def __init__(
        self, stage: Stage, blurred: BlurredCover, on_white: Floats, taken: Sequence[Box]
    ) -> None:
        self._blurred, self._step = blurred, -1
        self._small = rgb_to_yuv(blurred.small)
        glows = np.fromiter(beat_glows(stage.features.levels, stage.spec.fps), np.float32)
        self._steps = step_frames(glows, float(stage.spec.fps))
        layout = stage.spec.layout
        if len(taken) > MAX_BOXES:
            taken = [around(taken)]
        frame = Box(0, 0, layout.width, layout.height)
        self.boxes: Sequence[Box] = free_boxes(frame, [*taken, _inside(layout.cover)])
        background = blurred.draw()
        behind = (on_white - stage.pixels) / np.maximum(1 - background, 0.01)
        moving = behind.mean(axis=2, keepdims=True) * movement(taken, layout.unit, background)
        rest = rgb_to_yuv(stage.pixels - moving * background)
        moving *= blurred.shade
        self._mixes = [mix for box in self.boxes for mix in _mixes(stage, box, moving, rest)]

    def draw_frames(self, run: Run, _slow_updates: Flags) -> Iterator[None]:
        """Move the background with each step."""
        for step in np.searchsorted(self._steps, run.frames, "right").tolist():
            if step != self._step:
                self._step = step
                self._draw(zoom_at(step / STEPS_PER_SECOND))
            yield

    def _draw(self, zoom: float) -> None:
        for mix in self._mixes:
            small = self._small[..., mix.plane]
            large = self._blurred.enlarged(small, mix.box, zoom, SCALES[mix.plane])
            mix.pixels[:] = large * mix.moving + mix.rest


def step_frames(glows: Floats, fps: float) -> NDArray[np.int64]:
    """Return the frames of the steps: the strongest beat of each half second, or its first frame.

    Args:
        glows: (frames,) the light of the beat, from 0 to 1.
        fps: frames per second.
    """
    rises = np.diff(glows, prepend=np.float32(0))
    firsts = np.rint(np.arange(0, glows.size, fps / STEPS_PER_SECOND)).astype(np.int64)
    bounds = [*firsts[firsts < glows.size].tolist(), glows.size]
    strongest = [
        first + int(rises[first:end].clip(0).argmax()) for first, end in itertools.pairwise(bounds)
    ]
    return np.array(strongest, np.int64)


def zoom_at(seconds: float) -> float:
    """Return the zoom at a time: a minute towards the middle, a minute back."""
    done = seconds / SECONDS % 2
    return MIN_ZOOM + (MAX_ZOOM - MIN_ZOOM) * min(done, 2 - done)


def _mixes(stage: Stage, box: Box, moving: Floats, rest: Floats) -> Iterator[_Mix]:
    """Yield what a box mixes in each plane."""
    # A fixed seed: equal images give equal bytes.
    noise = np.random.default_rng(box.top)
    views = stage.canvas.view(box)
    for plane, (view, offset) in enumerate(zip(views, YUV_OFFSETS, strict=True)):
        share, still = moving[box.slices][..., 0], rest[box.slices][..., plane]
        if SCALES[plane] == 2:
            share, still = halved(share), halved(still)
        # Half a step more, because the sum is cut off to whole numbers.
        dither = noise.random(view.shape, np.float32) * np.float32(0.9) - np.float32(0.45)
        yield _Mix(box, plane, view, share, still + dither + np.float32(offset + 0.5))


def movement(taken: Sequence[Box], unit: float, like: Floats) -> Floats:
    """Return the share of movement in each pixel, (h, w, 1): 0 in the boxes, 1 far from them."""
    height, width = like.shape[:2]
    rows, columns = max(height // 4, 9), max(width // 4, 9)
    y, x = ((np.arange(count) + 0.5) * 4 for count in (rows, columns))
    share = np.ones((rows, columns), np.float32)
    for box in taken:
        across = np.maximum(np.maximum(box.left - x, x - box.right), 0)
        down = np.maximum(np.maximum(box.top - y, y - box.bottom), 0)
        distance = np.hypot(down[:, None], across[None])
        np.minimum(share, ease(distance / (FEATHER * unit)), out=share)
    return upscale(share[..., None], width, height)


def free_boxes(frame: Box, taken: Sequence[Box]) -> list[Box]:
    """Return boxes that fill the frame, but for those taken."""
    free = [frame]
    for hole in taken:
        free = [part for box in free for part in _cut(box, hole)]
    return free


def _cut(box: Box, hole: Box) -> Iterator[Box]:
    if not box.overlaps(hole):
        yield box
        return
    top, bottom = max(box.top, hole.top), min(box.bottom, hole.bottom)
    parts = (
        Box(box.left, box.top, box.right, top),
        Box(box.left, bottom, box.right, box.bottom),
        Box(box.left, top, hole.left, bottom),
        Box(hole.right, top, box.right, bottom),
    )
    yield from (part for part in parts if part.width > 0 and part.height > 0)


def _inside(box: Box) -> Box:
    """Return the even box inside of a box."""
    left, top = -(-box.left // 2) * 2, -(-box.top // 2) * 2
    return Box(left, top, max(box.right // 2 * 2, left), max(box.bottom // 2 * 2, top))

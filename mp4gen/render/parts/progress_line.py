"""Draw the progress line, which shows how much of the track has been played.

The positions of its end are computed for a run of frames at once, as for the bars.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mp4gen.render.background import rounded
from mp4gen.render.canvas import SCALES
from mp4gen.render.colour import Bytes, Floats, Integers, rgb_to_yuv420
from mp4gen.render.layout import Box
from mp4gen.render.looks.look import Flags, Stage
from mp4gen.render.motion import Run

TRACK_OPACITY, DONE_OPACITY = 0.18, 0.88


def draw_track(pixels: Floats, line: Box) -> None:
    """Draw what the line has yet to fill, in place."""
    _draw_line(pixels, line, TRACK_OPACITY)


def _draw_line(pixels: Floats, line: Box, opacity: float) -> None:
    shape = rounded(line.width, line.height, line.height / 2)[..., None]
    part = pixels[line.slices]
    part += (1 - part) * (shape * np.float32(opacity))


class ProgressLine:
    """The line as it fills up; its round end moves by quarters of a pixel.

    Args:
        stage: shows the line that is yet to fill.
        line: the box of the line.
    """

    def __init__(self, stage: Stage, line: Box) -> None:
        layout = stage.spec.layout
        box = line.expanded(2, layout.width, layout.height)
        self.boxes: Sequence[Box] = (box,)
        self._frame_count = max(stage.spec.frame_count, 1)
        self._to = stage.canvas.view(box)
        area = stage.pixels[box.slices].copy()
        # Over the track, which is white as well: together they have the opacity of what is done.
        _draw_line(area, line.relative_to(box), 1 - (1 - DONE_OPACITY) / (1 - TRACK_OPACITY))
        filled = rgb_to_yuv420(area)
        self._ahead: list[Bytes] = [plane.copy() for plane in self._to]
        more = [on.astype(np.float32) - off for on, off in zip(filled, self._ahead, strict=True)]
        # Beside the line the two differ by dither only, which must not move.
        self._more = [np.where(np.abs(plane) > 1, plane, np.float32(0)) for plane in more]
        ready = zip(self._ahead, self._more, strict=True)
        self._done: list[Bytes] = [(off + on).astype(np.uint8) for off, on in ready]
        self._left = line.left - box.left
        self._length = line.width
        self._radius = radius = line.height / 2
        y = np.arange(box.height) + 0.5 - (line.top - box.top) - radius
        # Pixels from each row's edge to the line's end.
        self._behind = radius - np.sqrt(np.maximum(radius**2 - y**2, 0))
        # Columns of the round end, at any position between two chroma samples.
        self._width = math.ceil(radius + 3) // 2 * 2 + 2
        self._first = 0

    def draw_frames(self, run: Run, slow_updates: Flags) -> Iterator[None]:
        """Fill the line up to the end of each frame, in the frames of `slow_updates`."""
        fractions = (run.frames + 1) / self._frame_count
        line = np.maximum(self._length * fractions[slow_updates], 2 * self._radius)
        ends = np.rint((self._left + line) * 4) / 4
        firsts = ((ends - self._radius - 0.5) // 2 * 2).astype(np.int64)
        np.minimum(firsts, self._to[0].shape[1] - self._width, out=firsts)
        tips, number = self._tips(ends, firsts), 0
        for slow_update in slow_updates.tolist():
            if slow_update:
                self._show(int(firsts[number]), [plane[:, number] for plane in tips])
                number += 1
            yield

    def _tips(self, ends: NDArray[np.float64], firsts: Integers) -> list[Bytes]:
        """Return the pixels of the round end, (rows, frames, columns) in each plane."""
        columns = firsts[:, None] + np.arange(self._width)
        edges = (ends[:, None] - columns)[None] - self._behind[:, None, None]
        coverage = np.clip(edges, 0, 1).astype(np.float32)
        rows = coverage[::2] + coverage[1::2]
        small = (rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25)
        drawn: list[Bytes] = []
        for plane, share in enumerate((coverage, small, small)):
            places = columns[:, :: SCALES[plane]] // SCALES[plane]
            pixels = self._ahead[plane][:, places] + self._more[plane][:, places] * share
            drawn.append(np.rint(pixels).astype(np.uint8))
        return drawn

    def _show(self, first: int, tip: list[Bytes]) -> None:
        before, self._first = self._first, first
        filled = first >= before
        low, high = (before, first) if filled else (first, before + self._width)
        for plane, end in enumerate(tip):
            scale = SCALES[plane]
            passed = slice(low // scale, high // scale)
            source = self._done if filled else self._ahead
            self._to[plane][:, passed] = source[plane][:, passed]
            self._to[plane][:, first // scale : first // scale + end.shape[1]] = end

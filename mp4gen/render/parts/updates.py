"""Choose the frames in which parts change. Draws nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from mp4gen.render.colour import Floats, Integers
from mp4gen.render.looks.look import Flags


def frame_slices(frames: Integers, count: int, sums: Integers | None = None) -> Iterator[slice]:
    """Yield the part of each of `count` frames in a sorted list of frame numbers, or in `sums`."""
    bounds = np.searchsorted(frames, np.arange(count + 1))
    bounds = bounds if sums is None else sums[bounds]
    return itertools.starmap(slice, itertools.pairwise(bounds.tolist()))


def hold(states: Integers, slow_updates: Flags) -> Integers:
    """Return the states to show if they change in the frames of `slow_updates` only.

    Args:
        states: (1 + frames, ...) what is shown before the first frame, then what each frame wants.
        slow_updates: (frames,) as of `Part.draw_frames`.
    """
    numbers = np.arange(1, slow_updates.size + 1)
    latest = np.maximum.accumulate(np.where(slow_updates, numbers, 0))
    held: Integers = states[np.concatenate([[0], latest])]
    return held


def light_levels(glows: Floats, slow_updates: Flags, count: int, shown: int) -> Iterator[int]:
    """Yield the level of a light in each frame; it gets dimmer in those of `slow_updates` only.

    Args:
        glows: (frames,) the light of the beat, from 0 to 1.
        slow_updates: (frames,) as of `Part.draw_frames`.
        count: the highest level.
        shown: the level before the first frame.
    """
    # Rounded down: the faintest level is not visible, but would cost as much as the others.
    wanted = (glows * count + 1e-3).astype(np.int64)
    for level, allow_dimming in zip(wanted.tolist(), slow_updates.tolist(), strict=True):
        if level > shown or allow_dimming:
            shown = level
        yield shown

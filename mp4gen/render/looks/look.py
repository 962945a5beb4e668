"""What a look is: the places in a frame, what is drawn there once, and the parts that change."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mp4gen.errors import RenderError
from mp4gen.render.analysis import Features
from mp4gen.render.background_source import COVER_COLOURS, Background
from mp4gen.render.canvas import Canvas
from mp4gen.render.colour import Accent, Bytes, Floats
from mp4gen.render.layout import Box, LyricPlaces, Watermark, Words
from mp4gen.render.lyrics.plan import LyricsPlan
from mp4gen.render.motion import Run
from mp4gen.render.options import FrameRate
from mp4gen.render.scrim import TextPlace
from mp4gen.render.text import Typesetter

Flags = NDArray[np.bool_]
# In which direction lyrics are read.
Direction = Literal["ltr", "rtl"]


@frozen
class Content:
    """What a frame has to show beside the music.

    Attributes:
        has_words: whether there is a title or an author.
        lyrics: the direction of the lyrics, or None if there are none. A look that cannot leave
            room for them ignores this.
    """

    has_words: bool = True
    lyrics: Direction | None = None


CONTENT = Content()


class Part(Protocol):
    """Something that changes during the video.

    Attributes:
        boxes: all that it changes: even edges, inside the frame, apart from those of other parts.
    """

    @property
    def boxes(self) -> Sequence[Box]:
        """The boxes of the part."""
        ...

    def draw_frames(self, run: Run, slow_updates: Flags) -> Iterator[None]:
        """Draw the frames of a run, one a step, and in each only what changed since the last.

        What is shown in a frame depends on the frame alone: a run may begin anywhere.

        Args:
            run: the movement.
            slow_updates: (frames,) whether faint things change too, as in every third frame.
        """
        ...


@frozen(eq=False, kw_only=True)
class Layout:
    """A look, placed in a frame: a subclass adds its own places, and draws.

    Attributes:
        width: pixels.
        height: pixels.
        unit: pixels for one unit of the design.
        bands: how many frequency bands the look shows.
        cover: the square in which the cover is drawn; it decides the size of `SceneSpec.cover`.
        words: the place of title and author.
        watermark: the place of the watermark.
        lyrics: the place of the lyrics, or None; their part is added to those of the look.
        qp_offset: how many steps of the quantizer its frames may be coarser than those of bars,
            because so much moves that it is not visible; key frames stay as fine.
    """

    width: int
    height: int
    unit: float
    bands: int
    cover: Box
    words: Words
    watermark: Watermark
    lyrics: LyricPlaces | None = None
    qp_offset: int = 0

    def draw_still(self, pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
        """Draw all that never changes on the background, sRGB (height, width, 3) from 0 to 1."""
        raise NotImplementedError

    def parts(self, stage: Stage) -> Sequence[Part]:
        """Return the parts; the stage shows what is still."""
        raise NotImplementedError

    def own_text_places(self, spec: SceneSpec) -> Sequence[TextPlace]:
        """Return where the look shows text beside title, author, watermark and lyrics.

        The background is dark enough there.
        """
        return ()

    def px(self, units: float) -> int:
        """Convert units of the design to whole pixels, at least 1."""
        return max(round(units * self.unit), 1)


class Look(Protocol):
    """A function that places a look in a frame."""

    def __call__(self, width: int, height: int, content: Content, /) -> Layout:
        """Return the look in a frame of width x height pixels, both even."""
        ...


@frozen(eq=False)
class SceneSpec:
    """The content of a video's frames.

    Attributes:
        layout: the look in the video's size.
        cover: sRGB, as large as the layout's cover.
        accent: the colour of the music.
        title: sanitized, as the other texts.
        author: shown large at first.
        domain_name: the watermark.
        fps: frames per second.
        frame_count: number of frames.
        background: what stands behind everything.
        logo: RGBA, as large as it is shown, or None.
        lyrics: the lyrics in time, for a layout that has a place for them, or None.
        between: what is shown while there are no lyrics for long: the look as it is without them;
            None if that is never.
    """

    layout: Layout
    cover: Floats
    accent: Accent
    title: str
    author: str
    domain_name: str
    fps: FrameRate
    frame_count: int
    background: Background = COVER_COLOURS
    logo: Bytes | None = None
    lyrics: LyricsPlan | None = None
    between: SceneSpec | None = None


@frozen(eq=False)
class Stage:
    """What a part is made from.

    Attributes:
        spec: the content.
        features: the analysis of the whole video.
        canvas: where to draw; it shows all that is still.
        pixels: the same as sRGB (height, width, 3), from 0 to 1.
        typesetter: sets text.
    """

    spec: SceneSpec
    features: Features
    canvas: Canvas
    pixels: Floats
    typesetter: Typesetter


def check_boxes(parts: Sequence[Part], width: int, height: int) -> None:
    """Check that each part has its own pixels.

    Raises:
        RenderError: a box is not even, leaves the frame, or overlaps one of another part.
    """
    owned = [(type(part).__name__, box) for part in parts for box in part.boxes]
    for name, box in owned:
        edges = box.left, box.top, box.right, box.bottom
        inside = 0 <= box.left <= box.right <= width and 0 <= box.top <= box.bottom <= height
        if not inside or any(edge % 2 for edge in edges):
            raise RenderError(
                f"Invalid box of {name} in {width}x{height}: {box}. Use even edges in the frame."
            )
    for (name, box), (other_name, other) in itertools.combinations(owned, 2):
        if box.overlaps(other):
            raise RenderError(f"{name} overlaps {other_name}: {box}, {other}. Move one of them.")

"""Cut a video into pieces at its key frames, and draw and encode one of them. Starts no process.

A piece needs no other piece: it begins with a key frame, and its first frame is drawn complete. So
pieces can be encoded in any order and in several processes, and give the same video.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen
from av import Packet

from mp4gen.errors import RenderIOError

from . import motion
from .alternating_scene import new_scene
from .canvas import Canvas
from .encode import EncodedFrame, keyframe_interval, new_encoder, new_frame
from .options import RenderStyle
from .preparation import Prepared

PIECE_SECONDS = 8


class PieceProcessError(RenderIOError):
    """A process that encodes pieces ended before they were done, or hangs."""


@frozen(order=True)
class Piece:
    """The frames from number `first` up to, but not including, `end`."""

    first: int
    end: int


def cut(frame_count: int, style: RenderStyle) -> list[Piece]:
    """Return the pieces of a video, in order; each ends where the next key frame is due.

    A piece holds several key frames if they are close: each piece needs an encoder of its own.
    """
    interval = keyframe_interval(style)
    step = interval * max(round(PIECE_SECONDS * style.fps / interval), 1)
    return [Piece(first, min(first + step, frame_count)) for first in range(0, frame_count, step)]


class PieceEncoder:
    """Draws and encodes pieces of one video, one at a time; ascending order is cheapest."""

    def __init__(self, prepared: Prepared) -> None:
        self._style, self._qp_offset = prepared.style, prepared.spec.layout.qp_offset
        self._frame, canvas = new_frame(prepared.style)
        self._drawing = Drawing(prepared, canvas)

    def encode(self, piece: Piece, style: RenderStyle | None = None) -> Iterator[EncodedFrame]:
        """Yield the frames of a piece as they are encoded.

        Args:
            piece: the frames.
            style: that of the video, or one with another quality and quantizer.
        """
        encoder = new_encoder(style or self._style, self._qp_offset)
        for number in self._drawing.draw(piece):
            self._frame.pts = number
            yield from map(_encoded_frame, encoder.encode(self._frame))
        yield from map(_encoded_frame, encoder.encode(None))


class Drawing:
    """The frames of one video, drawn on one canvas in stretches that may begin anywhere."""

    def __init__(self, prepared: Prepared, canvas: Canvas) -> None:
        self._features, self._fps = prepared.features, prepared.spec.fps
        self._scene = new_scene(prepared.spec, prepared.features, canvas, prepared.typesetter)
        self._runs = motion.animate(self._features, self._fps)
        self._run = next(self._runs)

    def draw(self, piece: Piece) -> Iterator[int]:
        """Draw the frames of a piece, one a step, and yield the number of each."""
        start = self._scene.independent_frame(piece.first)
        for run in self._runs_of(start, piece.end):
            for number in self._scene.draw_frames(run):
                if number >= piece.first:
                    yield number

    def draw_single(self, number: int) -> None:
        """Draw one frame with everything up to date, also what a video updates less often."""
        (run,) = self._runs_of(number, number + 1)
        next(self._scene.draw_frames(run))

    def _runs_of(self, first: int, end: int) -> Iterator[motion.Run]:
        """Yield the movement of some frames, in runs."""
        if first < self._run.first:
            self._runs = motion.animate(self._features, self._fps)
            self._run = next(self._runs)
        while True:
            part = self._run.part(first, end)
            if part is not None:
                yield part
            if end <= self._run.end:
                return
            self._run = next(self._runs)


def _encoded_frame(packet: Packet[Any]) -> EncodedFrame:
    # The time stamp of a packet is the number of its frame, and is never missing.
    return EncodedFrame(packet.pts or 0, packet.is_keyframe, bytes(packet))

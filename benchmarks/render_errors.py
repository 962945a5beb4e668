"""Compare decoded frames with the drawn ones, in the ring round the cover that beats light up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from mp4gen.render import RenderStyle, analysis, encode, pieces, preparation
from mp4gen.render.looks.bars import BarsLayout
from mp4gen.render.parts.cover_glow import GLOW_REACH

Ring = NDArray[np.uint8]


@frozen
class Errors:
    """Errors in luma: the rms, and the percentage of pixels that are off by 2 or more."""

    rms: float
    percent: float


def ring_errors(music: Path, cover: Path) -> dict[str, Errors]:
    """Return the errors in the frames whose ring is at rest, and in those that a beat lights."""
    pairs = list(_frames(music, cover))
    light = np.array([drawn.mean() for drawn, _ in pairs])
    lit = light > light.min() + 0.5
    errors = np.array([drawn.astype(np.int16) - seen for drawn, seen in pairs])
    return {
        name: Errors(
            rms=float(np.sqrt(np.square(errors[frames], dtype=np.float32).mean())),
            percent=100 * float((np.abs(errors[frames]) >= 2).mean()),
        )
        for name, frames in (("at rest", ~lit), ("lit", lit))
    }


def _frames(music: Path, cover: Path) -> Iterator[tuple[Ring, Ring]]:
    """Yield the ring of each frame, as drawn and as decoded."""
    style = RenderStyle()
    request = preparation.RenderRequest("Author", "example.com", "Title", cover, style, 7200)
    prepared = preparation.prepare(music, request, analysis.analyse)
    layout = prepared.spec.layout
    assert isinstance(layout, BarsLayout)
    ring = _ring(layout)
    frame, canvas = encode.new_frame(style)
    encoder, decoder = encode.new_encoder(style), av.VideoCodecContext.create("h264", "r")
    drawn: list[Ring] = []
    packets: list[av.Packet] = []
    whole = pieces.Piece(0, prepared.spec.frame_count)
    for frame.pts in pieces.Drawing(prepared, canvas).draw(whole):
        drawn.append(canvas.planes[0][ring])
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder.extradata = encoder.extradata
    decoded = (seen for packet in [*packets, None] for seen in decoder.decode(packet))
    for own, seen in zip(drawn, decoded, strict=True):
        yield own, seen.to_ndarray()[: style.height][ring]


def _ring(layout: BarsLayout) -> NDArray[np.bool_]:
    ring = np.zeros((layout.height, layout.width), bool)
    ring[layout.cover.expanded(layout.px(GLOW_REACH), layout.width, layout.height).slices] = True
    ring[layout.cover.slices] = False
    ring[layout.bars_base - layout.bars_height :] = False
    return ring

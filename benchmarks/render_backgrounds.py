"""Compare the backgrounds: processor time, bits, and the contrast of text on hard pictures.

A part of `render_cost.py`.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mp4gen.render import RenderStyle, analysis, preparation
from mp4gen.render.background import draw_background
from mp4gen.render.colour import rgb_to_yuv420, yuv420_to_rgb
from mp4gen.render.parts.words import FAINT_CONTRAST, TEXT_CONTRAST, text_places
from mp4gen.render.scrim import contrast_of

SCRIPT = """
import sys
from mp4gen.render import RenderStyle, render_video
music, to, background, cover = sys.argv[1:5]
render_video(music, to, author="Suno Artist", title="Midnight Over Lisbon", cover=cover,
             max_duration=7200, style=RenderStyle(background=background))
"""
SIZES = (1280, 720), (720, 1280), (720, 720)


def draw_pictures(folder: Path) -> dict[str, Path]:
    """Write a cover of soft shapes, and pictures on which text is hard to read."""
    rng = np.random.default_rng(6)
    shapes = Image.fromarray(rng.integers(0, 256, (9, 16, 3), np.uint8))
    pictures = {
        "cover": shapes.crop((0, 0, 9, 9)).resize((600, 600), Image.Resampling.BICUBIC),
        "photo": shapes.resize((1600, 900), Image.Resampling.BICUBIC),
        "white": Image.new("RGB", (1600, 900), "white"),
        "noise": Image.fromarray(rng.integers(0, 256, (900, 1600, 3), np.uint8)),
    }
    paths = {name: folder / f"{name}.png" for name in pictures}
    for name, image in pictures.items():
        image.save(paths[name])
    return paths


def picture_bytes(video: str) -> int:
    """Return the bytes of a video without its audio."""
    with av.open(video) as container:
        return sum(packet.size for packet in container.demux(video=0))


def least_contrasts(music: Path, pictures: dict[str, Path]) -> dict[float, float]:
    """Return the least contrast that 95 % of the pixels behind a text reach, by what it needs."""
    least = {TEXT_CONTRAST: 99.0, FAINT_CONTRAST: 99.0}
    for width, height in SIZES:
        for background in ("auto", "blur", *map(str, list(pictures.values())[1:])):
            style = RenderStyle(width=width, height=height, background=background)
            request = preparation.RenderRequest(
                "Suno Artist", "music.example.com", "Midnight Over Lisbon", pictures["cover"],
                style, 7200,
            )  # fmt: skip
            prepared = preparation.prepare(music, request, analysis.analyse)
            places = list(text_places(prepared.spec, prepared.typesetter))
            drawn = _as_seen(draw_background(prepared.spec, places))
            for place in places:
                found = contrast_of(drawn[place.box.slices], place.opacity)
                least[place.contrast] = min(least[place.contrast], found)
    return least


def _as_seen(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return yuv420_to_rgb(rgb_to_yuv420(pixels)).astype(np.float32) / 255

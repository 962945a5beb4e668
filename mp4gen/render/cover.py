"""The square picture of a track: its cover, read with care, or one made from the music itself."""

from __future__ import annotations

import io
import math
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError

from mp4gen.errors import RenderError

from .colour import Bytes, Floats, oklch_to_rgb
from .decode import display_name
from .options import PathLike

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 40_000_000
MAX_BYTES = 32 << 20
BLOB_LIGHTNESS, BLOB_CHROMA = 0.62, 0.14
SPREAD_DEGREES = 50.0
# From sea green over blue and red to orange: between lie yellow and olive, mud when darkened. The
# spread of a picture's hues stays clear of them too.
HUES = (178.0, 412.0)
# Orange of the usual lightness is brown; it gets so much more, the most at its own hue.
WARM_HUE, WARM_LIGHTNESS = 60.0, 0.07


def read_cover(source: PathLike | bytes, side: int, max_side: int = 0) -> Bytes:
    """An image file, or one's bytes, as (side, side, 3) sRGB, cropped to its middle.

    A picture that has more is given larger, up to `max_side`.

    Raises:
        RenderError: missing, too large, or no PNG, JPEG or WEBP.
    """
    data, name = _bytes_of(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return _square(image, name, side, max_side)
    except RenderError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, MemoryError) as error:
        raise RenderError(f"{name} is not a PNG, JPEG or WEBP picture that can be read.") from error
    except Image.DecompressionBombError as error:
        raise RenderError(_too_large(name)) from error


def _too_large(name: str) -> str:
    return f"{name} has too many pixels: {MAX_PIXELS // 1_000_000} million at most."


def _bytes_of(source: PathLike | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, "The music's own cover"
    name = f"The cover {display_name(source)}"
    file = Path(os.fspath(source))
    try:
        if not file.is_file():
            raise RenderError(f"{name} does not exist.")
        if file.stat().st_size > MAX_BYTES:
            raise RenderError(f"{name} is too large: {MAX_BYTES >> 20} MB at most.")
        return file.read_bytes(), name
    except (OSError, ValueError) as error:
        raise RenderError(f"{name} cannot be read.") from error


def _square(image: Image.Image, name: str, side: int, max_side: int) -> Bytes:
    # The header alone is read so far: a bomb is refused before it is unpacked.
    if image.width * image.height > MAX_PIXELS:
        raise RenderError(_too_large(name))
    side = max(side, min(image.width, image.height, max_side))
    if image.format == "JPEG":
        image.draft("RGB", (2 * side, 2 * side))
    upright = ImageOps.exif_transpose(image)
    small = ImageOps.fit(_flatten(upright), (side, side), Image.Resampling.LANCZOS)
    return np.asarray(small)


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16 bits of grey, which `convert` would cut off at the 8th.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        background = Image.new("RGBA", clear.size, (24, 24, 28, 255))
        return Image.alpha_composite(background, clear).convert("RGB")
    return image.convert("RGB")


def generated_hue(seed: bytes) -> float:
    """The hue in degrees that a picture made from `seed` has."""
    return _hue(np.random.default_rng(int.from_bytes(seed[:8], "big")))


def _hue(rng: np.random.Generator) -> float:
    return float(rng.uniform(*HUES)) % 360


def generate_cover(seed: bytes, side: int) -> tuple[Floats, float]:
    """(picture (side, side, 3) from 0 to 1, its hue): soft neighbouring colours and faint rings.

    The same seed gives the same picture.
    """
    rng = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    hue = _hue(rng)
    pixels = upscale(_blobs(rng, hue, 48), side, side)
    centre = (0.62 + 0.08 * rng.random(), 0.30 + 0.08 * rng.random())
    rings = _rings(side, centre)[..., None] * np.float32(0.15)
    return pixels + (1 - pixels) * rings, hue


def _blobs(rng: np.random.Generator, hue: float, side: int) -> Floats:
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    corners = [(0.05, 0.9), (0.1, 0.1), (0.95, 0.15), (0.85, 0.95), (0.5, 0.5)]
    hues = hue + np.linspace(-SPREAD_DEGREES / 2, SPREAD_DEGREES / 2, len(corners))
    rng.shuffle(hues)
    total = np.zeros((side, side, 3), np.float32)
    weights = np.zeros((side, side, 1), np.float32)
    for (left, top), tint in zip(corners, hues, strict=True):
        at_x, at_y = left + rng.uniform(-0.1, 0.1), top + rng.uniform(-0.1, 0.1)
        size = rng.uniform(0.28, 0.42)
        weight = np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / (2 * size**2))[..., None]
        lightness = BLOB_LIGHTNESS + _warmth(tint) + rng.uniform(-0.06, 0.05)
        colour = oklch_to_rgb(lightness, BLOB_CHROMA * rng.uniform(0.85, 1.1), tint)
        total += weight * colour
        weights += weight
    mixed: Floats = (total / weights).astype(np.float32)
    return mixed


def _warmth(hue: float) -> float:
    return WARM_LIGHTNESS * max(math.cos(math.radians(hue - WARM_HUE)), 0.0)


def _rings(side: int, centre: tuple[float, float]) -> Floats:
    scale = 2
    image = Image.new("L", (side * scale, side * scale), 0)
    draw = ImageDraw.Draw(image)
    x, y = centre[0] * side * scale, centre[1] * side * scale
    line = max(round(side * scale / 312 * 1.3), 1)
    for ring in range(1, 10):
        radius = (0.008 + ring * 0.053) * side * scale
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=255, width=line)
    small = image.resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def resize(pixels: Bytes, side: int) -> Floats:
    """An 8-bit square picture as (side, side, 3) floats from 0 to 1."""
    image = Image.fromarray(pixels)
    if image.width != side:
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32) / np.float32(255)


def cover_jpeg(pixels: Floats) -> bytes:
    """The cover as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray((pixels * 255 + 0.5).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def upscale(pixels: Floats, width: int, height: int) -> Floats:
    """A small float picture made large smoothly; floats all the way, so nothing bands."""
    channels = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(pixels[..., channel])).resize(
                (width, height), Image.Resampling.BICUBIC
            )
        )
        for channel in range(pixels.shape[2])
    ]
    large: Floats = np.stack(channels, axis=-1)
    return np.clip(large, 0, 1, out=large)

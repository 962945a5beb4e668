"""The square cover of a track: an untrusted image, or one generated from the audio."""

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from mp4gen.errors import RenderError

from .colour import Bytes, Floats, oklch_to_rgb
from .options import PathLike
from .picture import draft, flatten, open_picture, to_srgb

# A smaller picture inside a file is an icon.
MIN_ATTACHED_SIDE = 48
# A cover whose sides differ by less is cropped; another keeps its sides, over its own blur.
MAX_CROP = 1.05
_LANCZOS = Image.Resampling.LANCZOS
BLUR_SHARE, BLUR_BRIGHTNESS = 1 / 16, 0.6
BLOB_LIGHTNESS, BLOB_CHROMA = 0.62, 0.14
SPREAD_DEGREES = 50.0
# From sea green over blue and red to orange, with room for the spread. The hues left out, yellow
# and olive, look muddy when darkened.
HUES = (178.0, 412.0)
# Orange of the usual lightness is brown: it is lightened, most at its own hue.
WARM_HUE, WARM_LIGHTNESS = 60.0, 0.07


def first_readable(pictures: Sequence[bytes], side: int, max_side: int) -> Bytes | None:
    """Read the first usable one of a file's pictures; None if there are none.

    Raises:
        RenderError: no picture is usable; the error of the first.
    """
    first_error: RenderError | None = None
    for picture in pictures:
        try:
            return read_cover(picture, side, max_side)
        except RenderError as error:
            first_error = first_error or error
    if first_error is not None:
        raise first_error
    return None


def read_cover(source: PathLike | bytes, side: int, max_side: int = 0) -> Bytes:
    """Read an image file, or the bytes of an attached one, as (side, side, 3) sRGB.

    A larger image keeps its size up to `max_side`.

    Raises:
        RenderError: the file is missing, too large, or not a PNG, JPEG, WEBP or AVIF.
    """
    is_attached = isinstance(source, bytes)
    kind = "cover in the audio file" if is_attached else "cover"
    with open_picture(source, kind, MIN_ATTACHED_SIDE if is_attached else 1) as image:
        return _square(image, side, max_side)


def _square(image: Image.Image, side: int, max_side: int) -> Bytes:
    side = max(side, min(max(image.size), max_side))
    profile = image.info.get("icc_profile")
    draft(image, 2 * side, 2 * side)
    upright = ImageOps.exif_transpose(image)
    if max(upright.size) <= MAX_CROP * min(upright.size):
        return np.asarray(flatten(to_srgb(ImageOps.fit(upright, (side, side), _LANCZOS), profile)))
    inside = flatten(to_srgb(ImageOps.contain(upright, (side, side), _LANCZOS), profile))
    square = ImageOps.fit(inside, (side, side), Image.Resampling.BICUBIC)
    square = square.filter(ImageFilter.GaussianBlur(side * BLUR_SHARE))
    square = square.point(lambda level: level * BLUR_BRIGHTNESS)
    square.paste(inside, ((side - inside.width) // 2, (side - inside.height) // 2))
    return np.asarray(square)


def generated_hue(seed: bytes) -> float:
    """Return the hue in degrees of the cover generated from `seed`."""
    return _hue(seed)[1]


def _hue(seed: bytes) -> tuple[np.random.Generator, float]:
    rng = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    return rng, float(rng.uniform(*HUES)) % 360


def generate_cover(seed: bytes, side: int) -> Floats:
    """Generate a cover of soft neighbouring colours and faint rings; equal seeds, equal covers."""
    rng, hue = _hue(seed)
    pixels = upscale(_blobs(rng, hue, 48), side, side)
    centre = (0.62 + 0.08 * rng.random(), 0.30 + 0.08 * rng.random())
    rings = _rings(side, centre)[..., None] * np.float32(0.15)
    return pixels + (1 - pixels) * rings


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
        warmth = WARM_LIGHTNESS * max(math.cos(math.radians(tint - WARM_HUE)), 0.0)
        lightness = BLOB_LIGHTNESS + warmth + rng.uniform(-0.06, 0.05)
        total += weight * oklch_to_rgb(lightness, BLOB_CHROMA * rng.uniform(0.85, 1.1), tint)
        weights += weight
    return (total / weights).astype(np.float32)


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
    """Resize an 8-bit square image to (side, side, 3) floats from 0 to 1."""
    image = Image.fromarray(pixels)
    if image.width != side:
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32) / np.float32(255)


def resize_or_generate(image: Bytes | None, seed: bytes, side: int) -> Floats:
    """Return an 8-bit square image, or without one the cover generated from `seed`, in a size."""
    return generate_cover(seed, side) if image is None else resize(image, side)


def cover_jpeg(pixels: Floats) -> bytes:
    """Encode a cover as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray((pixels * 255 + 0.5).astype(np.uint8)).save(file, "JPEG", quality=88)
    return file.getvalue()


def upscale(pixels: Floats, width: int, height: int) -> Floats:
    """Enlarge a small image smoothly, in floats throughout, so that gradients show no bands."""
    large = np.empty((height, width, pixels.shape[2]), np.float32)
    for index in range(pixels.shape[2]):
        channel = Image.fromarray(np.ascontiguousarray(pixels[..., index]))
        resized = channel.resize((width, height), Image.Resampling.BICUBIC)
        large[..., index] = np.asarray(resized)
    return np.clip(large, 0, 1, out=large)

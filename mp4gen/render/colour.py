"""Colour conversions: OKLCH, the accent of a cover, BT.709 planes. Knows no files."""

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Integers = NDArray[np.int64]
Reals = NDArray[np.floating]
Planes = tuple[Bytes, Bytes, Bytes]

BAR_LIGHTNESS, BAR_CHROMA = 0.80, 0.135
# Degrees of hue from the first bar to the last; so few that no bar in between is grey.
SWEEP_DEGREES = 50.0
# A colour of this chroma has full strength.
STRONG_CHROMA = 0.10

_LMS = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
], np.float32)  # fmt: skip
_LAB = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
], np.float32)  # fmt: skip
_RGB_FROM_LMS = np.linalg.inv(_LMS).astype(np.float32)
_LMS_FROM_LAB = np.linalg.inv(_LAB).astype(np.float32)
_BT709 = np.array([0.2126, 0.7152, 0.0722], np.float32)
_YUV = np.array([
    219 * _BT709,
    224 / 1.8556 * (np.array([0, 0, 1], np.float32) - _BT709),
    224 / 1.5748 * (np.array([1, 0, 0], np.float32) - _BT709),
], np.float32)  # fmt: skip
# Of luma, blue and red.
YUV_OFFSETS = np.array([16, 128, 128], np.float32)


@frozen
class Accent:
    """The accent of a track: a hue in OKLCH degrees, and a strength from 0 (grey) to 1."""

    hue: float
    strength: float

    @classmethod
    def of(cls, colour: Floats) -> "Accent":
        """Return the hue of an sRGB colour (3,) and how strong it is."""
        _, chroma, hue = rgb_to_oklch(colour)
        return cls(float(hue), min(float(chroma) / STRONG_CHROMA, 1.0))

    def sweep(self, count: int) -> Floats:
        """Return `count` colours around the hue as sRGB (count, 3), 0 to 1."""
        hues = self.hue + np.linspace(-SWEEP_DEGREES / 2, SWEEP_DEGREES / 2, count)
        return oklch_to_rgb(BAR_LIGHTNESS, BAR_CHROMA * self.strength, hues)


def parse_colour(text: str) -> Floats:
    """Convert a colour such as "#ff8800" to sRGB (3,), 0 to 1."""
    levels = [int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return np.array(levels, np.float32)


def oklch_to_rgb(lightness: object, chroma: object, hue: object) -> Floats:
    """Convert OKLCH, the hue in degrees, to sRGB (..., 3), clipped to 0 to 1."""
    light, colour, angle = np.broadcast_arrays(
        np.asarray(lightness, np.float32),
        np.asarray(chroma, np.float32),
        np.radians(np.asarray(hue, np.float32)),
    )
    lab = np.stack([light, colour * np.cos(angle), colour * np.sin(angle)], axis=-1)
    linear = np.clip(((lab @ _LMS_FROM_LAB.T) ** 3) @ _RGB_FROM_LMS.T, 0, 1)
    gamma = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    srgb: Floats = gamma.astype(np.float32)
    return srgb


def rgb_to_oklch(pixels: Floats) -> tuple[Floats, Floats, Floats]:
    """Convert sRGB (..., 3), 0 to 1, to lightness, chroma, and hue in degrees from 0 to 360."""
    lab = _oklab(pixels)
    hue: Floats = np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360
    return lab[..., 0], np.hypot(lab[..., 1], lab[..., 2]), hue


def hue_distance(hues: Floats, hue: float) -> Floats:
    """Return how far `hues` lie from `hue`, in degrees from -180 to 180."""
    distance: Floats = (hues - np.float32(hue) + 180) % 360 - 180
    return distance


def dominant_accent(pixels: Floats, fallback_hue: float) -> Accent:
    """Return the hue around which most colour of an sRGB image (h, w, 3) lies."""
    lightness, chroma, hues = rgb_to_oklch(pixels.reshape(-1, 3))
    # The hue of a nearly black or white pixel is not visible.
    weight = chroma**1.5 * np.clip(lightness / 0.35, 0, 1)
    counts = np.bincount((hues / 5).astype(int) % 72, weights=weight, minlength=72)
    around = sum(np.roll(counts, shift) * (4 - abs(shift)) for shift in range(-3, 4))
    strength = float(np.clip(np.percentile(chroma, 80) / 0.05, 0.08, 1))
    if float(weight.sum()) < 1e-3:
        return Accent(fallback_hue, 0.08)
    near = np.radians(hues - 5 * int(np.argmax(around)))
    close = weight * (np.cos(near) > np.cos(np.radians(25)))
    mean = np.arctan2((close * np.sin(near)).sum(), (close * np.cos(near)).sum())
    return Accent(float(np.degrees(mean) + 5 * int(np.argmax(around))) % 360, strength)


def rgb_to_yuv(pixels: Floats) -> Floats:
    """Convert sRGB (..., 3) to BT.709 limited-range luma, blue and red, without `YUV_OFFSETS`."""
    planes: Floats = pixels @ _YUV.T
    return planes


def rgb_to_levels(colours: Floats) -> Floats:
    """Convert sRGB (..., 3) to luma, blue and red as in planes, but in floats."""
    return rgb_to_yuv(colours) + YUV_OFFSETS


def rgb_to_yuv420(pixels: Floats) -> Planes:
    """Convert an sRGB image (h, w, 3), with even sides, to BT.709 limited-range 4:2:0 planes.

    The planes are dithered: without dither a dark gradient shows bands.
    """
    luma, blue, red = dithered_yuv420(pixels)
    return _rounded(luma, 235), _rounded(blue, 240), _rounded(red, 240)


def dithered_yuv420(pixels: Floats) -> tuple[Floats, Floats, Floats]:
    """Convert an image as `rgb_to_yuv420` does, but round nothing: to add light before that."""
    luma = pixels @ _BT709
    small = halved(pixels)
    small_luma = small @ _BT709
    # A fixed seed: equal images give equal bytes.
    noise = np.random.default_rng(0)
    blue: Floats = (small[..., 2] - small_luma) * np.float32(224 / 1.8556) + 128
    red: Floats = (small[..., 0] - small_luma) * np.float32(224 / 1.5748) + 128
    return _dithered(luma * 219 + 16, noise), _dithered(blue, noise), _dithered(red, noise)


def halved(pixels: Floats) -> Floats:
    """Return the means of each two by two pixels of an image with even sides."""
    rows = pixels[::2] + pixels[1::2]
    small: Floats = (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)
    return small


def blend(old: Planes, new: Planes, share: float) -> Planes:
    """Return planes between two, from 0 (old) to 1 (new); equal pixels stay equal."""
    weight = round(share * 256)
    luma, blue, red = (
        ((one.astype(np.uint16) * (256 - weight) + other * np.uint16(weight) + 128) >> 8).astype(
            np.uint8
        )
        for one, other in zip(old, new, strict=True)
    )
    return luma, blue, red


def _dithered(plane: Floats, noise: np.random.Generator) -> Floats:
    plane += noise.random(plane.shape, np.float32) * np.float32(0.9) - np.float32(0.45)
    return plane


def _rounded(plane: Floats, high: int) -> Bytes:
    return np.clip(np.rint(plane, out=plane), 16, high, out=plane).astype(np.uint8)


def yuv420_to_rgb(planes: Planes) -> Bytes:
    """Convert BT.709 limited-range 4:2:0 planes to 8-bit sRGB (h, w, 3)."""
    luma = (planes[0].astype(np.float32) - 16) / 219
    blue, red = (
        ((plane.astype(np.float32) - 128) / 224).repeat(2, axis=0).repeat(2, axis=1)
        for plane in planes[1:]
    )
    r = luma + 1.5748 * red
    b = luma + 1.8556 * blue
    g = (luma - _BT709[0] * r - _BT709[2] * b) / _BT709[1]
    srgb: Bytes = np.clip(np.rint(np.stack([r, g, b], -1) * 255), 0, 255).astype(np.uint8)
    return srgb


def relative_luminance(colours: Floats) -> Floats:
    """Return the luminance of sRGB colours (..., 3), from 0 (black) to 1 (white)."""
    luminance: Floats = _linear(colours) @ _BT709
    return luminance


def _linear(colours: Floats) -> Floats:
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    light: Floats = linear.astype(np.float32)
    return light


def _oklab(colours: Floats) -> Floats:
    lab: Floats = (np.cbrt(_linear(colours) @ _LMS.T) @ _LAB.T).astype(np.float32)
    return lab

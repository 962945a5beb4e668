"""Colours of backgrounds: dark enough for text, and neither grey nor olive. Draws no shapes.

They are darkened in OKLCH, where a colour keeps its hue and does not turn muddy.
"""

import numpy as np

from .colour import Accent, Floats, hue_distance, oklch_to_rgb, rgb_to_oklch

LIGHTNESS, LIGHTNESS_SHARE, LIGHTNESS_RANGE = 0.262, 0.34, (0.13, 0.38)
CHROMA, CHROMA_SHARE, MAX_CHROMA = 0.056, 0.26, 0.088
# Degrees: how far a hue may lie from the accent's, and from which distance on it nearly does.
MAX_TURN, TURN_SCALE = 26.0, 40.0
# Dark orange is brown, and dark yellow is olive. So red to yellow lean to wine, and yellowish
# greens to the green of leaves: these shares of the way to the accent and to other hues remain.
WARM_HUES, WINE_HUE = (2.0, 116.0), 10.0
YELLOW_GREENS, LEAF_HUE = (116.0, 150.0), 150.0
BASE_SHARE, TURN_SHARE = 0.2, 0.25
# Of a blurred cover, whose shapes stay visible.
BLUR_LIGHTNESS, BLUR_LIGHTNESS_SHARE, BLUR_LIGHTNESS_RANGE = 0.34, 0.62, (0.10, 0.52)
BLUR_CHROMA_ADDED, BLUR_CHROMA_RANGE = 0.03, (0.05, 0.108)
# Distances from the accent's hue, and those that replace them. The last 70 degrees lead back.
BLUR_DISTANCES, BLUR_TURNS = (-180, -170, -80, 20, 110, 180), (-67.5, -80, -80, 20, 20, -67.5)
# Hues, and those that replace them: yellow would be olive.
OLIVE_HUES, WARM_BROWNS = (0, 55, 116, 150, 360), (0, 55, 70, 150, 360)
TOP_LIGHTNESS, BOTTOM_LIGHTNESS, MAX_COLOUR_CHROMA = 0.26, 0.14, 0.10


def dim(pixels: Floats, accent: Accent) -> Floats:
    """Darken an sRGB image (h, w, 3), and turn its hues towards the accent's."""
    lightness, chroma, hues = rgb_to_oklch(pixels)
    dark = LIGHTNESS + LIGHTNESS_SHARE * (lightness - lightness.mean())
    colour = np.minimum(CHROMA + CHROMA_SHARE * chroma, MAX_CHROMA) * accent.strength
    return oklch_to_rgb(np.clip(dark, *LIGHTNESS_RANGE), colour, _near_hues(hues, accent.hue))


def _near_hues(hues: Floats, accent: float) -> Floats:
    distance = hue_distance(hues, accent)
    # Opposite hues turn less and less: else there would be an edge where left becomes right.
    opposite = np.clip((180 - np.abs(distance)) / TURN_SCALE, 0, 1)
    turn: Floats = MAX_TURN * np.tanh(distance / TURN_SCALE) * opposite
    if WARM_HUES[0] <= accent <= WARM_HUES[1]:
        base, turn = WINE_HUE, np.minimum(turn, TURN_SHARE * turn)
    elif YELLOW_GREENS[0] < accent < YELLOW_GREENS[1]:
        base, turn = LEAF_HUE, np.maximum(turn, TURN_SHARE * turn)
    else:
        return turn + np.float32(accent)
    return turn + np.float32(base + BASE_SHARE * (accent - base))


def darken(pixels: Floats, accent: Accent) -> Floats:
    """Darken a slightly blurred sRGB image (h, w, 3); it keeps more light than with `dim`."""
    lightness, chroma, hues = rgb_to_oklch(pixels)
    dark = BLUR_LIGHTNESS + BLUR_LIGHTNESS_SHARE * (lightness - lightness.mean())
    colour = np.clip(chroma + BLUR_CHROMA_ADDED, *BLUR_CHROMA_RANGE) * accent.strength
    turn = np.interp(hue_distance(hues, accent.hue), BLUR_DISTANCES, BLUR_TURNS)
    # The hue of a nearly grey pixel is hardly visible in the cover: here it would be.
    hue = (accent.hue + turn * np.minimum(chroma / BLUR_CHROMA_RANGE[0], 1)) % 360
    if WARM_HUES[0] <= accent.hue <= WARM_HUES[1]:
        hue = np.interp(hue, OLIVE_HUES, WARM_BROWNS)
    return oklch_to_rgb(np.clip(dark, *BLUR_LIGHTNESS_RANGE), colour, hue)


def gradient(colour: Floats, rows: int) -> Floats:
    """Return a dark gradient (rows, 1, 3) of one sRGB colour (3,), darkest at the bottom."""
    lightness, chroma, hue = (float(value) for value in rgb_to_oklch(colour))
    top = min(lightness, TOP_LIGHTNESS)
    down = np.linspace(top, top * BOTTOM_LIGHTNESS / TOP_LIGHTNESS, rows)[:, None]
    return oklch_to_rgb(down, min(chroma, MAX_COLOUR_CHROMA) * down / max(top, 1e-6), hue)

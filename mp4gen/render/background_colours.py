"""Colours of a background: dark enough for text, and neither grey nor olive. Draws no shapes.

They are darkened in OKLCH, where a colour keeps its hue and does not turn muddy.
"""

import numpy as np

from .colour import Accent, Floats, hue_distance, oklch_to_rgb, rgb_to_oklch

LIGHTNESS, LIGHTNESS_CONTRAST, LIGHTNESS_RANGE = 0.262, 0.34, (0.13, 0.38)
CHROMA, CHROMA_CONTRAST, MAX_CHROMA = 0.056, 0.26, 0.088
# Degrees: how far a hue may lie from the accent's, and from which distance on it nearly does.
MAX_TURN, TURN_SCALE = 26.0, 40.0
# Dark orange is brown, and dark yellow is olive. So red to yellow lean to wine, and yellowish
# greens to the green of leaves: these shares of the way to the accent and to other hues remain.
WARM_HUES, WINE_HUE = (2.0, 116.0), 10.0
YELLOW_GREENS, LEAF_HUE = (116.0, 150.0), 150.0
BASE_SHARE, TURN_SHARE = 0.2, 0.25


def dim(pixels: Floats, accent: Accent) -> Floats:
    """Darken an sRGB image (h, w, 3), and turn its hues towards the accent's."""
    lightness, chroma, hues = rgb_to_oklch(pixels)
    dark = LIGHTNESS + LIGHTNESS_CONTRAST * (lightness - lightness.mean())
    colour = np.minimum(CHROMA + CHROMA_CONTRAST * chroma, MAX_CHROMA) * accent.strength
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

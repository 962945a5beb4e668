"""A curve from 0 to 1 that begins and ends slowly. Draws nothing."""

import numpy as np

from .colour import Reals


def ease(shares: Reals) -> Reals:
    """Return shares on the curve; those below 0 become 0, those above 1 become 1."""
    shares = np.clip(shares, 0, 1)
    eased: Reals = shares * shares * (3 - 2 * shares)
    return eased

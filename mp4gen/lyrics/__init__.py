"""Lyrics with times, as values and as text: LRC, SubRip and WebVTT. Draws nothing."""

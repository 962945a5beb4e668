"""Lyrics in time: find them, decide when each is shown and where, and draw them."""

"""Measure what lyrics add to a video: processor time and bits.

A part of `render_cost.py`.
"""

from __future__ import annotations

from pathlib import Path

SCRIPT = """
import sys
from mp4gen.render import render_video
music, to, lyrics = sys.argv[1:4]
render_video(music, to, author="Suno Artist", title="Midnight Over Lisbon", max_duration=7200,
             domain_name="music.example.com", lyrics=lyrics or None)
"""
LINES = (
    "I left my name upon the water",
    "The harbour keeps the lights for me",
    "and every boat comes home by sound",
    "Every window is a slow goodbye",
)


def write_lyrics(path: Path, seconds: float) -> Path:
    """Write a line every three seconds, with the times of its words."""
    rows = []
    for number in range(int(seconds / 3)):
        words = LINES[number % len(LINES)].split()
        times = [3 * number + 2.5 * index / len(words) for index in range(len(words))]
        texts = (f"<{_stamp(time)}>{word}" for time, word in zip(times, words, strict=True))
        rows.append(f"[{_stamp(3 * number)}]{' '.join(texts)}\n")
    path.write_text("".join(rows))
    return path


def _stamp(seconds: float) -> str:
    return f"{seconds // 60:02.0f}:{seconds % 60:05.2f}"

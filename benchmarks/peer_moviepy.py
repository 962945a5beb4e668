"""Render a video with moviepy as people do: a picture, bars that move with the music, the sound.

`render_peers.py` runs it with the interpreter of moviepy's environment: MUSIC PICTURE VIDEO.
"""

import sys
from itertools import pairwise

import numpy as np
from moviepy import AudioFileClip, VideoClip
from PIL import Image

BARS, RATE, WINDOW, FLOOR, HEIGHT = 64, 22_050, 2048, 680, 280
EDGES = np.geomspace(2, WINDOW // 2, BARS + 1).astype(int)

music, picture, video = sys.argv[1:]
audio = AudioFileClip(music)
samples = np.pad(audio.to_soundarray(fps=RATE).mean(axis=1), (0, WINDOW))
background = np.asarray(Image.open(picture).convert("RGB"))


def draw(seconds: float) -> np.ndarray:
    """Return the picture with one bar for each band of frequencies."""
    start = int(seconds * RATE)
    spectrum = np.abs(np.fft.rfft(samples[start : start + WINDOW] * np.hanning(WINDOW)))
    frame = background.copy()
    for bar, (low, high) in enumerate(pairwise(EDGES)):
        level = np.log1p(spectrum[low : max(high, low + 1)].max()) / 6
        top = FLOOR - int(HEIGHT * min(1.0, level))
        frame[top:FLOOR, 64 + 18 * bar : 76 + 18 * bar] = 255
    return frame


VideoClip(draw, duration=audio.duration).with_audio(audio).write_videofile(
    video,
    fps=30,
    codec="libx264",
    preset="veryfast",
    ffmpeg_params=["-crf", "23", "-pix_fmt", "yuv420p"],
    audio_codec="aac",
    audio_bitrate="320k",
    logger=None,
)

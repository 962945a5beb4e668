"""Scenes of every look on synthetic music, for tests."""

from __future__ import annotations

import numpy as np

from mp4gen.render.analysis import Features
from mp4gen.render.canvas import Canvas
from mp4gen.render.colour import dominant_accent
from mp4gen.render.cover import generate_cover
from mp4gen.render.looks import find_look
from mp4gen.render.looks.look import Content, Layout, SceneSpec
from mp4gen.render.loudness import Loudness
from mp4gen.render.motion import Run, animate
from mp4gen.render.scene import Scene
from mp4gen.render.text import Typesetter

FPS, FRAMES = 30, 300
BEATS = (0, 14, 29, 45, 60, 75, 90, 101, 120, 131, 150, 166, 180, 195, 210, 226, 240, 255, 291)
TEXTS = ("Midnight Over Lisbon", "Suno Artist", "music.example.com")


def music(bands: int) -> Features:
    """Return ten seconds of beats over tones that come and go."""
    frames = np.arange(FRAMES)
    since = np.min([np.where(frames >= beat, frames - beat, 99) for beat in BEATS], axis=0)
    swell = 0.5 + 0.5 * np.sin(frames[:, None] / 17 + np.arange(bands) / 5)
    levels = 90 + 40 * swell + 60 * np.exp(-since / 4)[:, None]
    rms = 0.1 + 0.2 * swell.mean(axis=1) + 0.5 * np.exp(-since / 6)
    loudness = Loudness(rms.astype(np.float32), (rms * 1.4).astype(np.float32))
    return Features(levels.astype(np.uint8), FRAMES / FPS, loudness=loudness)


def layout_of(look: str, size: tuple[int, int]) -> Layout:
    """Return a look, placed for a title and an author."""
    return find_look(look)(*size, Content())


def a_scene(
    look: str,
    size: tuple[int, int],
    canvas: Canvas | None = None,
    texts: tuple[str, str, str] = TEXTS,
) -> tuple[Scene, Canvas]:
    """Return a scene and its canvas."""
    layout = layout_of(look, size)
    cover = generate_cover(b"golden--", layout.cover.width)
    title, author, domain_name = texts
    spec = SceneSpec(
        layout=layout,
        cover=cover,
        accent=dominant_accent(cover, 0.0),
        title=title,
        author=author,
        domain_name=domain_name,
        fps=FPS,
        frame_count=FRAMES,
    )
    canvas = canvas or Canvas(*size)
    return Scene(spec, music(layout.bands), canvas, Typesetter()), canvas


def movement(look: str, size: tuple[int, int]) -> Run:
    """Return the movement of all frames as one run."""
    runs = list(animate(music(layout_of(look, size).bands), FPS))
    heights = np.concatenate([run.heights for run in runs])
    glows = np.concatenate([run.glows for run in runs])
    return Run(0, heights, glows, runs[0].before)


def draw(scene: Scene, run: Run, frames: list[int]) -> None:
    """Draw some frames, each as a run of its own."""
    for frame in frames:
        part = run.part(frame, frame + 1)
        assert part is not None
        next(scene.draw_frames(part))

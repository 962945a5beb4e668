"""Compare a whole render, with its audio, with other tools; run by `render_cost.py`."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import numpy as np
import peers
from support_render import OURS, Context, as_mp3, clip, lowest, python, run, songs

X264 = "cabac=1:8x8dct=1:keyint=240"
TEXT = "drawtext=text=Suno:fontsize=40:fontcolor=white:x=60:y=60"
ENCODING = (
    "-c:v libx264 -preset veryfast -crf 23 -pix_fmt yuv420p -r 30 -c:a aac -b:a 320k -shortest"
)
GOALS = {
    "ffmpeg -loop 1": 0.10,
    "showcqt": 0.33,
    "showfreqs": 0.33,
    "showwaves": 0.33,
    "moviepy": 0.20,
    "seewav": 0.08,
}
MOVIEPY = Path(__file__).with_name("peer_moviepy.py")
SHORT = 15.0
HARD_GOAL = 0.24


def still_video(music: str, png: str, to: str, seconds: float, encoding: str) -> list[str]:
    """Return the command that most people run: one image with music."""
    image = ["-loop", "1", "-framerate", "30", "-t", f"{seconds:g}", "-i", png]
    return ["ffmpeg", "-v", "error", "-y", *image, "-i", music, *encoding.split(), to]


def visualisers(music: str, png: str, to: str, seconds: float) -> dict[str, list[str]]:
    """Return the commands of ffmpeg's visualisers, as they are published.

    The image input has a duration: ffmpeg 5.1 never ends showfreqs over an endless one.
    """
    bars = "s=1280x300:mode={}:r=30[b];[1:v][b]overlay=0:400:shortest=1"
    filters = {
        "showcqt": f"[0:a]showcqt=s=1280x720:r=30,{TEXT},format=yuv420p[v]",
        "showfreqs": f"[0:a]showfreqs=ascale=log:{bars.format('bar')},{TEXT},format=yuv420p[v]",
        "showwaves": f"[0:a]showwaves={bars.format('cline')},{TEXT},format=yuv420p[v]",
    }
    start = ["ffmpeg", "-v", "error", "-y"]
    image_input = ["-loop", "1", "-framerate", "30", "-t", f"{seconds:g}", "-i", png]
    commands = {}
    for name, graph in filters.items():
        inputs = ["-i", music] + ([] if name == "showcqt" else image_input)
        mapped = ["-filter_complex", graph, "-map", "[v]", "-map", "0:a"]
        commands[name] = [*start, *inputs, *mapped, *ENCODING.split(), to]
    return commands


def python_tools(context: Context, music: str, png: str) -> dict[str, list[str]]:
    """Return the commands of the tools in Python that are installed."""
    commands = {}
    if moviepy := peers.find_program("moviepy", "python"):
        commands["moviepy"] = [moviepy, str(MOVIEPY), music, png, context.output]
    if seewav := shutil.which("seewav") or peers.find_program("seewav", "seewav"):
        size = ["-W", "1280", "-H", "720", "-r", "30"]
        commands["seewav"] = [seewav, *size, music, context.output]
    return commands


def cost(context: Context) -> None:
    """Compare the whole render, with audio, with other tools, by the CPU of a minute of video."""
    from mp4gen.render import render_frame

    png, music = str(context.folder / "still.png"), str(context.music)
    render_frame(music, time=5.0, title="Midnight Over Lisbon", author="Suno Artist").save(png)
    # The slow ones make a shorter video.
    short = min(SHORT, context.seconds)
    short_music = context.folder / "short.mp3"
    clipped = str(as_mp3(clip(context.music, context.folder / "short.wav", short), short_music))
    whole = {
        "ours": python(OURS, music, context.output, "fast", 1),
        "ours, fine": python(OURS, music, context.output, "fine", 1),
    }
    slow = python_tools(context, clipped, png)
    if shutil.which("ffmpeg"):
        whole["ffmpeg -loop 1"] = still_video(music, png, context.output, context.seconds, ENCODING)
        slow |= visualisers(clipped, png, context.output, short)
        whole["showcqt"] = visualisers(music, png, context.output, context.seconds)["showcqt"]
        del slow["showcqt"]
    for name, command in (whole | slow).items():
        if not name.startswith("ours"):
            print(f"$ {shlex.join(command)}   # {name}")
    costs = {
        name: spent * 60 / seconds
        for commands, seconds, repeats in (
            (whole, context.seconds, context.repeats),
            (slow, short, 1),
        )
        for name, spent in lowest(commands, repeats).items()
    }
    for name, spent in costs.items():
        context.report.add(f"{name}: CPU s a minute", spent)
    for name, goal in GOALS.items():
        if name in costs:
            context.report.add(f"ours / {name}", costs["ours"] / costs[name], max_value=goal)
        else:
            print(f"{name:44s} skipped: not installed")
            context.report.missed += bool(os.environ.get("CI"))
    if "ffmpeg -loop 1" in costs:
        hard_cost(context)


def hard_cost(context: Context) -> None:
    """Compare with the cheapest still video: a smooth frame, and sound that is only copied.

    The frame comes out of a finished video, so that no dither is left to encode. The music is the
    liveliest of the installed songs.
    """
    from mp4gen.render.thumbnail import extract_frame

    music = _liveliest(context)
    ours = python(OURS, music, context.output, "fast", 1)
    run(ours)
    png, to = context.folder / "smooth.png", str(context.folder / "peer.mp4")
    extract_frame(context.output, lambda duration: duration / 2).save(png)
    encoding = ENCODING.replace("-c:a aac -b:a 320k", "-c:a copy")
    peer = still_video(str(music), str(png), to, context.seconds, encoding)
    print(f"$ {shlex.join(peer)}   # the cheapest still video")
    costs = lowest({"ours": ours, "peer": peer}, context.repeats)
    context.report.add("ours, lively music: CPU s", costs["ours"])
    context.report.add("ffmpeg -loop 1, smooth, sound copied: CPU s", costs["peer"])
    name = "ours / ffmpeg -loop 1, smooth, sound copied"
    context.report.add(name, costs["ours"] / costs["peer"], max_value=HARD_GOAL)


def _liveliest(context: Context) -> Path:
    """Return the song whose bars move most, as an MP3; the given music if no song is installed."""
    from mp4gen.render import analysis

    found: list[tuple[float, Path]] = []
    for number, song in enumerate(songs()[:8]):
        wav = clip(song, context.folder / "lively.wav", context.seconds)
        levels = analysis.analyse(wav, fps=30, bands=64, max_duration=7200).levels
        moved = np.abs(np.diff(levels.astype(np.int16), axis=0)).mean()
        found.append((float(moved), as_mp3(wav, context.folder / f"lively{number}.mp3")))
    return max(found)[1] if found else context.music

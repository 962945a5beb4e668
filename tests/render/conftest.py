"""Music made on the spot, and a look inside the videos that come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from attrs import frozen
from numpy.typing import NDArray

Samples = NDArray[np.float32]

ENCODERS = {
    ".mp3": ("mp3", "libmp3lame", "s16p"),
    ".m4a": ("mp4", "aac", "fltp"),
    ".aac": ("adts", "aac", "fltp"),
    ".flac": ("flac", "flac", "s16"),
    ".ogg": ("ogg", "vorbis", "fltp"),
    ".opus": ("ogg", "libopus", "flt"),
    ".wav": ("wav", "pcm_s16le", "s16"),
}
FORMATS = tuple(ENCODERS)
RATE = 44100


def encode(
    path: Path,
    samples: Samples,
    rate: int = RATE,
    *,
    kind: str | None = None,
    tags: dict[str, str] | None = None,
    cover: bytes | None = None,
) -> Path:
    """Write (channels, n) samples in the format that the name's ending, or `kind`, stands for."""
    container, codec, sample_format = ENCODERS.get(kind or path.suffix, (kind or "", "", ""))
    if kind == "alac":
        container, codec, sample_format = "mp4", "alac", "s16p"
    if kind == "wav24":
        container, codec, sample_format = "wav", "pcm_s24le", "s32"
    with av.open(str(path), "w", format=container) as output:
        output.metadata.update(tags or {})
        stream = output.add_stream(codec, rate=rate, options={"strict": "experimental"})
        context = stream.codec_context
        context.layout = {1: "mono", 2: "stereo", 8: "7.1"}[samples.shape[0]]
        context.format = sample_format
        context.bit_rate = 192_000
        if cover is not None:
            cover_stream = output.add_stream("mjpeg", rate=1)
            cover_stream.codec_context.width, cover_stream.codec_context.height = 64, 64
            cover_stream.codec_context.pix_fmt = "yuvj420p"
            cover_stream.disposition = av.stream.Disposition.attached_pic
            packet = av.Packet(cover)
            packet.stream = cover_stream
            packet.pts = packet.dts = 0
            packet.time_base = Fraction(1)
            output.start_encoding()
            output.mux(packet)
        for start in range(0, samples.shape[1], 4096):
            frame = av.AudioFrame.from_ndarray(
                samples[:, start : start + 4096].T.reshape(1, -1).copy(),
                format="flt",
                layout=context.layout.name,
            )
            frame.sample_rate, frame.pts = rate, start
            for resampled in av.AudioResampler(sample_format, context.layout, rate).resample(frame):
                output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))
    return path


def decode(path: Path) -> tuple[Samples, int]:
    """All samples of a file, (channels, n), from sample 0 of what a player hears, and the rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp")
        parts = [
            part.to_ndarray()
            for frame in [*container.decode(stream), None]
            for part in resampler.resample(frame)
        ]
        return np.concatenate(parts, axis=1), stream.sample_rate


def tone(seconds: float, rate: int = RATE, channels: int = 2, hz: float = 440.0) -> Samples:
    """A tone that swells and fades twice a second."""
    t = np.arange(int(seconds * rate)) / rate
    wave = 0.4 * np.sin(2 * np.pi * hz * t) * (0.6 + 0.4 * np.sin(4 * np.pi * t))
    return np.tile(wave.astype(np.float32), (channels, 1))


def clicks(times: Iterable[float], seconds: float, rate: int = RATE) -> Samples:
    """Short bursts of noise at the given moments, silence between."""
    noise = np.random.default_rng(5)
    samples = np.zeros(int(seconds * rate), np.float32)
    for time in times:
        start = round(time * rate)
        burst = noise.standard_normal(rate // 50).astype(np.float32) * 0.5
        burst *= np.exp(-np.arange(burst.size) / (rate * 0.004)).astype(np.float32)
        samples[start : start + burst.size] += burst
    return np.clip(np.tile(samples, (2, 1)), -0.95, 0.95)


def lumas(path: Path) -> list[NDArray[np.uint8]]:
    """The brightness of every picture of a video."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray()[: frame.height] for frame in container.decode(video=0)]


def packet_bytes(path: Path) -> list[bytes]:
    """What the sound's packets hold."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def boxes(path: Path) -> list[str]:
    """The names of an MP4's outermost boxes, in order."""
    data, names, offset = path.read_bytes(), [], 0
    while offset + 8 <= len(data):
        size = int.from_bytes(data[offset : offset + 4], "big")
        names.append(data[offset + 4 : offset + 8].decode("latin-1"))
        offset += size or len(data)
    return names


@frozen
class Tools:
    """The functions above, for tests."""

    encode: Callable[..., Path] = encode
    decode: Callable[[Path], tuple[Samples, int]] = decode
    tone: Callable[..., Samples] = tone
    clicks: Callable[..., Samples] = clicks
    lumas: Callable[[Path], list[NDArray[np.uint8]]] = lumas
    packet_bytes: Callable[[Path], list[bytes]] = packet_bytes
    boxes: Callable[[Path], list[str]] = boxes


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Makers of music and readers of videos."""
    return Tools()


@pytest.fixture(scope="session")
def tone_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a tone."""
    return encode(tmp_path_factory.mktemp("music") / "tone.wav", tone(2.0))

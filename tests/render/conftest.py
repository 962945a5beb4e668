"""Synthetic audio, and readers of the videos made of it."""

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
# Formats that few tracks have, by the name of a test.
RARE_ENCODERS = {
    "opus in webm": ("webm", "libopus", "flt"),
    "aac in matroska": ("matroska", "aac", "fltp"),
    "flac in matroska": ("matroska", "flac", "s16"),
    "tta in matroska": ("matroska", "tta", "s16"),
    "pcm in aiff": ("aiff", "pcm_s16be", "s16"),
    "adpcm in aiff": ("aiff", "adpcm_ima_qt", "s16p"),
    "alac in caf": ("caf", "alac", "s16p"),
    "pcm in caf": ("caf", "pcm_s24le", "s32"),
    "w64": ("w64", "pcm_s24le", "s32"),
    "au": ("au", "pcm_s16be", "s16"),
    "wavpack": ("wv", "wavpack", "s16p"),
    "mp2": ("mp2", "mp2", "s16"),
    "ac3": ("ac3", "ac3", "fltp"),
    "eac3": ("eac3", "eac3", "fltp"),
    "adpcm_ms": ("wav", "adpcm_ms", "s16"),
    "adpcm_ima_wav": ("wav", "adpcm_ima_wav", "s16p"),
}
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
    """Write (channels, n) samples in the format of `kind`, or of the name's extension."""
    known = ENCODERS | RARE_ENCODERS
    container, codec, sample_format = known.get(kind or path.suffix, (kind or "", "", ""))
    if kind == "alac":
        container, codec, sample_format = "mp4", "alac", "s16p"
    if kind == "float":
        container, codec, sample_format = "wav", "pcm_f32le", "flt"
    if kind == "wav24":
        container, codec, sample_format = "wav", "pcm_s24le", "s32"
    with av.open(str(path), "w", format=container) as output:
        output.metadata.update(tags or {})
        stream = output.add_stream(codec, rate=rate, options={"strict": "experimental"})
        context = stream.codec_context
        context.layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[samples.shape[0]]
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
                samples[:, start : start + 4096].astype(np.float32).T.reshape(1, -1).copy(),
                format="flt",
                layout=context.layout.name,
            )
            frame.sample_rate, frame.pts = rate, start
            for resampled in av.AudioResampler(sample_format, context.layout, rate).resample(frame):
                output.mux(stream.encode(resampled))
        output.mux(stream.encode(None))
    return path


def decode(path: Path) -> tuple[Samples, int]:
    """Return all samples of a file as a player plays them, (channels, n), and the rate."""
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
    """Return a tone that swells and fades twice a second."""
    t = np.arange(int(seconds * rate)) / rate
    wave = 0.4 * np.sin(2 * np.pi * hz * t) * (0.6 + 0.4 * np.sin(4 * np.pi * t))
    return np.tile(wave.astype(np.float32), (channels, 1))


def clicks(times: Iterable[float], seconds: float, rate: int = RATE) -> Samples:
    """Return short bursts of noise at `times`, with silence between."""
    noise = np.random.default_rng(5)
    samples = np.zeros(int(seconds * rate), np.float32)
    for time in times:
        start = round(time * rate)
        burst = noise.standard_normal(rate // 50).astype(np.float32) * 0.5
        burst *= np.exp(-np.arange(burst.size) / (rate * 0.004)).astype(np.float32)
        samples[start : start + burst.size] += burst
    return np.clip(np.tile(samples, (2, 1)), -0.95, 0.95)


def onsets(energy: NDArray[np.float64], threshold: float, gap: int) -> list[int]:
    """Return the indexes at which `energy` exceeds `threshold` after `gap` quieter ones."""
    loud = np.flatnonzero(energy > threshold)
    return [int(i) for n, i in enumerate(loud) if n == 0 or i - loud[n - 1] > gap]


def audible_clicks(path: Path) -> list[float]:
    """Return the times of the clicks in the audio of a file."""
    samples, rate = decode(path)
    return [i / rate for i in onsets(np.abs(samples[0]), 0.12, rate // 10)]


def visible_clicks(
    path: Path, area: tuple[slice, slice], fps: int, share: float = 0.2
) -> list[float]:
    """Return the times at which an area of a video becomes brighter by a share of the most."""
    energy = np.array([luma[area].mean() for luma in lumas(path)])
    rises = np.diff(energy, prepend=energy[0])
    return [i / fps for i in onsets(rises, share * rises.max(), 5)]


def two_formats(folder: Path, extension: str, rates: tuple[int, int] = (44100, 22050)) -> Path:
    """Write a file that turns from stereo to mono, and changes its rate, after 1.5 seconds."""
    both = folder / f"both{extension}"
    for rate, channels in zip(rates, (2, 1), strict=True):
        part = encode(folder / f"{rate}{extension}", tone(1.5, rate, channels), rate)
        with both.open("ab") as file:
            file.write(part.read_bytes())
    return both


def bits(text: str) -> bytes:
    """Return the bytes of a string of zeros and ones, padded with zeros."""
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def add_hidden_sbr(adts: Path) -> Path:
    """Add an empty SBR extension to each frame of an ADTS file: AAC-LC becomes HE-AAC."""
    data, frames, place = adts.read_bytes(), [], 0
    while place < len(data):
        size = (data[place + 3] & 3) << 11 | data[place + 4] << 3 | data[place + 5] >> 5
        body = f"{int.from_bytes(data[place + 7 : place + size], 'big'):b}"
        body = body.zfill(8 * (size - 7)).rstrip("0").removesuffix("111")
        new_body = bits(f"{body}11000101101{'0' * 12}111")
        header, new_size = bytearray(data[place : place + 7]), len(new_body) + 7
        header[3:6] = (
            header[3] & 0xFC | new_size >> 11,
            new_size >> 3 & 0xFF,
            header[5] & 31 | (new_size & 7) << 5,
        )
        frames.append(bytes(header) + new_body)
        place += size
    adts.write_bytes(b"".join(frames))
    return adts


def declare(m4a: Path, config: str) -> Path:
    """Replace the AudioSpecificConfig of an M4A, given as bits."""
    with av.open(str(m4a)) as container:
        old = bytes(container.streams.audio[0].codec_context.extradata or b"")
    m4a.write_bytes(m4a.read_bytes().replace(old, bits(config).ljust(len(old), b"\0")))
    return m4a


def lumas(path: Path) -> list[NDArray[np.uint8]]:
    """Return the luma of every frame of a video."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray()[: frame.height] for frame in container.decode(video=0)]


def packet_bytes(path: Path) -> list[bytes]:
    """Return the bytes of every audio packet."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def boxes(path: Path) -> list[str]:
    """Return the names of an MP4's top-level boxes, in order."""
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
    audible_clicks: Callable[[Path], list[float]] = audible_clicks
    visible_clicks: Callable[..., list[float]] = visible_clicks
    two_formats: Callable[..., Path] = two_formats
    add_hidden_sbr: Callable[[Path], Path] = add_hidden_sbr
    declare: Callable[[Path, str], Path] = declare
    lumas: Callable[[Path], list[NDArray[np.uint8]]] = lumas
    packet_bytes: Callable[[Path], list[bytes]] = packet_bytes
    boxes: Callable[[Path], list[str]] = boxes


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Return the functions that make audio and read videos."""
    return Tools()


@pytest.fixture(scope="session")
def tone_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a WAV file of two seconds of a tone."""
    return encode(tmp_path_factory.mktemp("music") / "tone.wav", tone(2.0))

"""Tests of the AAC encoder, judged by the decoded samples."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from av import AudioFrame, CodecContext

from mp4gen.render.aac_encoder import BLOCK, AacEncoder, fast_options

RATE = 44100


def new_context(layout: str = "stereo"):
    context = CodecContext.create("aac", "w")
    context.format, context.layout, context.sample_rate = "fltp", layout, RATE
    context.bit_rate, context.options = 320_000, fast_options(320_000, 2)
    return context


def frames_of(samples: np.ndarray):
    for start in range(0, samples.shape[1], BLOCK):
        block = np.ascontiguousarray(samples[:, start : start + BLOCK], np.float32)
        layout = "mono" if samples.shape[0] == 1 else "stereo"
        frame = AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        yield frame


def encode(samples: np.ndarray, dense_bit_rate: int | None = None) -> tuple[list, np.ndarray]:
    """Return the packets, and the samples that they decode to."""
    context = new_context("mono" if samples.shape[0] == 1 else "stereo")
    encoder = AacEncoder(context, dense_bit_rate)
    packets = [packet for frame in [*frames_of(samples), None] for packet in encoder.encode(frame)]
    decoder = CodecContext.create("aac", "r")
    decoder.extradata = context.extradata
    decoded = [frame.to_ndarray() for packet in packets for frame in decoder.decode(packet)]
    return packets, np.concatenate(decoded, axis=1)[:, BLOCK:][:, : samples.shape[1]]


def lowest_ratio(before: np.ndarray, after: np.ndarray) -> float:
    """Return the signal-to-noise ratio in dB of the worst 21 ms."""
    ratios = [
        10 * np.log10(np.square(before[:, at : at + BLOCK]).sum() / noise)
        for at in range(0, before.shape[1], BLOCK)
        if (noise := np.square((before - after)[:, at : at + BLOCK]).sum())
    ]
    return float(min(ratios))


def tone(hz: float, count: int = RATE // 2, channels: int = 2) -> np.ndarray:
    return np.tile(0.9 * np.sin(2 * np.pi * hz * np.arange(count) / RATE), (channels, 1))


def bass_drum() -> np.ndarray:
    """Return a deep tone that is struck four times a second."""
    t = np.arange(RATE) / RATE
    hit = t % 0.25
    return np.tile(
        0.9 * np.sin(2 * np.pi * (50 * hit - np.exp(-hit * 30))) * np.exp(-hit * 3), (2, 1)
    )


@pytest.mark.parametrize("hz", [60.0, 440.0, 5000.0])
def test_encoder_keeps_a_pure_tone(hz):
    """A tone needs few bits. The fast coder alone would overflow, and leave 9 dB."""
    samples = tone(hz)

    _, decoded = encode(samples)

    assert lowest_ratio(samples, decoded) > 30


def test_encoder_keeps_a_bass_drum():
    """Each block of 21 ms keeps the bass, not only the average."""
    samples = bass_drum()

    _, decoded = encode(samples)

    assert lowest_ratio(samples, decoded) > 20


def test_encoder_returns_each_packet_once_and_in_order():
    """Also while the careful coder begins, ends and begins again."""
    noise = np.random.default_rng(2).standard_normal((2, 60 * BLOCK)) * 0.1
    quiet = tone(100.0, 4 * BLOCK)
    samples = np.concatenate([quiet, noise, quiet, noise[:, :100]], axis=1)

    packets, decoded = encode(samples)

    assert [packet.pts for packet in packets] == [*range(-BLOCK, samples.shape[1], BLOCK)]
    assert decoded.shape == samples.shape


@pytest.mark.parametrize("count", [1, BLOCK - 1, BLOCK + 1, 5 * BLOCK])
def test_encoder_keeps_a_short_tone(count):
    """The careful coder begins with the first block, or at the end."""
    samples = tone(440.0, count, channels=1)

    packets, decoded = encode(samples)

    assert decoded.shape == samples.shape
    assert sum(packet.duration for packet in packets) == BLOCK + count


def test_encoder_leaves_dense_music_to_the_fast_coder(monkeypatch):
    """The careful one costs three times as much and is no better there."""
    noise = np.random.default_rng(4).standard_normal(40 * BLOCK)
    # Like music, it has most of its power in the bass.
    falling = np.convolve(noise, 0.98 ** np.arange(200), "same") * 0.02
    encoder = AacEncoder(new_context())
    careful = []
    monkeypatch.setattr("mp4gen.render.aac_encoder._careful_context", careful.append)

    for frame in [*frames_of(np.stack([falling, falling[::-1]])), None]:
        encoder.encode(frame)

    assert careful == []


def test_encoder_spends_more_bits_on_dense_music():
    """Dense music gets up to the given rate, and only as long as the noise is high."""
    noise = np.random.default_rng(2).standard_normal((2, 50 * BLOCK)) * 0.1
    samples = np.concatenate([noise, tone(300.0, 60 * BLOCK) + tone(700.0, 60 * BLOCK) / 9], axis=1)

    usual, dense = (encode(samples / 2, rate)[0] for rate in (None, 440_000))

    spent = np.array([[packet.size for packet in packets] for packets in (usual, dense)])
    assert spent[1, 30:50].sum() > 1.15 * spent[0, 30:50].sum()
    assert spent[1, 90:].sum() < 1.02 * spent[0, 90:].sum()

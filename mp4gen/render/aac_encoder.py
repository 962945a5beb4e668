"""Encode AAC, decode it at once, and code again what came out wrong. Muxes nothing.

libavcodec's fast coder keeps more of dense music than its careful one, for a third of the work. It
fails if a few strong tones need fewer bits than there are: its quantizer becomes so fine that the
largest values overflow. A deep bass then loses its level for some frames, and a pure tone keeps a
signal-to-noise ratio of 9 dB. The careful coder does not overflow. Both choose the same windows,
so the packets of one fit among the packets of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from attrs import define, field
from av import AudioCodecContext, AudioFrame, AudioStream, CodecContext, Packet

from .colour import Floats

BLOCK = 1024
# Noise substitution, intensity stereo and noise shaping change the waveform.
_OPTIONS = {"aac_pns": "0", "aac_is": "0", "aac_tns": "0"}
# Bits above 20 kHz add nothing audible. Below this bit rate per channel, the encoder itself cuts
# off lower.
_CUTOFF_HZ, _CUTOFF_BIT_RATE = 20_000, 128_000
# The noise of an overflow relative to the power of its block, and the minimum power of a block:
# noise below -72 dBFS is left alone.
_MAX_OVERFLOW, _MIN_POWER, _TONAL_BINS = 10**-2.2, 1e-5, 16
# The windows of a block depend on the blocks before it, and the encoder is ahead.
_REMEMBERED_BLOCKS = 12
# An overflow rarely comes alone: the careful coder goes on for a second.
_CAREFUL_BLOCKS = 43
# More bits are spent while the noise of the last second averages above -34 dB. One bad block does
# not raise the average by itself.
_DENSE_NOISE, _DENSE_BLOCKS, _CAPPED_NOISE = 10**-3.4, 50, 10**-2.5

_Value = TypeVar("_Value")


class _Noise(NamedTuple):
    """The noise of a block relative to its power, in the worst channel.

    `total` is all of the noise. `tonal` is what lies at few frequencies if that is much, a sign of
    an overflow.
    """

    total: float
    tonal: float


_NO_NOISE = _Noise(0.0, 0.0)


def fast_options(bit_rate: int, channels: int) -> dict[str, str]:
    """Return the options of the encoder for a bit rate."""
    return {"aac_coder": "fast", **_options(bit_rate, channels)}


def _options(bit_rate: int, channels: int) -> dict[str, str]:
    if bit_rate < _CUTOFF_BIT_RATE * channels:
        return _OPTIONS
    return {**_OPTIONS, "cutoff": str(_CUTOFF_HZ)}


class AacEncoder:
    """Encodes frames of `BLOCK` samples, of which the last may be shorter.

    Args:
        context: an encoder with `fast_options`.
        dense_bit_rate: bit rate for dense music, which needs more; default: always the same.
    """

    def __init__(self, context: AudioCodecContext, dense_bit_rate: int | None = None) -> None:
        self._fast = _CheckedCoder(context)
        self._bit_rates = (context.bit_rate, dense_bit_rate or context.bit_rate)
        self._average_noise = 0.0
        self._careful: _CheckedCoder | None = None
        self._careful_until = 0
        self._blocks: dict[int, AudioFrame] = {}
        self._held: list[Packet[AudioStream]] = []

    def encode(self, frame: AudioFrame | None) -> list[Packet[AudioStream]]:
        """Return the packets that are complete; None flushes."""
        if frame is not None:
            _remember(self._blocks, frame.pts or 0, frame)
        self._continue_careful(frame)
        for start in self._fast.encode(frame, self._blocks):
            self._held.append(self._fast.packets[start])
            noise = self._fast.noise.get(start, _NO_NOISE)
            if noise.tonal > _MAX_OVERFLOW:
                self._code_again(start, flushed=frame is None)
            self._choose_bit_rate(noise.total)
        # A packet is part of two blocks. The later one is not decoded yet.
        ready = len(self._held) - (frame is not None and bool(self._held))
        packets, self._held = self._held[:ready], self._held[ready:]
        return packets

    def _choose_bit_rate(self, noise: float) -> None:
        self._average_noise += (min(noise, _CAPPED_NOISE) - self._average_noise) / _DENSE_BLOCKS
        self._fast.context.bit_rate = self._bit_rates[self._average_noise > _DENSE_NOISE]

    def _continue_careful(self, frame: AudioFrame | None) -> None:
        if self._careful is None:
            return
        if frame is not None and (frame.pts or 0) > self._careful_until:
            self._careful = None
        else:
            self._careful.encode(frame, self._blocks)

    def _code_again(self, start: int, *, flushed: bool) -> None:
        """Replace the two packets that make up the block at `start`, if that helps."""
        if self._careful is None:
            self._careful = _CheckedCoder(_careful_context(self._fast.context))
            for block in [*self._blocks.values(), *([None] if flushed else [])]:
                self._careful.encode(block, self._blocks)
        self._careful_until = start + _CAREFUL_BLOCKS * BLOCK
        careful = self._careful.noise.get(start)
        if careful is not None and careful.tonal < self._fast.noise[start].tonal:
            self._held[-2:] = (self._careful.packets[start - BLOCK], self._careful.packets[start])


@define
class _CheckedCoder:
    """An encoder and a decoder of its packets.

    `packets` and `noise` hold the last ones by the first sample of their block.
    """

    context: AudioCodecContext
    packets: dict[int, Packet[AudioStream]] = field(factory=dict)
    noise: dict[int, _Noise] = field(factory=dict)
    _decoder: AudioCodecContext | None = None

    def encode(self, frame: AudioFrame | None, blocks: Mapping[int, AudioFrame]) -> list[int]:
        """Encode a frame, measure the blocks that it completes, return the new packets' times."""
        packets = self.context.encode(frame)
        for packet in packets:
            _remember(self.packets, packet.pts or 0, packet)
            for decoded in self._decoder_of_packets().decode(packet):
                start = decoded.pts or 0
                if start in blocks:
                    _remember(self.noise, start, _relative_noise(blocks[start], decoded))
        return [packet.pts or 0 for packet in packets]

    def _decoder_of_packets(self) -> AudioCodecContext:
        if self._decoder is None:
            self._decoder = CodecContext.create("aac", "r")
            # Known once the encoder is open.
            self._decoder.extradata = self.context.extradata
        return self._decoder


def _careful_context(fast: AudioCodecContext) -> AudioCodecContext:
    context = CodecContext.create("aac", "w")
    context.format, context.layout = fast.format, fast.layout
    context.sample_rate, context.bit_rate = fast.sample_rate, fast.bit_rate
    options = _options(context.bit_rate or 0, context.layout.nb_channels)
    context.options = {"aac_coder": "twoloop", **options}
    return context


def _relative_noise(source: AudioFrame, decoded: AudioFrame) -> _Noise:
    worst, count = _NO_NOISE, source.samples
    for before, after in zip(source.planes, decoded.planes, strict=True):
        samples = np.frombuffer(memoryview(before), np.float32, count)
        noise = samples - np.frombuffer(memoryview(after), np.float32, count)
        ratio = float(noise @ noise) / (float(samples @ samples) + count * _MIN_POWER)
        if ratio > worst.total:
            tonal = (
                ratio * _tonal_share(noise, source.sample_rate) if ratio > _MAX_OVERFLOW else 0.0
            )
            worst = _Noise(ratio, max(worst.tonal, tonal))
    return worst


def _tonal_share(noise: Floats, rate: int) -> float:
    """Return the share of the strongest frequencies that are coded; it is small without a tone."""
    power = np.abs(np.fft.rfft(noise * np.hanning(noise.size))) ** 2
    coded = np.sort(power[: noise.size * _CUTOFF_HZ // rate])
    return float(coded[-_TONAL_BINS:].sum() / (power.sum() + _MIN_POWER))


def _remember(values: dict[int, _Value], start: int, value: _Value) -> None:
    values[start] = value
    if len(values) > _REMEMBERED_BLOCKS:
        del values[next(iter(values))]

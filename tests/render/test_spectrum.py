"""Tests of the levels against a plain computation of the same."""

from __future__ import annotations

import numpy as np
import pytest

from mp4gen.render.spectrum import FLOOR_DB, RATE, STEP_DB, LevelMeter


def measured(samples, fps=30, bands=64):
    """Return the levels of (2, n) samples, fed in uneven parts."""
    meter = LevelMeter(fps, bands)
    for part in np.array_split(samples.astype(np.float32), 7, axis=1):
        meter.feed(part)
    return meter.finish(samples.shape[1] * fps // RATE).astype(int)


def plain_levels(samples, fps, bands):
    """Compute each frame on its own: whole windows at the full rate, all bins, matrix products."""
    edges = np.geomspace(40, 12000, bands + 1)
    share = np.clip(np.log(700 / np.sqrt(edges[1:] * edges[:-1])) / np.log(700 / 300), 0, 1)
    tilt = np.linspace(0, 26, bands)
    third = round(RATE / fps / 3)
    early = max(0, round(third + 512 - 0.81 * RATE / fps)) + 512
    rows = []
    for row in range(samples.shape[1] * fps // RATE):
        place = round(row * RATE / fps)
        power = np.zeros(bands)
        for channel in (samples[0] + samples[1], samples[0] - samples[1]):
            low = spectrum(channel / 2, place - 2976, 4096) @ weights(edges, 4096)
            starts = (place - early + shift for shift in (-third, 0, third))
            high = np.max([spectrum(channel / 2, start, 1024) for start in starts], axis=0)
            power += low * share + high @ weights(edges, 1024) * (1 - share)
        rows.append((10 * np.log10(power + 1e-12) + tilt - FLOOR_DB) / STEP_DB)
    return np.clip(rows, 0, 255).astype(int)


def spectrum(channel, start, size):
    padded = np.pad(channel.astype(float), 8192)[start + 8192 :][:size]
    return np.abs(np.fft.rfft(padded * np.hanning(size) * 2 / size)) ** 2


def weights(edges, size):
    width = RATE / size
    bins = np.arange(size // 2 + 1)[:, None] * width
    spread = np.maximum(np.diff(edges) / 2, width)
    found = np.clip(1.5 - np.abs(bins - (edges[1:] + edges[:-1]) / 2) / spread, 0, 1)
    return found / found.sum(axis=0)


def wide_music(seconds):
    """Return notes and noise that come and go, different on both sides."""
    random = np.random.default_rng(4)
    t = np.arange(int(seconds * RATE)) / RATE
    swell = (1 + np.sin(2 * np.pi * 1.7 * t)) ** 4 / 160
    samples = random.standard_normal((2, t.size)) * swell
    for _ in range(40):
        start, hz = random.uniform(0, seconds), 50 * 2 ** random.uniform(0, 7)
        after = np.maximum(t - start, 0)
        note = np.sin(2 * np.pi * hz * after) * np.exp(-6 * after) * 0.2
        samples += note * random.uniform(0, 1, (2, 1))
    return samples


@pytest.mark.parametrize(("fps", "bands"), [(30, 64), (24, 48), (60, 64)])
def test_levels_are_those_of_a_plain_computation(fps, bands):
    """No short cut changes a level by more than one step, and few by one."""
    samples = wide_music(1.0)

    levels, plain = measured(samples, fps, bands), plain_levels(samples, fps, bands)

    assert plain.max() > 150
    assert np.abs(levels - plain).max() <= 1
    assert (levels != plain).mean() < 0.03


@pytest.mark.parametrize("hz", [3300.0, 3900.0, 4070.0, 7950.0, 11900.0])
def test_treble_does_not_show_in_the_low_bands(hz):
    """The low bands are measured at a lower rate; what does not fit is filtered out before."""
    tone = np.tile(np.sin(2 * np.pi * hz * np.arange(RATE) / RATE), (2, 1))

    levels = measured(tone)[5:-5]

    assert (levels[:, :30].max() - levels.max()) * STEP_DB < -70


def test_one_channel_twice_is_as_loud_as_two():
    """The side is left out if it is silent, and not before."""
    samples = wide_music(0.5)
    samples[1] = samples[0]
    almost = samples + np.array([[1e-3], [-1e-3]])

    assert np.abs(measured(samples) - measured(almost))[:, 5:].max() <= 1

"""The loudness of each frame, and the heights of a waveform's columns."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from mp4gen.render.analysis import analyse
from mp4gen.render.clip import Clip
from mp4gen.render.loudness import Loudness, LoudnessMeter
from mp4gen.render.motion import swells
from mp4gen.render.spectrum import RATE
from mp4gen.render.waveform import column_heights


@pytest.mark.parametrize("fps", [24, 30, Fraction(30000, 1001), 60])
def test_loudness_is_that_of_the_frame_however_the_samples_arrive(fps):
    """Each frame has the samples from its own time to the next frame's."""
    samples = np.random.default_rng(3).uniform(-1, 1, (2, 2 * RATE)).astype(np.float32)
    bounds = [round(number * RATE / fps) for number in range(41)]
    parts = [samples[:, start:end] for start, end in itertools.pairwise(bounds)]

    for size in (997, bounds[3], samples.shape[1]):
        meter = LoudnessMeter(fps)
        for start in range(0, samples.shape[1], size):
            meter.feed(samples[:, start : start + size])
        found = meter.finish(40)

        np.testing.assert_allclose(
            found.rms, [np.sqrt(np.square(part).mean()) for part in parts], rtol=1e-3
        )
        np.testing.assert_allclose(found.peaks, [np.abs(part).max() for part in parts])


def test_silence_follows_the_last_sample():
    """The last frame may be longer than the music."""
    meter = LoudnessMeter(30)
    meter.feed(np.full((2, 100), -0.5, np.float32))

    found = meter.finish(3)

    assert found.peaks.tolist() == [0.5, 0, 0]
    assert found.rms[1:].tolist() == [0, 0]
    assert found.rms[0] == pytest.approx(0.5 * np.sqrt(100 / 1067), rel=1e-3)


def test_loudness_is_that_of_the_clip(tools, tmp_path):
    """The music before and after the clip has no frames."""
    samples = tools.tone(3.0, 32000) * np.repeat([0.1, 1.0, 0.1], 32000).astype(np.float32)
    music = tools.encode(tmp_path / "t.wav", samples, 32000)

    whole = analyse(music, fps=30, bands=8, max_duration=9).loudness
    clip = analyse(music, fps=30, bands=8, max_duration=9, clip=Clip(1.0, 1.0)).loudness

    assert (whole.rms.size, clip.rms.size) == (90, 30)
    np.testing.assert_allclose(clip.rms[2:-2], whole.rms[32:58], rtol=1e-3)
    assert clip.peaks.max() == whole.peaks.max()


def test_columns_are_relative_to_the_loud_parts():
    """A quiet recording has the same columns as a loud one."""
    rms = np.repeat([0.1, 0.4, 0.2], 50).astype(np.float32)

    loud = column_heights(Loudness(rms, rms * 2), 6)
    quiet = column_heights(Loudness(rms / 50, rms / 25), 6)

    np.testing.assert_allclose(loud, quiet, rtol=1e-4)
    assert loud.tolist() == pytest.approx([0.25**1.35] * 2 + [1] * 2 + [0.5**1.35] * 2, rel=1e-3)


def test_more_columns_than_frames_and_silence():
    """A short clip has columns too, and silence has none that rise."""
    few = np.array([0.2, 0.4], np.float32)

    assert column_heights(Loudness(few, few), 5).size == 5
    assert column_heights(Loudness(few * 0, few * 0), 5).tolist() == [0] * 5


def test_swells_rise_at_once_and_fall_slowly():
    """What one frame shows depends on the music alone."""
    loudness = np.array([0, 1, 0, 0, 0.9, 0], np.float32)

    found = swells(loudness, 30)

    assert found[:2].tolist() == [0, 1]
    assert found[2] == pytest.approx(np.exp(-1 / (30 * 0.18)))
    assert found[4] == pytest.approx(0.9)

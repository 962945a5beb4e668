"""Tests of the analysis and the motion of the bars."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from mp4gen.errors import RenderCancelledError, RenderError
from mp4gen.render import analysis, spectrum
from mp4gen.render.analysis import analyse
from mp4gen.render.motion import CONTRAST, animate
from mp4gen.render.spectrum import FLOOR_DB, STEP_DB


def measured(path, **options):
    return analyse(path, **{"fps": 30, "bands": 64, "max_duration": 60.0, **options})


def bars_of(path):
    """Return the heights of all frames, (frames, bars), and their glows."""
    runs = list(animate(measured(path), 30))
    return np.concatenate([run.heights for run in runs]), np.concatenate(
        [run.glows for run in runs]
    )


@pytest.mark.slow
def test_levels_peak_in_the_band_of_a_tone(tools, tmp_path):
    """A low, a middle and a high tone are loudest in their own bands."""
    edges = np.geomspace(spectrum.MIN_HZ, spectrum.MAX_HZ, 65)
    for hz in (60.0, 440.0, 5000.0):
        music = tools.encode(tmp_path / "t.wav", tools.tone(1.0, hz=hz))

        features = measured(music)

        loudest = features.levels[5:25].astype(float).mean(axis=0).argmax()
        assert abs(loudest - (np.searchsorted(edges, hz) - 1)) <= 1


@pytest.mark.slow
def test_analysis_has_one_row_per_frame(tools, tmp_path):
    """The rows cover the audio to the frame, at any frame rate."""
    music = tools.encode(tmp_path / "t.wav", tools.tone(1.99))

    for fps, rows in ((24, 48), (25, 50), (30, 60), (60, 120)):
        features = measured(music, fps=fps, bands=48)
        assert features.levels.shape == (rows, 48)
        assert features.duration == pytest.approx(1.99, abs=0.001)


def test_analysis_follows_a_change_of_sample_rate(tools, tmp_path):
    """Two MP3s of different rates in one file are decoded to the end."""
    both = tools.two_formats(tmp_path, ".mp3")

    assert measured(both).duration == pytest.approx(3.0, abs=0.3)


def test_analysis_stops_when_cancelled(tone_wav):
    """The token is read between packets."""
    cancel = threading.Event()
    cancel.set()

    with pytest.raises(RenderCancelledError):
        measured(tone_wav, cancel=cancel)


def test_analysis_checks_max_duration_while_decoding(tools, tmp_path):
    """Raw AAC has no header, so its duration is counted while decoding."""
    music = tools.encode(tmp_path / "t.aac", tools.tone(3.0))

    with pytest.raises(RenderError, match=r"is longer than 0\.03333 minutes"):
        measured(music, max_duration=2.0)


@pytest.mark.parametrize("ending", [".wav", ".mp3"])
def test_stereo_in_opposite_phases_moves_as_much_as_in_equal_ones(tools, tmp_path, ending):
    """Left and right cancel out in their sum, but are heard."""
    samples = tools.clicks([0.5], 1.0)
    equal = tools.encode(tmp_path / f"equal{ending}", samples)
    opposite = tools.encode(tmp_path / f"opposite{ending}", samples * [[1], [-1]])

    levels = [measured(music).levels.astype(int) for music in (equal, opposite)]

    assert levels[0].max() > 100
    assert np.abs(levels[0] - levels[1])[levels[0] > 100].max() <= (1 if ending == ".wav" else 6)


def test_one_side_alone_is_as_loud_as_it_sounds(tools, tmp_path):
    """Half of the channels are half of the power: 3 dB less."""
    samples = tools.tone(1.0)
    both = tools.encode(tmp_path / "both.wav", samples)
    left = tools.encode(tmp_path / "left.wav", samples * [[1], [0]])

    levels = [measured(music).levels.astype(int).max() for music in (both, left)]

    assert (levels[0] - levels[1]) * STEP_DB == pytest.approx(3.0, abs=STEP_DB)


@pytest.mark.parametrize("channel", [0, 1])
def test_peak_is_that_of_any_channel(tools, tmp_path, channel):
    """A mono mix would halve it."""
    samples = tools.tone(1.0) * 0.1
    samples[channel, 20_000] = 0.9
    music = tools.encode(tmp_path / "t.wav", samples)

    assert measured(music).peak == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(("low", "high"), [(900.0, 9000.0), (50.0, 500.0), (300.0, 5000.0)])
def test_bars_are_spread_over_what_the_track_holds(tools, tmp_path, low, high):
    """A violin has no bass and an old recording no treble; no bar stays down for it."""
    sweep = np.geomspace(low, high, 3 * 44100)
    samples = 0.4 * np.sin(2 * np.pi * np.cumsum(sweep) / 44100)
    music = tools.encode(tmp_path / "t.wav", np.tile(samples.astype(np.float32), (2, 1)))

    heights, _ = bars_of(music)

    moving = heights.max(axis=0) > 0.3
    assert moving.mean() > 0.85


def test_digest_depends_on_the_audio_only(tone_wav):
    """Frame rate and number of bands do not change the digest."""
    assert measured(tone_wav).digest == measured(tone_wav, fps=60, bands=48).digest


def test_bars_rest_in_silence(tools, tmp_path):
    """Noise below the reference level moves nothing."""
    music = tools.encode(tmp_path / "t.mp3", np.zeros((2, 44100), np.float32))

    heights, glows = bars_of(music)

    assert heights.max() < 0.05
    assert glows.max() == 0.0


def test_no_band_moves_without_any_sound(tools, tmp_path):
    """The tilt that lifts high bands lifts nothing out of nothing."""
    heights, _ = bars_of(tools.encode(tmp_path / "t.wav", np.zeros((2, 44100), np.float32)))

    assert heights.max() == 0.0


@pytest.mark.slow
def test_bars_move_alike_for_quiet_and_loud_audio(tools, tmp_path):
    """Loudness is relative to the track."""
    loud = tools.encode(tmp_path / "loud.wav", tools.clicks([0.5, 1.1, 1.7], 2.2))
    quiet = tools.encode(tmp_path / "quiet.wav", tools.clicks([0.5, 1.1, 1.7], 2.2) * 0.05)

    heights = [bars_of(music)[0] for music in (loud, quiet)]

    assert np.abs(heights[0] - heights[1]).max() < 0.12


def test_bars_rise_at_once_and_fall_within_a_second(tools, tmp_path):
    """After a click the bars fall faster and faster."""
    music = tools.encode(tmp_path / "t.wav", tools.clicks([0.5], 2.0))

    energy = bars_of(music)[0].mean(axis=1)

    top = int(energy.argmax())
    assert top in (15, 16)
    assert energy[top - 2] < 0.1 * energy[top]
    assert np.all(np.diff(energy[top + 1 : top + 25]) <= 1e-6)
    assert energy[top + 25] < 0.02


def test_glow_follows_onsets(tools, tmp_path):
    """The glow rises with a click and fades."""
    music = tools.encode(tmp_path / "t.wav", tools.clicks([0.5, 1.5], 2.0))

    glow = bars_of(music)[1]

    assert glow[10] == 0.0
    assert max(glow[14:18]) > 0.5
    assert glow[28] < 0.1
    assert max(glow[44:48]) > 0.5


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_fall_times_are_equal_at_every_frame_rate(fps):
    """A full bar falls in half a second, most of a glow in an eighth."""
    levels = np.zeros((2 * fps, 64), np.uint8)
    levels[fps // 2] = 200
    features = analysis.Features(levels, duration=2.0)

    parts = zip(*((run.heights, run.glows) for run in animate(features, fps)), strict=True)
    heights, glows = map(np.concatenate, parts)

    down = np.flatnonzero(heights[fps // 2 :].max(axis=1) < 1e-3)[0] / fps
    dim = np.flatnonzero(glows[fps // 2 :] < 0.37)[0] / fps
    assert heights[fps // 2].min() == glows[fps // 2] == 1.0
    assert down == pytest.approx(0.5, abs=1.5 / fps)
    assert dim == pytest.approx(0.12, abs=1.5 / fps)


def test_bass_rises_just_after_it_is_heard(tools, tmp_path):
    """A low tone has half of its amplitude 25 ms after its start: its bar never leads."""
    samples = tools.tone(1.0, hz=60.0)
    music = tools.encode(tmp_path / "t.wav", np.concatenate([0 * samples, samples], axis=1))

    levels = measured(music, fps=60).levels.astype(float)

    rise = levels[:, levels[75].argmax()] * STEP_DB
    half = rise[75] - 20 * np.log10(2)
    after = int(np.flatnonzero(rise > half)[0])
    frame = after - (rise[after] - half) / (rise[after] - rise[after - 1])
    assert frame / 60 - 1.0 == pytest.approx(0.025, abs=0.012)


def test_neighbouring_bars_are_smoothed():
    """A single loud band becomes a hill: its two neighbours rise with it."""
    levels = np.zeros((2, 64), np.uint8)
    levels[1, [0, 20, 63]] = 200
    features = analysis.Features(levels, duration=0.1)

    (run,) = animate(features, 30)
    heights = run.heights

    hill = [0.0, 0.2**CONTRAST, 0.6**CONTRAST, 0.2**CONTRAST, 0.0]
    assert heights[1, 18:23].tolist() == pytest.approx(hill, abs=1e-4)


def test_levels_take_one_byte_each(tone_wav):
    """The features of an hour stay below 8 MB."""
    levels = measured(tone_wav).levels

    assert levels.dtype == np.uint8
    assert FLOOR_DB + 255 * STEP_DB > 6
    assert levels.nbytes / 2.0 * 3600 < 8e6


def onset_strengths(samples: np.ndarray, frame_count: int) -> np.ndarray:
    """Return how much louder the spectrum is than a frame before, computed independently."""
    padded = np.pad(samples[0], 735)
    windows = [padded[i * 1470 : i * 1470 + 1470] * np.hanning(1470) for i in range(frame_count)]
    loudness = np.log1p(30 * np.abs(np.fft.rfft(windows, axis=1))[:, 4:400])
    return np.maximum(np.diff(loudness, axis=0, prepend=loudness[:1]), 0).mean(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_motion_correlates_with_its_own_audio_only(tools, tmp_path, seed):
    """Motion follows onset strength, and does not match the same audio shifted."""
    rng = np.random.default_rng(seed)
    samples = tools.clicks(np.sort(rng.uniform(0.3, 5.6, 12)), 6.0) * 0.5
    for start in np.sort(rng.uniform(0.1, 5.0, 14)):
        t = np.arange(44100) / 44100
        note = np.sin(2 * np.pi * 110 * 2 ** rng.uniform(0, 4) * t) * np.exp(-5 * t) * 0.3
        place = int(start * 44100)
        samples[:, place : place + note.size] += note.astype(np.float32)
    path = tools.encode(tmp_path / "t.wav", samples)
    heights, _ = bars_of(path)
    movement = np.maximum(np.diff(heights, axis=0, prepend=heights[:1]), 0).sum(axis=1)
    onsets = onset_strengths(samples, movement.size)

    moving = float(np.corrcoef(movement, onsets)[0, 1])
    shifted = float(np.corrcoef(movement, np.roll(onsets, 67))[0, 1])

    assert moving > 0.4
    assert moving > 3 * abs(shifted)


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_bands_rest_at_the_end(fps):
    """The last frame is shown for long; a short clip has no time for an ending."""
    long, short = (
        list(animate(analysis.Features(np.full((count, 8), 200, np.uint8), count / fps), fps))
        for count in (10 * fps, 5 * fps)
    )
    heights = np.concatenate([run.heights for run in long])

    before = 10 * fps - round(1.2 * fps)
    assert heights[before - 1].min() > 0.5
    assert (np.diff(heights[before - 1 :], axis=0) <= 0).all()
    assert heights[-1].max() == 0
    assert short[-1].heights[-1].min() > 0.5

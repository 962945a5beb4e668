"""What is heard is measured where and when it sounds, in memory that does not grow."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from mp4gen.errors import RenderCancelledError, RenderError
from mp4gen.render import analysis
from mp4gen.render.analysis import FLOOR_DB, STEP_DB, analyse
from mp4gen.render.motion import animate


def measured(path, **options):
    return analyse(path, **{"fps": 30, "bands": 64, "max_duration": 60.0, **options})


def bars_of(path):
    """The heights of all pictures, (pictures, bars), and their glows."""
    heights, glows = zip(*animate(measured(path), 30), strict=True)
    return np.concatenate(heights), np.concatenate(glows)


def test_a_tone_is_loudest_in_its_own_band(tools, tmp_path):
    """Low, middle and high tones light up the bars that stand for them."""
    edges = np.geomspace(analysis.MIN_HZ, analysis.MAX_HZ, 65)
    for hz in (60.0, 440.0, 5000.0):
        music = tools.encode(tmp_path / "t.wav", tools.tone(1.0, hz=hz))

        features = measured(music)

        loudest = features.levels[5:25].astype(float).mean(axis=0).argmax()
        assert abs(loudest - (np.searchsorted(edges, hz) - 1)) <= 1


def test_there_is_a_row_for_every_picture(tools, tmp_path):
    """The picture lasts as long as the sound, to a frame, at any rate."""
    music = tools.encode(tmp_path / "t.wav", tools.tone(1.99))

    for fps, rows in ((24, 48), (25, 50), (30, 60), (60, 120)):
        features = measured(music, fps=fps, bands=48)
        assert features.levels.shape == (rows, 48)
        assert features.duration == pytest.approx(1.99, abs=0.001)


def test_a_change_of_rate_on_the_way_is_followed(tools, tmp_path):
    """Two MP3s of different rates in one file are heard to the end."""
    first = tools.encode(tmp_path / "a.mp3", tools.tone(1.5, 44100), 44100)
    second = tools.encode(tmp_path / "b.mp3", tools.tone(1.5, 22050, channels=1), 22050)
    both = tmp_path / "both.mp3"
    both.write_bytes(first.read_bytes() + second.read_bytes())

    assert measured(both).duration == pytest.approx(3.0, abs=0.3)


def test_cancel_ends_the_analysis(tone_wav):
    """It is looked at between packets."""
    cancel = threading.Event()
    cancel.set()

    with pytest.raises(RenderCancelledError):
        measured(tone_wav, cancel=cancel)


def test_the_limit_is_kept_whatever_the_header_says(tools, tmp_path):
    """Raw AAC has no header; its length is counted while decoding."""
    music = tools.encode(tmp_path / "t.aac", tools.tone(3.0))

    with pytest.raises(RenderError, match="longer than the limit"):
        measured(music, max_duration=2.0)


def test_the_same_music_has_the_same_digest_at_any_size(tone_wav):
    """The colours made from it do not change with the video's shape."""
    assert measured(tone_wav).digest == measured(tone_wav, fps=60, bands=48).digest


def test_silence_leaves_the_bars_at_rest(tools, tmp_path):
    """No noise is blown up to fill the picture."""
    music = tools.encode(tmp_path / "t.mp3", np.zeros((2, 44100), np.float32))

    heights, glows = bars_of(music)

    assert heights.max() < 0.05
    assert glows.max() == 0.0


def test_a_quiet_recording_moves_as_much_as_a_loud_one(tools, tmp_path):
    """Loudness is judged against the track's own."""
    loud = tools.encode(tmp_path / "loud.wav", tools.clicks([0.5, 1.1, 1.7], 2.2))
    quiet = tools.encode(tmp_path / "quiet.wav", tools.clicks([0.5, 1.1, 1.7], 2.2) * 0.05)

    heights = [bars_of(music)[0] for music in (loud, quiet)]

    assert np.abs(heights[0] - heights[1]).max() < 0.12


def test_bars_rise_at_once_and_fall_in_time(tools, tmp_path):
    """After a click the bars come down ever faster, and are down within a second."""
    music = tools.encode(tmp_path / "t.wav", tools.clicks([0.5], 2.0))

    energy = bars_of(music)[0].mean(axis=1)

    top = int(energy.argmax())
    assert top in (15, 16)
    assert energy[top - 2] < 0.1 * energy[top]
    assert np.all(np.diff(energy[top + 1 : top + 25]) <= 1e-6)
    assert energy[top + 25] < 0.02


def test_a_beat_glows_and_fades(tools, tmp_path):
    """The glow follows onsets, not loudness."""
    music = tools.encode(tmp_path / "t.wav", tools.clicks([0.5, 1.5], 2.0))

    glow = bars_of(music)[1]

    assert glow[10] == 0.0
    assert max(glow[14:18]) > 0.5
    assert glow[28] < 0.1
    assert max(glow[44:48]) > 0.5


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_light_and_bars_fall_in_the_same_time_at_every_rate(fps):
    """Half a second for a full bar, an eighth for most of a beat's light."""
    levels = np.zeros((2 * fps, 64), np.uint8)
    levels[fps // 2] = 200
    features = analysis.Features(
        levels, duration=2.0, damaged_packets=0, format_changes=False, digest=b""
    )

    heights, glows = (np.concatenate(part) for part in zip(*animate(features, fps), strict=True))

    down = np.flatnonzero(heights[fps // 2 :].max(axis=1) < 1e-3)[0] / fps
    dim = np.flatnonzero(glows[fps // 2 :] < 0.37)[0] / fps
    assert heights[fps // 2].min() == glows[fps // 2] == 1.0
    assert down == pytest.approx(0.5, abs=1.5 / fps)
    assert dim == pytest.approx(0.12, abs=1.5 / fps)


def test_levels_are_one_byte_each(tone_wav):
    """An hour of features stays under 8 MB."""
    levels = measured(tone_wav).levels

    assert levels.dtype == np.uint8
    assert FLOOR_DB + 255 * STEP_DB > 6
    assert levels.nbytes / 2.0 * 3600 < 8e6


def onset_strengths(samples: np.ndarray, pictures: int) -> np.ndarray:
    """How much of the spectrum is louder than a picture before, by another way than ours."""
    padded = np.pad(samples[0], 735)
    windows = [padded[i * 1470 : i * 1470 + 1470] * np.hanning(1470) for i in range(pictures)]
    loudness = np.log1p(30 * np.abs(np.fft.rfft(windows, axis=1))[:, 4:400])
    return np.maximum(np.diff(loudness, axis=0, prepend=loudness[:1]), 0).mean(axis=1)


@pytest.mark.parametrize("seed", [1, 2])
def test_pictures_move_with_the_music_and_with_no_other(tools, tmp_path, seed):
    """Movement follows onset strength; with the same music shifted it has nothing in common."""
    chance = np.random.default_rng(seed)
    samples = tools.clicks(np.sort(chance.uniform(0.3, 5.6, 12)), 6.0) * 0.5
    for start in np.sort(chance.uniform(0.1, 5.0, 14)):
        t = np.arange(44100) / 44100
        note = np.sin(2 * np.pi * 110 * 2 ** chance.uniform(0, 4) * t) * np.exp(-5 * t) * 0.3
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

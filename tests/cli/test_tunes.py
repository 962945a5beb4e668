"""The demo's music, listened to by measuring."""

from __future__ import annotations

import wave
from io import BytesIO

import attrs
import numpy as np
import pytest

from mp4gen.cli.tunes import PIECES, Piece, drums
from mp4gen.cli.tunes.desk import CEILING, Stereo
from mp4gen.cli.tunes.score import Band, Part, wav
from mp4gen.cli.tunes.voices import RATE, hertz


@pytest.fixture(scope="module", params=PIECES, ids=lambda piece: piece.title)
def played(request: pytest.FixtureRequest) -> tuple[Piece, Stereo]:
    piece: Piece = request.param
    return piece, piece.sound()


def decibels(sound: Stereo) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(sound, dtype=np.float64))) + 1e-9))


def onsets_fit(sound: Stereo, tempo: float) -> float:
    """How well the sound's rises in energy repeat after one beat."""
    hop = RATE // 100
    energy = np.square(sound.mean(axis=0)[: sound.shape[1] // hop * hop]).reshape(-1, hop).sum(1)
    rises = np.clip(np.diff(np.log(energy + 1e-6)), 0, None)
    rises -= rises.mean()
    lag = round(60 / tempo * 100)
    return float(np.dot(rises[:-lag], rises[lag:]) / np.dot(rises, rises))


def test_a_piece_is_as_loud_as_music_and_never_clips(played: tuple[Piece, Stereo]) -> None:
    """Between -16 and -12 dBFS, its peaks below the ceiling, nothing but finite numbers."""
    _, sound = played

    assert -16 < decibels(sound) < -12
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= CEILING + 1e-6


def test_a_piece_lasts_long_enough_and_ends_in_silence(played: tuple[Piece, Stereo]) -> None:
    """20 to 30 seconds; it fades away in place of being cut off."""
    piece, sound = played

    assert 20 <= piece.seconds <= 30
    assert sound.shape == (2, int(piece.seconds * RATE))
    assert decibels(sound[:, -RATE // 50 :]) < -60


def test_a_piece_has_no_hole_in_it(played: tuple[Piece, Stereo]) -> None:
    """Every second before the last chord rings on is heard."""
    piece, sound = played
    seconds = int(piece.beats * 60 / piece.tempo)

    quietest = min(decibels(sound[:, at * RATE : (at + 1) * RATE]) for at in range(seconds))

    assert quietest > -30


def test_a_piece_is_stereo_and_well_balanced(played: tuple[Piece, Stereo]) -> None:
    """The two sides differ, and neither drowns the other."""
    _, sound = played

    assert abs(decibels(sound[:1]) - decibels(sound[1:])) < 2.0
    assert np.corrcoef(sound)[0, 1] < 0.95


def test_a_piece_has_sound_in_every_region(played: tuple[Piece, Stereo]) -> None:
    """Bass, middle and treble all move, so that the picture's bars do."""
    _, sound = played
    power = np.abs(np.fft.rfft(sound.mean(axis=0))) ** 2
    pitch = np.fft.rfftfreq(sound.shape[1], 1 / RATE)

    for low, high in ((40, 250), (250, 1_000), (1_000, 4_000), (4_000, 14_000)):
        share = power[(pitch >= low) & (pitch < high)].sum() / power.sum()

        assert share > 0.001, f"{low} to {high} Hz"


def test_a_piece_keeps_its_tempo(played: tuple[Piece, Stereo]) -> None:
    """What is heard repeats after a beat more than after a beat and a third."""
    piece, sound = played

    assert onsets_fit(sound, piece.tempo) > onsets_fit(sound, piece.tempo * 0.75) + 0.03


def test_the_pieces_differ() -> None:
    """Three titles, three tempi."""
    assert len({piece.title for piece in PIECES}) == 3
    assert len({piece.tempo for piece in PIECES}) == 3


def test_a_piece_is_the_same_every_time() -> None:
    """Chance is seeded by the title alone."""

    def play(band: Band) -> None:
        band.drum(drums.snare, Part(0.5), range(4), 0.8)

    piece = Piece("Four Taps", tempo=240, beats=4, ring=0.5, swing=0.6, play=play)

    first, again, other = piece.sound(), piece.sound(), attrs.evolve(piece, title="More").sound()

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_wav_file_says_what_it_is_called() -> None:
    """16 bits, stereo, and the title in its INFO list; an even number of bytes in each chunk."""
    sound = np.zeros((2, 441), np.float32)

    raw = wav(sound, title="Odd")

    with wave.open(BytesIO(raw)) as file:
        shape = (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes())
    assert shape == (2, 2, RATE, 441)
    assert b"INAM\x04\x00\x00\x00Odd\x00" in raw


@pytest.mark.parametrize(
    ("note", "pitch"),
    [("A4", 440.0), ("A3", 220.0), ("C4", 261.63), ("Bb3", 233.08), ("F#2", 92.5)],
)
def test_a_note_has_its_pitch(note: str, pitch: float) -> None:
    """Equal temperament at 440 Hz."""
    assert hertz(note) == pytest.approx(pitch, abs=0.01)

"""The three pieces: which notes, by whom, when; makes no sound by itself."""

from __future__ import annotations

from . import drums, voices
from .score import Band, Part, Phrase, Piece, Player

# --- Harbour Lights: slow swing in E flat --------------------------------------------------

# (bass note, the right hand), one for each half bar.
_HARBOUR = [
    ("Eb2", "G3 Bb3 D4 F4"), ("Eb2", "G3 Bb3 D4 F4"),
    ("C2", "G3 Bb3 D4 Eb4"), ("C2", "G3 Bb3 D4 Eb4"),
    ("F2", "Ab3 C4 Eb4 G4"), ("F2", "Ab3 C4 Eb4 G4"),
    ("Bb1", "Ab3 C4 D4 G4"), ("Bb1", "Ab3 C4 D4 F4"),
    ("G2", "F3 Bb3 D4 F4"), ("G2", "F3 Bb3 D4 F4"),
    ("C2", "E3 Bb3 D4 G4"), ("C2", "E3 Bb3 Db4 G4"),
    ("F2", "Ab3 C4 Eb4 G4"), ("Bb1", "Ab3 D4 F4 G4"),
    ("Eb2", "G3 Bb3 C4 F4"), ("Eb2", "G3 Bb3 C4 F4"),
]  # fmt: skip
_HARBOUR_TUNE: list[Phrase] = [
    [(1.5, "Bb4", 0.5), (2, "D5", 1), (3, "F5", 0.5), (3.5, "D5", 0.5)],
    [(0, "Eb5", 1.5), (1.5, "D5", 0.5), (2, "Bb4", 1.8)],
    [(0.5, "C5", 0.5), (1, "Eb5", 0.5), (1.5, "G5", 1), (2.5, "F5", 0.5), (3, "Eb5", 0.5),
     (3.5, "C5", 0.5)],
    [(0, "D5", 1.5), (1.5, "C5", 0.5), (2, "Bb4", 0.5), (2.5, "G4", 1.4)],
    [(0.5, "Bb4", 0.5), (1, "D5", 0.5), (1.5, "F5", 1), (2.5, "G5", 0.5), (3, "F5", 0.5),
     (3.5, "D5", 0.5)],
    [(0, "E5", 1), (1, "D5", 0.5), (1.5, "C5", 0.5), (2, "Bb4", 1), (3, "G4", 0.5),
     (3.5, "Bb4", 0.5)],
    [(0, "Ab4", 0.5), (0.5, "C5", 0.5), (1, "Eb5", 1), (2, "D5", 0.5), (2.5, "C5", 0.5),
     (3, "Bb4", 0.5), (3.5, "D5", 0.5)],
    [(0, "Eb5", 0.5), (0.5, "F5", 0.5), (1, "G5", 3)],
]  # fmt: skip
# The last eighth of each bar leads into the next bar's bass note.
_HARBOUR_STEPS = ["Db2", "E2", "A1", "Ab2", "Db2", "E2", "D2"]


def _harbour_lights(band: Band) -> None:
    piano = Player(0.3, pan=-0.18, room=0.22, voice=voices.electric_piano)
    bass = Player(0.62, room=0.02, voice=voices.round_bass)
    bell = Player(0.5, pan=0.22, room=0.4, voice=voices.vibraphone)
    for half, (root, hand) in enumerate(_HARBOUR):
        beat = half * 2
        last = beat >= 28
        if not last:
            band.chord(piano, beat + (half % 2) * 0.5, hand, 1.4, 0.62)
            band.note(bass, beat, root, 1.35 if half % 2 == 0 else 0.9, 0.8)
        if half % 2 == 0 and not last:
            band.note(bass, beat + 1.5, root, 0.45, 0.5)
    for bar, step in enumerate(_HARBOUR_STEPS):
        band.note(bass, bar * 4 + 3.5, step, 0.42, 0.6)
    for bar, phrase in enumerate(_HARBOUR_TUNE):
        band.phrase(bell, bar * 4, phrase, 0.66 if bar < 4 else 0.8)
    band.chord(piano, 28, "Eb3 G3 Bb3 C4 F4", 4.5, 0.7)
    band.note(bass, 28, "Eb2", 4.0, 0.85)
    _harbour_drums(band)


def _harbour_drums(band: Band) -> None:
    low, high = Part(0.55, room=0.03), Part(0.2, pan=0.35, room=0.08)
    back = Part(0.55, pan=-0.08, room=0.2)
    bars = range(0, 28, 4)
    band.drum(drums.hat, high, [bar + b for bar in bars for b in (1, 3)], 0.75)
    band.drum(drums.hat, high, [bar + b for bar in bars for b in (0, 0.5, 1.5, 2, 2.5, 3.5)], 0.4)
    played = range(8, 28, 4)
    band.drum(drums.kick, low, [bar + b for bar in played for b in (0, 2.5)], 0.8)
    band.drum(drums.brush, back, [bar + b for bar in played for b in (1, 3)], 0.8)
    band.drum(drums.brush, back, [6, 6.5, 7, 7.5], 0.5)
    band.drum(drums.brush, back, [bar + 2.75 for bar in played], 0.28)
    band.drum(drums.kick, low, [28], 0.75)
    band.drum(drums.open_hat, high, [28], 0.6)


# --- Paper Lanterns: a waltz in D ------------------------------------------------------------

_LANTERNS = [
    ("D3", "A3 D4 F#4 A4"), ("C#3", "A3 C#4 E4 A4"),
    ("B2", "B3 D4 F#4 B4"), ("F#2", "A3 C#4 F#4 A4"),
    ("G2", "B3 D4 G4 B4"), ("F#2", "A3 D4 F#4 A4"), ("E2", "B3 D4 E4 G4"), ("A2", "A3 D4 E4 G4"),
    ("D3", "A3 D4 F#4 A4"), ("C#3", "A3 C#4 E4 A4"),
    ("B2", "B3 D4 F#4 B4"), ("F#2", "A3 C#4 F#4 A4"),
    ("G2", "B3 D4 G4 B4"), ("A2", "A3 C#4 E4 G4"), ("D2", "A3 D4 F#4 A4"), ("D2", "A3 D4 E4 F#4"),
]  # fmt: skip
_LANTERNS_TUNE: list[Phrase] = [
    [(0, "F#5", 2), (2, "E5", 1)], [(0, "E5", 2.8)], [(0, "D5", 2), (2, "F#5", 1)],
    [(0, "C#5", 2.8)], [(0, "B4", 1), (1, "D5", 1), (2, "G5", 1)], [(0, "F#5", 2), (2, "D5", 1)],
    [(0, "E5", 1), (1, "F#5", 1), (2, "G5", 1)], [(0, "E5", 2.8)],
    [(0, "A5", 2), (2, "F#5", 1)], [(0, "E5", 1), (1, "A5", 1), (2, "C#6", 1)],
    [(0, "B5", 2), (2, "A5", 1)], [(0, "F#5", 2.8)], [(0, "G5", 1), (1, "B5", 1), (2, "A5", 1)],
    [(0, "G5", 1), (1, "F#5", 1), (2, "E5", 1)], [(0, "D5", 2.8)], [(0, "A5", 1), (1, "D6", 3)],
]  # fmt: skip


def _paper_lanterns(band: Band) -> None:
    harp = Player(0.36, pan=-0.25, room=0.3, voice=voices.harp)
    box = Player(0.5, pan=0.25, room=0.5, echo=0.22, voice=voices.music_box)
    section = Player(0.15, room=0.45, voice=voices.strings)
    bass = Player(0.6, room=0.05, voice=voices.round_bass)
    for bar, (root, notes) in enumerate(_LANTERNS):
        beat, low = bar * 3, notes.split()
        last = bar == len(_LANTERNS) - 1
        if last:
            band.chord(harp, beat, "D3 A3 D4 F#4 A4 D5", 4, 0.8)
        else:
            for step, index in enumerate((0, 1, 2, 3, 2, 1)):
                strength = 0.78 if step == 0 else 0.56
                band.note(harp, beat + step / 2, low[index], 0.9, strength)
        band.note(bass, beat, root, 3.6 if last else 1.7, 0.72)
        if bar >= 4:
            loud = 0.5 if bar < 8 else 0.85
            band.chord(section, beat, " ".join(low[:3]), 3.4 if last else 2.9, loud)
        band.phrase(box, beat, _LANTERNS_TUNE[bar], 0.62 if bar < 8 else 0.76)
    _lantern_drums(band)


def _lantern_drums(band: Band) -> None:
    low, seeds = Part(0.5, room=0.05), Part(0.5, pan=0.3, room=0.15)
    steel = Part(0.4, pan=-0.45, room=0.5)
    band.drum(drums.shaker, seeds, [bar * 3 + b for bar in range(4, 15) for b in (1, 2)], 0.6)
    band.drum(
        drums.shaker, seeds, [bar * 3 + b for bar in range(8, 15) for b in (0.5, 1.5, 2.5)], 0.34
    )
    band.drum(drums.kick, low, [bar * 3 for bar in range(8, 16)], 0.62)
    band.drum(drums.brush, Part(0.4, pan=-0.1, room=0.25), [b * 3 + 2 for b in range(8, 15)], 0.6)
    band.drum(drums.triangle, steel, [12, 24, 36, 45], 0.7)


# --- Night Train: four to the floor, in A minor ------------------------------------------------

_TRAIN = [
    ("A1", "A3 C4 E4 G4", "A4 C5 E5 G5 A5"), ("F1", "A3 C4 E4 F4", "F4 A4 C5 E5 A5"),
    ("C2", "G3 C4 E4 G4", "G4 C5 E5 G5 C6"), ("G1", "G3 B3 D4 G4", "G4 B4 D5 G5 B5"),
]  # fmt: skip
_TRAIN_ARP = (0, 2, 1, 3, 2, 4, 3, 1, 0, 2, 1, 3, 4, 3, 2, 1)
_TRAIN_CALL: list[Phrase] = [
    [(0, "E5", 3)], [(0, "C5", 2), (2, "D5", 1.8)], [(0, "E5", 2), (2, "G5", 1.8)],
    [(0, "D5", 3.4)],
]  # fmt: skip
_TRAIN_ANSWER: list[Phrase] = [
    [(0, "E5", 1.5), (1.5, "D5", 0.5), (2, "C5", 1), (3, "A4", 0.5), (3.5, "B4", 0.5)],
    [(0, "C5", 1.5), (1.5, "D5", 0.5), (2, "E5", 1), (3, "A5", 1)],
    [(0, "G5", 1.5), (1.5, "E5", 0.5), (2, "D5", 0.5), (2.5, "E5", 0.5), (3, "C5", 1)],
    [(0, "D5", 1), (1, "B4", 0.5), (1.5, "D5", 0.5), (2, "G5", 1), (3, "F5", 0.5),
     (3.5, "D5", 0.5)],
]  # fmt: skip
_TRAIN_END = 48


def _night_train(band: Band) -> None:
    arp = Player(0.3, pan=0.3, room=0.18, pumped=True, echo=0.34, voice=voices.pluck)
    pad = Player(0.17, room=0.3, pumped=True, voice=voices.warm_pad)
    bass = Player(0.44, room=0.0, pumped=True, voice=voices.synth_bass)
    singer = Player(0.25, pan=-0.1, room=0.3, echo=0.3, voice=voices.lead)
    for bar in range(12):
        root, chord, ladder = _TRAIN[bar % 4]
        beat, rungs = bar * 4, ladder.split()
        band.chord(pad, beat, chord, 3.9, 0.5 + 0.035 * bar)
        for step, index in enumerate(_TRAIN_ARP):
            strength = (0.5 + 0.025 * bar) * (1.0 if step % 4 == 0 else 0.8)
            band.note(arp, beat + step / 4, rungs[index], 0.2, strength)
        if bar >= 4:
            _train_bass(band, bass, beat, root)
            phrase = _TRAIN_CALL if bar < 8 else _TRAIN_ANSWER
            band.phrase(singer, beat, phrase[bar % 4], 0.5 if bar < 8 else 0.74)
    band.chord(pad, _TRAIN_END, "A3 B3 C4 E4 A4", 2.6, 0.9)
    band.note(bass, _TRAIN_END, "A1", 2.2, 0.9)
    band.note(singer, _TRAIN_END, "E5", 2.2, 0.7)
    _train_drums(band)


def _train_bass(band: Band, bass: Player, beat: float, root: str) -> None:
    above = f"{root[:-1]}{int(root[-1]) + 1}"
    for step in range(8):
        name = above if step % 4 == 3 else root
        band.note(bass, beat + step / 2, name, 0.4, 0.82 if step % 2 else 0.6)


def _train_drums(band: Band) -> None:
    low, high = Part(0.7, room=0.02), Part(0.19, pan=0.25, room=0.06)
    back = Part(0.6, room=0.22)
    band.drum(drums.kick, low, range(8, 49), 0.9)
    band.drum(drums.hat, high, [beat + b for beat in range(48) for b in (0.25, 0.75)], 0.3)
    band.drum(drums.open_hat, high, [beat + 0.5 for beat in range(16, 48)], 0.62)
    band.drum(drums.clap, back, range(17, 48, 2), 0.72)
    band.drum(
        drums.snare, back, [15, 15.25, 15.5, 15.75, 31, 31.5, 31.75, 47, 47.25, 47.5, 47.75], 0.5
    )
    band.drum(drums.open_hat, Part(0.5, room=0.5), [16, 32, 48], 0.9)


PIECES = (
    Piece("Harbour Lights", tempo=84, beats=32, ring=2.6, swing=0.61, play=_harbour_lights),
    Piece("Paper Lanterns", tempo=126, beats=48, ring=2.4, swing=0.5, play=_paper_lanterns),
    Piece("Night Train", tempo=118, beats=48, ring=2.8, swing=0.52, play=_night_train),
)

"""From notes on bars to a WAV file: time, swing, a player's small unevenness; invents no music.

A tune is a function that is given a `Band` and plays on it; beats are counted from 0.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import attrs
import numpy as np

from .desk import Desk, Stereo
from .drums import Drum, kick
from .voices import RATE, Sound, Voice, hertz

# (beat, note, beats): a melody is a list of these.
Phrase = Sequence[tuple[float, str, float]]


@attrs.frozen
class Part:
    """One player's place.

    Attributes:
        gain: how loud.
        pan: -1 left to 1 right.
        room: how much of it the room hears.
        pumped: whether it makes way for the kick drum.
        echo: how loud the first repeat is, three sixteenths later; 0 for none.
    """

    gain: float
    pan: float = 0.0
    room: float = 0.15
    pumped: bool = False
    echo: float = 0.0


@attrs.frozen
class Player(Part):
    """One who plays notes; the voice is the instrument."""

    voice: Voice = attrs.field(kw_only=True)


@attrs.frozen
class Piece:
    """One piece of music.

    Attributes:
        title: what it is called.
        tempo: beats a minute.
        beats: its length, without what rings on.
        ring: seconds that it rings on.
        swing: where the second half of a beat falls; 0.5 is straight.
        play: puts its notes on a band.
    """

    title: str
    tempo: float
    beats: float
    ring: float
    swing: float
    play: Callable[[Band], None]

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return self.beats * 60 / self.tempo + self.ring

    def sound(self) -> Stereo:
        """The piece as it is heard; the same every time."""
        noise = np.random.default_rng(list(self.title.encode()))
        band = Band(self, noise)
        self.play(band)
        return band.desk.mixed(noise)


class Band:
    """The players of one piece."""

    def __init__(self, piece: Piece, noise: np.random.Generator) -> None:
        self.desk = Desk(piece.seconds)
        self._piece = piece
        self._noise = noise

    def note(self, player: Player, beat: float, name: str, beats: float, strength: float) -> None:
        """One note; `strength` from 0 to 1."""
        at, hold = self._at(beat), self._at(beat + beats) - self._at(beat)
        uneven = at + self._noise.normal(0, 0.004)
        struck = float(np.clip(strength * self._noise.normal(1, 0.06), 0, 1))
        sound = player.voice(hertz(name), hold, struck) * np.float32(0.3 + 0.7 * struck)
        self._add(sound, player, uneven)

    def chord(self, player: Player, beat: float, names: str, beats: float, strength: float) -> None:
        """A chord, rolled a little from below, spread a little from left to right."""
        notes = names.split()
        for place, name in enumerate(notes):
            spread = (place / max(1, len(notes) - 1) - 0.5) * 0.5
            hand = attrs.evolve(player, pan=player.pan + spread)
            self.note(hand, beat + place * 0.018, name, beats, strength * (0.9 + 0.1 * place))

    def phrase(self, player: Player, beat: float, phrase: Phrase, strength: float) -> None:
        """A melody that begins at `beat`; the beat is leaned on."""
        for offset, name, beats in phrase:
            weight = 1.0 if offset == int(offset) else 0.88
            self.note(player, beat + offset, name, beats * 0.96, strength * weight)

    def drum(self, drum: Drum, part: Part, beats: Iterable[float], strength: float) -> None:
        """One drum at all these beats."""
        for beat in beats:
            struck = float(np.clip(strength * self._noise.normal(1, 0.08), 0, 1))
            at = self._at(beat) + self._noise.normal(0, 0.002)
            if drum is kick:
                self.desk.kick_at(at)
            self._add(drum(struck, self._noise), part, at)

    def _add(self, sound: Sound, part: Part, at: float) -> None:
        later = 0.75 * 60 / self._piece.tempo
        repeats = 4 if part.echo else 1
        for repeat in range(repeats):
            self.desk.add(
                sound,
                at + repeat * later,
                pan=part.pan if repeat == 0 else (0.7 if repeat % 2 else -0.7),
                gain=part.gain * (part.echo**repeat if repeat else 1.0),
                room=part.room,
                pumped=part.pumped,
            )

    def _at(self, beat: float) -> float:
        """The second of a beat; what lies between two beats swings."""
        whole = float(np.floor(beat))
        rest = beat - whole
        late = self._piece.swing
        bent = rest * 2 * late if rest < 0.5 else late + (rest - 0.5) * 2 * (1 - late)
        return (whole + bent) * 60 / self._piece.tempo


def write_tune(piece: Piece, folder: Path) -> Path:
    """Play a piece into a WAV file named after it, in 16 bits, with its title inside."""
    path = folder / f"{piece.title}.wav"
    path.write_bytes(wav(piece.sound(), title=piece.title))
    return path


def wav(sound: Stereo, *, title: str) -> bytes:
    """A 16-bit WAV file of `sound`, titled by its INFO list."""
    grain = np.random.default_rng(0).random((2, *sound.shape), np.float32)
    dithered = np.round(sound * 32_766 + grain[0] - grain[1])
    samples = np.clip(dithered, -32_768, 32_767).astype("<i2").T.tobytes()
    shape = struct.pack("<HHIIHH", 1, 2, RATE, RATE * 4, 4, 16)
    name = _chunk(b"INAM", title.encode() + b"\0")
    body = _chunk(b"fmt ", shape) + _chunk(b"LIST", b"INFO" + name) + _chunk(b"data", samples)
    return _chunk(b"RIFF", b"WAVE" + body)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

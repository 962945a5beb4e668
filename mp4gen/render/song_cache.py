"""Keep what several videos of one song have in common. Decodes and encodes nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from av import AudioStream, Packet

    from .analysis import Features
    from .source_version import Version

# Of encoded audio, for instance ten minutes at 320 kb/s.
MAX_AUDIO_BYTES = 24 << 20


class AudioStep(NamedTuple):
    """The packets that a frame of decoded audio completed, and the samples encoded until then."""

    samples: int
    packets: Sequence[Packet[AudioStream]]


class AudioSteps(NamedTuple):
    """Encoded audio: all its steps, and the packets of the encoder's end."""

    steps: Sequence[AudioStep]
    rest: Sequence[Packet[AudioStream]]


class SongCache:
    """The analysis and the encoded audio of a song, for further videos of it.

    Pass the same one to several calls of `render_video`, one after the other. It keeps those of
    one version of one file, and of the audio at most 24 MB.
    """

    def __init__(self) -> None:
        self._version: Version | None = None
        self._features: dict[Hashable, Features] = {}
        self._audio: dict[Hashable, AudioSteps] = {}

    def features(
        self, version: Version | None, key: Hashable, analyse: Callable[[], Features]
    ) -> Features:
        """Return the analysis of this version of a file, made by `analyse` if it is new."""
        self._keep_only(version)
        if version is None:
            return analyse()
        if key not in self._features:
            self._features[key] = analyse()
        return self._features[key]

    def audio(self, version: Version | None, key: Hashable) -> AudioSteps | None:
        """Return the encoded audio of this version of a file, or None if it is new."""
        return self._audio.get(key) if version == self._version else None

    def add_audio(self, version: Version | None, key: Hashable, audio: AudioSteps) -> None:
        """Keep encoded audio, instead of older audio if that is too much."""
        if version is None or version != self._version:
            return
        self._audio[key] = audio
        while sum(map(_size, self._audio.values())) > MAX_AUDIO_BYTES:
            del self._audio[next(iter(self._audio))]

    def _keep_only(self, version: Version | None) -> None:
        if version != self._version:
            self._version = version
            self._features.clear()
            self._audio.clear()


def _size(audio: AudioSteps) -> int:
    packets = [packet for step in audio.steps for packet in step.packets]
    return sum(packet.size for packet in [*packets, *audio.rest])

"""Choose how the audio gets into a file: copied, encoded, or as it was encoded before."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from av import AudioFrame, AudioStream, Packet
from av.container import OutputContainer

from .audio_track import AudioEncoder, AudioPlan, StreamCopy, add_aac, add_flac
from .cancellation import CancelToken
from .options import PathLike
from .song_cache import AudioStep, AudioSteps, SongCache
from .source_version import version_of


def open_audio_writer(
    audio_plan: AudioPlan,
    path: PathLike,
    output: OutputContainer,
    cancel: CancelToken | None,
    cache: SongCache | None = None,
) -> StreamCopy | AudioEncoder | EncodedAudio:
    """Add the audio stream to the output; a cache may have it already, or gets it."""
    if audio_plan.copied:
        return StreamCopy(path, output, cancel)
    if cache is None:
        return AudioEncoder(audio_plan, path, output, cancel)
    version = version_of(path)
    if steps := cache.audio(version, audio_plan):
        return EncodedAudio(audio_plan, steps, output)
    store = functools.partial(cache.add_audio, version, audio_plan)
    return RecordingEncoder(audio_plan, path, output, cancel, store)


class RecordingEncoder(AudioEncoder):
    """Encodes, and gives all packets to `store` at the end."""

    def __init__(
        self,
        plan: AudioPlan,
        path: PathLike,
        output: OutputContainer,
        cancel: CancelToken | None,
        store: Callable[[AudioSteps], object],
    ) -> None:
        super().__init__(plan, path, output, cancel)
        self._store = store
        self._steps: list[AudioStep] = []
        self._packets: list[Packet[AudioStream]] = []

    def finish(self) -> None:
        """Write the rest, and store all."""
        super().finish()
        self._store(AudioSteps(self._steps, self._packets))

    def _encode(self, frame: AudioFrame) -> None:
        super()._encode(frame)
        self._steps.append(AudioStep(self._sent, self._packets))
        self._packets = []

    def _write(self, packet: Packet[AudioStream]) -> None:
        self._packets.append(packet)
        super()._write(packet)


class EncodedAudio:
    """Writes packets that were encoded before, in the same steps: the file has the same bytes."""

    def __init__(self, plan: AudioPlan, audio: AudioSteps, output: OutputContainer) -> None:
        is_aac = plan.codec == "aac"
        self._stream = add_aac(output, plan)[0] if is_aac else add_flac(output, plan.source)
        self._steps, self._rest = iter(audio.steps), audio.rest
        self._output = output
        self._sent = 0

    def advance(self, seconds: float) -> None:
        """Write the audio up to `seconds`."""
        rate = self._stream.codec_context.sample_rate
        while self._sent / rate < seconds:
            step = next(self._steps, None)
            if step is None:
                return
            self._sent = step.samples
            self._mux(step.packets)

    def finish(self) -> None:
        """Write the rest."""
        self.advance(float("inf"))
        self._mux(self._rest)

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _mux(self, packets: Sequence[Packet[AudioStream]]) -> None:
        for packet in packets:
            packet.stream = self._stream
            self._output.mux(packet)

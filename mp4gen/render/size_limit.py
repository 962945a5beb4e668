"""Choose the bit rates with which a video fits into a number of bytes. Writes no file."""

from __future__ import annotations

import math
from collections.abc import Iterator

import attrs
from attrs import frozen

from mp4gen.errors import RenderError

from . import aac, pieces
from .audio_track import DENSE_FACTOR, STEREO_BIT_RATE, plan_audio, usual_bit_rate
from .cancellation import CancelToken, check_cancelled
from .encode import keyframe_interval
from .options import MAX_QP, AudioOptions, RenderStyle
from .pieces import Piece, PieceEncoder
from .preparation import Prepared

# Audio and picture are reduced in turns: with each audio bit rate (in stereo), quantizers up to
# this are tried. The first is for videos that fit as they are.
_STEPS = (
    (None, 0), (320_000, 26), (256_000, 28), (192_000, 30), (160_000, 32), (128_000, 34),
    (96_000, MAX_QP),
)  # fmt: skip
# How much of the picture's bytes a step of the quantizer leaves: at least down to the known one,
# and at most up from it. So the estimate errs on the safe side.
_LEFT_BELOW, _LEFT_ABOVE = 0.92, 0.94
_SAMPLE_QP, _SAMPLES, _SAMPLE_SECONDS = 30, 8, 2
# The samples are right within a few percent. Beyond this excess a video surely does not fit.
_SAMPLE_MARGIN, _SAMPLE_EXCESS = 0.97, 1.1
_MARGIN = 0.995
# Of each frame and packet in the file's index, and of all other boxes.
_INDEX_BYTES, _BOX_BYTES = 12, 4_000
_FLAC_BITS = 14


@frozen
class Settings:
    """How a video is encoded."""

    style: RenderStyle
    audio: AudioOptions


class SizeLimit:
    """Chooses settings by samples of the picture, and later by the actual sizes.

    Args:
        max_size: bytes.
        prepared: the video.
        audio: the caller's options, of which a missing bit rate is chosen.
        cover_size: bytes of the cover among the tags.
        cancel: checked before each frame of the samples.
    """

    def __init__(
        self,
        max_size: int,
        prepared: Prepared,
        audio: AudioOptions,
        *,
        cover_size: int,
        cancel: CancelToken | None,
    ) -> None:
        self._max_size, self._prepared, self._audio = max_size, prepared, audio
        self._fixed = _BOX_BYTES + cover_size
        # The same pictures with a seventh fewer bits.
        self._style = attrs.evolve(prepared.style, quality="fine")
        self._picture_qp = _SAMPLE_QP
        sampled = attrs.evolve(prepared, style=attrs.evolve(self._style, qp=_SAMPLE_QP))
        self._picture = _sampled_size(sampled, cancel)
        self._rest_scale, self._margin, self._excess = 1.0, _SAMPLE_MARGIN, _SAMPLE_EXCESS

    def choose(self) -> Settings:
        """Return the best settings that should fit.

        Raises:
            RenderError: not even the smallest ones fit.
        """
        settings = Settings(self._style, self._audio)
        for settings in self._settings():
            if self._size(settings) <= self._max_size * self._margin:
                return settings
        if self._size(settings) > self._max_size * self._excess:
            raise RenderError(
                f"The video does not fit into max_size: {self._max_size} bytes. It needs about "
                f"{self._size(settings) / 1e6:.2f} MB: choose a smaller size or frame rate, or a "
                "shorter clip."
            )
        return settings

    def learn(self, settings: Settings, picture: int, size: int) -> None:
        """Estimate by a video of these settings from now on, with the bytes of picture and file."""
        self._picture, self._picture_qp = float(picture), settings.style.qp
        self._rest_scale = (size - picture) / self._rest(settings.audio)
        self._margin, self._excess = _MARGIN, 1.0

    def _settings(self) -> Iterator[Settings]:
        """Yield all settings, the best first."""
        is_fixed = self._audio.bit_rate is not None or self._audio.mode == "copy"
        base = self._style.qp
        for stereo_rate, highest in (_STEPS[0], (None, MAX_QP)) if is_fixed else _STEPS:
            audio = self._audio
            if stereo_rate is not None:
                share = usual_bit_rate(self._channels) / STEREO_BIT_RATE
                audio = attrs.evolve(audio, bit_rate=round(stereo_rate * share))
            for qp in range(base, max(base, highest) + 1):
                yield Settings(attrs.evolve(self._style, qp=qp), audio)

    def _size(self, settings: Settings) -> float:
        steps = settings.style.qp - self._picture_qp
        picture = self._picture * (_LEFT_ABOVE if steps > 0 else _LEFT_BELOW) ** steps
        return picture + self._rest_scale * self._rest(settings.audio)

    def _rest(self, options: AudioOptions) -> float:
        """Return the bytes of all but the picture."""
        features = self._prepared.features
        plan = plan_audio(options, features)
        rate = plan.sample_rate or aac.rate_for(plan.source.sample_rate)
        if plan.copied:
            bits = plan.source.bit_rate or STEREO_BIT_RATE
        elif plan.codec == "flac":
            bits = _FLAC_BITS * plan.source.channels * plan.source.sample_rate
        else:
            usual = round(usual_bit_rate(self._channels) * DENSE_FACTOR)
            bits = aac.usable_bit_rate(plan.bit_rate or usual, rate, self._channels)
        frames = self._prepared.spec.frame_count + features.duration * rate / 1024
        return features.duration * bits / 8 + frames * _INDEX_BYTES + self._fixed

    @property
    def _channels(self) -> int:
        return min(self._prepared.features.header.channels, 2)


def _sampled_size(prepared: Prepared, cancel: CancelToken | None) -> float:
    """Estimate the bytes of the picture by the first seconds of pieces all over the video."""
    all_pieces = pieces.cut(prepared.spec.frame_count, prepared.style)
    count = min(len(all_pieces), _SAMPLES)
    seconds = round(_SAMPLE_SECONDS * prepared.style.fps)
    encoder, key_bytes, keys, other_bytes, others = PieceEncoder(prepared), 0, 0, 0, 0
    for number in range(count):
        piece = all_pieces[(2 * number + 1) * len(all_pieces) // (2 * count)]
        sample = Piece(piece.first, min(piece.first + seconds, piece.end))
        for frame in encoder.encode(sample):
            check_cancelled(cancel)
            if frame.is_key:
                key_bytes += len(frame.data)
                keys += 1
            else:
                other_bytes += len(frame.data)
                others += 1
    all_frames = prepared.spec.frame_count
    all_keys = math.ceil(all_frames / keyframe_interval(prepared.style))
    return all_keys * key_bytes / keys + (all_frames - all_keys) * other_bytes / max(others, 1)

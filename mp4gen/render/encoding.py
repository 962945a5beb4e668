"""Encode one prepared video into a file, and again with lower bit rates if it is too large."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
from attrs import frozen

from mp4gen.errors import RenderError

from . import audio_track, encode
from .audio_track import AudioPlan
from .cancellation import CancelToken
from .encode import EncodedFrame
from .options import AudioOptions, PathLike, RenderStyle
from .own_video import ENCODER
from .preparation import Prepared, tag_cover
from .progress_report import ProgressReport
from .side_by_side import PieceProcesses, SideBySide
from .size_limit import Settings, SizeLimit
from .song_cache import SongCache

# The second encoding knows the bytes of the first, and so misses the limit rarely.
_MAX_ENCODINGS = 4
_log = logging.getLogger("mp4gen.render")


@frozen(eq=False)
class Encoding:
    """The parts that encode one video."""

    audio: PathLike
    prepared: Prepared
    processes: PieceProcesses
    report: ProgressReport
    cancel: CancelToken | None
    cache: SongCache | None = None

    def write(
        self, part: Path, options: AudioOptions, max_size: int | None
    ) -> tuple[AudioPlan, RenderStyle]:
        """Write the video into the file `part`; return how it was encoded.

        Raises:
            RenderError: a codec failed, or the video does not fit into `max_size` bytes.
            RenderCancelledError: the render was cancelled.
        """
        cover = tag_cover(self.prepared)
        if max_size is None:
            settings = Settings(self.prepared.style, options)
            return self._write(part, settings, cover)[0], settings.style
        limit = SizeLimit(
            max_size, self.prepared, options, cover_size=len(cover), cancel=self.cancel
        )
        for _ in range(_MAX_ENCODINGS):
            settings = limit.choose()
            plan, picture = self._write(part, settings, cover)
            size = part.stat().st_size
            _log.info("%d bytes with qp %d, audio at %s.", size, settings.style.qp, plan.bit_rate)
            if size <= max_size:
                return plan, settings.style
            limit.learn(settings, picture, size)
        raise RenderError(f"The video does not fit into max_size: {max_size} bytes. Raise it.")

    def _write(self, part: Path, settings: Settings, cover: bytes) -> tuple[AudioPlan, int]:
        """Encode once, and return the plan of the audio and the bytes of the picture."""
        prepared = attrs.evolve(self.prepared, style=settings.style)
        plan = audio_track.plan_audio(settings.audio, prepared.features)
        self.report.restart()
        frames = SideBySide(prepared, self.processes, self.report.count_encoded, self.cancel)
        picture = _Counted(self.report.count_written(frames))
        job = encode.EncodeJob(
            audio=self.audio,
            audio_plan=plan,
            style=settings.style,
            tags={"title": prepared.title, "artist": prepared.author, "comment": ENCODER},
            cover=cover,
            frames=picture,
            cancel=self.cancel,
            edit_list=settings.audio.edit_list,
            cache=self.cache,
            qp_offset=prepared.spec.layout.qp_offset,
        )
        encode.write(part, job)
        return plan, picture.size


class _Counted:
    """Passes frames on, and adds up their bytes in `size`."""

    def __init__(self, frames: Iterable[EncodedFrame]) -> None:
        self._frames = frames
        self.size = 0

    def __iter__(self) -> Iterator[EncodedFrame]:
        for frame in self._frames:
            self.size += len(frame.data)
            yield frame

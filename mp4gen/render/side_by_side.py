"""Encode the pieces of one video in this process and in others, and join their frames in order.

The bytes of a video do not depend on the processes: each piece gives the same frames everywhere.
"""

from __future__ import annotations

import logging
import selectors
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Self

from . import pieces
from .cancellation import CancelToken, check_cancelled
from .encode import EncodedFrame
from .pieces import Piece, PieceEncoder, PieceProcessError
from .preparation import Prepared

if TYPE_CHECKING:
    from .piece_process import PieceConnection

# Minimum seconds of music for each process, which takes 0.3 CPU s to start.
SECONDS_PER_PROCESS = 20.0
# Pieces that may be encoded ahead of their turn, for each process: they take memory.
_PIECES_AHEAD = 2
# Frames that this process encodes between two checks of the others.
_FRAMES_AT_ONCE = 4
# Seconds to wait for the other processes between two checks of the cancel token.
_WAIT = 0.05
# Seconds of such waits without a report of any process, after which one is considered to hang. The
# clock would also count the time in which all of them were stopped, for instance by Ctrl-Z.
_MAX_SILENCE = 60.0

_log = logging.getLogger("mp4gen.render")


class PieceProcesses:
    """The processes beside this one; they end with the block.

    Args:
        workers: largest number of processes, with this one; a function may lower it meanwhile.

    Attributes:
        may_join: whether processes join and leave while the video is rendered.
    """

    may_join = False

    def __init__(self, workers: int | Callable[[], int]) -> None:
        self._workers = workers
        self._started: dict[int, PieceConnection] = {}
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._started.values():
            process.close()
        self._selector.close()

    @property
    def count(self) -> int:
        """The number of processes, with this one."""
        return len(self._started) + 1

    @property
    def ready(self) -> list[PieceConnection]:
        """Those that can be given a piece."""
        return [process for process in self._started.values() if process.is_ready]

    @property
    def limit(self) -> int:
        """The largest number of processes, with this one."""
        wanted = self._workers if isinstance(self._workers, int) else self._workers()
        # The processes get a descriptor, which Windows cannot hand over, and need an interpreter,
        # which a frozen program has not.
        return 1 if sys.platform == "win32" or getattr(sys, "frozen", False) else wanted

    def start(self, duration: float) -> None:
        """Start as many as are worth it for `duration` seconds of music."""
        worth = min(self.limit, int(duration / SECONDS_PER_PROCESS))
        if worth <= self.count:
            return
        # Most renders start none, and then need no module for it.
        from .piece_process import PieceProcess

        while self.count < worth:
            try:
                process = PieceProcess()
            except OSError as error:
                _log.warning("The render has fewer processes than requested: %s.", error)
                return
            self._add(process)

    def _add(self, process: PieceConnection) -> None:
        self._started[process.fileno()] = process
        self._selector.register(process, selectors.EVENT_READ)

    def wait(self, timeout: float) -> list[PieceConnection]:
        """Return the processes that have reported, after `timeout` seconds at the latest."""
        if not self._started:
            return []
        return [self._started[key.fd] for key, _ in self._selector.select(timeout)]

    def end_one(self) -> Piece | None:
        """End one process, and return the piece that it was encoding."""
        return self._end(next(reversed(self._started)))

    def end_lost(self, process: PieceConnection) -> Piece | None:
        """Forget a process that has left, and return the piece that it was encoding."""
        return self._end(next(key for key, one in self._started.items() if one is process))

    def _end(self, descriptor: int) -> Piece | None:
        self._selector.unregister(descriptor)
        process = self._started.pop(descriptor)
        process.close()
        return process.piece


Workers = int | Callable[[], int] | PieceProcesses


class _Part:
    """A piece as far as it is encoded."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.frames: deque[EncodedFrame] = deque()
        self._next = piece.first

    @property
    def is_complete(self) -> bool:
        return self._next == self.piece.end

    def add(self, frames: Iterable[EncodedFrame]) -> int:
        """Add the next frames, and return their number; those of a piece begun again are known."""
        new = [frame for frame in frames if frame.number >= self._next]
        self.frames += new
        self._next += len(new)
        return len(new)


class SideBySide:
    """The encoded frames of one video, in order.

    This process, which also writes the file, encodes while no frame is ready to be written.

    Args:
        prepared: the video.
        processes: the other processes.
        on_frames: called with the number of frames that were encoded, each time.
        cancel: checked before each frame.
    """

    def __init__(
        self,
        prepared: Prepared,
        processes: PieceProcesses,
        on_frames: Callable[[int], None],
        cancel: CancelToken | None,
    ) -> None:
        self._prepared, self._processes = prepared, processes
        self._on_frames, self._cancel = on_frames, cancel
        cut = pieces.cut(prepared.spec.frame_count, prepared.style)
        # Those that are not joined yet, and those of them that no process has begun.
        self._parts = {piece: _Part(piece) for piece in cut}
        self._waiting = cut
        self._encoder = PieceEncoder(prepared)
        self._own: tuple[Piece, Iterator[EncodedFrame]] | None = None
        self._silence = 0.0

    def __iter__(self) -> Iterator[EncodedFrame]:
        for piece, part in [*self._parts.items()]:
            while part.frames or not part.is_complete:
                if part.frames:
                    yield part.frames.popleft()
                    self._attend()
                else:
                    self._encode_or_wait()
            del self._parts[piece]

    def _encode_or_wait(self) -> None:
        check_cancelled(self._cancel)
        if self._own is None and self._has_next():
            piece = self._waiting.pop(0)
            self._own = piece, self._encoder.encode(piece)
        if self._own is None:
            self._attend(_WAIT)
            return
        piece, frames = self._own
        if encoded := [*islice(frames, _FRAMES_AT_ONCE)]:
            self._add(piece, encoded)
        else:
            self._own = None
        self._attend()

    def _has_next(self) -> bool:
        """Return whether a piece waits that is not too far ahead of those to be written."""
        begun = len(self._parts) - len(self._waiting)
        most = _PIECES_AHEAD * self._processes.count
        return bool(self._waiting) and (self._waiting[0] == next(iter(self._parts)) or begun < most)

    def _attend(self, timeout: float = 0.0) -> None:
        """Take what the other processes have encoded, and give pieces to those without."""
        if self._processes.count == 1 and not self._processes.may_join:
            return
        while self._processes.count > max(self._processes.limit, 1):
            self._take_back(self._processes.end_one())
        self._silence += timeout
        for process in self._processes.wait(timeout):
            self._take(process)
        for process in self._processes.ready:
            if self._has_next():
                process.encode(self._prepared, self._waiting.pop(0))
        if self._silence > _MAX_SILENCE:
            self._end_hanging()

    def _end_hanging(self) -> None:
        if not self._processes.may_join:
            raise PieceProcessError("A render process hangs. Render again, or use one worker.")
        self._silence = 0.0
        while self._processes.count > 1:
            self._take_back(self._processes.end_one())

    def _take_back(self, piece: Piece | None) -> None:
        """Let a piece be encoded again whose process has ended."""
        if piece in self._parts and not self._parts[piece].is_complete:
            self._waiting = sorted([piece, *self._waiting])

    def _take(self, process: PieceConnection) -> None:
        try:
            report = process.receive()
        except PieceProcessError as error:
            report = error
        if isinstance(report, Exception):
            if not self._processes.may_join:
                raise report
            # Its machine may be at fault; if the video is, this process finds out.
            self._take_back(self._processes.end_lost(process))
        elif report is None:
            process.piece, process.is_ready = None, True
        elif process.piece is not None:
            self._add(process.piece, report)

    def _add(self, piece: Piece, frames: list[EncodedFrame]) -> None:
        self._silence = 0.0
        self._on_frames(self._parts[piece].add(frames))

"""Start, feed and end one process that encodes pieces for this one. Draws nothing."""

import os
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Pipe
from typing import Any

from mp4gen.signals import STOP_SIGNALS, held_back

from .encode import EncodedFrame
from .pieces import Piece, PieceProcessError
from .preparation import Prepared

# The caller's main module is not run again: its scripts need no guard.
_PROGRAM = (
    "import sys; descriptor, parent, *sys.path = sys.argv[1:]; "
    "from mp4gen.render import piece_worker; piece_worker.main(int(descriptor), int(parent))"
)
# Drawing multiplies no matrices, so numpy's threads would only cost memory.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# The next frames of the piece, or the error of the process; None if it is ready for a piece.
Report = list[EncodedFrame] | Exception | None


class PieceConnection:
    """The connection to a process that encodes one piece at a time.

    Args:
        connection: the end of it here, of `multiprocessing`.

    Attributes:
        piece: the piece that the process encodes, or None.
        is_ready: whether it can be given a piece.
    """

    def __init__(self, connection: Any) -> None:
        self.piece: Piece | None = None
        self.is_ready = False
        self._is_prepared = False
        self._connection = connection

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with the next report."""
        return int(self._connection.fileno())

    def receive(self) -> Report:
        """Return the next report.

        Raises:
            PieceProcessError: the process has ended.
        """
        try:
            report: Report = self._connection.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise PieceProcessError(self._describe_end()) from error
        return report

    def encode(self, prepared: Prepared, piece: Piece) -> None:
        """Let the process, which is ready, encode a piece of the video.

        Args:
            prepared: the video; later calls may only change its quality and its quantizer.
            piece: the frames.
        """
        self.piece, self.is_ready = piece, False
        # If it has ended, the next report says why.
        with suppress(OSError):
            if not self._is_prepared:
                self._connection.send(prepared)
                self._is_prepared = True
            self._connection.send((piece, prepared.style))

    def close(self) -> None:
        """End the process; it has nothing to finish."""
        self._connection.close()

    def _describe_end(self) -> str:
        return "A render process on another machine has ended."


class PieceProcess(PieceConnection):
    """A process on this machine that encodes one piece at a time.

    It ends with its parent process, also if that is killed. It ignores the signals that end a
    program, such as Ctrl-C: they reach a whole group, and the parent handles them.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self) -> None:
        connection, theirs = Pipe()
        super().__init__(connection)
        descriptor = theirs.fileno()
        path = [entry for entry in sys.path if isinstance(entry, str)]
        # The process inherits the blocked signals, and keeps them blocked.
        with theirs, held_back(STOP_SIGNALS):
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-c", _PROGRAM, str(descriptor), str(os.getpid()), *path],
                pass_fds=[descriptor],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
            )

    def close(self) -> None:
        """End the process; it has nothing to finish."""
        super().close()
        self._process.kill()
        self._process.wait()

    def _describe_end(self) -> str:
        return (
            "A render process ended unexpectedly, with the status "
            f"{self._process.returncode}. Check the free memory, or use one worker."
        )

"""What a render and the server tell each other while it runs: two small files in its own folder.

Files need no handle on either side: they work with any executor on this machine, nothing of them
outlives the folder, and a server that was killed leaves no end of a pipe behind.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

_RECORD = struct.Struct("<dd")


class WorkerChannel:
    """Progress one way, "stop" the other.

    Args:
        folder: the render's own folder, which must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._progress_path = folder / "progress"
        self._cancel_path = folder / "cancel"

    def report_progress(self, done: float, total: float) -> None:
        """Say how many seconds of how many are done."""
        self._progress_path.write_bytes(_RECORD.pack(done, total))

    def read_progress(self) -> tuple[float, float] | None:
        """What was said last; None before anything was."""
        try:
            record = self._progress_path.read_bytes()
        except OSError:
            return None
        # A record may be read while it is being written.
        return _RECORD.unpack(record) if len(record) == _RECORD.size else None

    def cancel(self) -> None:
        """Ask the render to stop."""
        # A job that has just ended took its folder with it.
        with suppress(FileNotFoundError):
            self._cancel_path.touch()

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancel_path.exists()

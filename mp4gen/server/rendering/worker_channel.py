"""Connects a render and the server while it runs, by small files in the render's folder.

Files need no open handle: they work with every executor on this machine, and they are deleted with
the folder. A killed server leaves no open pipe.
"""

import struct
from contextlib import suppress
from pathlib import Path

_RECORD = struct.Struct("<ddQ")


class WorkerChannel:
    """Reports progress to the server; tells the render of a cancel, or of another render.

    Args:
        folder: The folder of the render, which must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._begun_path = folder / "begun"
        self._progress_path = folder / "progress"
        self._cancel_path = folder / "cancel"
        self._share_path = folder / "share"
        self._helpers_path = folder / "helpers"

    def report_begin(self) -> None:
        """Report that the worker has the job: from now on its end may be the song's fault."""
        self._begun_path.touch()

    @property
    def has_begun(self) -> bool:
        """Whether the worker has the job."""
        return self._begun_path.exists()

    def report_progress(self, done: float, total: float, signs_of_life: int = 0) -> None:
        """Report the seconds of music done and in total.

        Args:
            done: Seconds of music done; 0 during the analysis.
            total: Seconds of music in total.
            signs_of_life: A number that grows while the render makes any progress.
        """
        self._progress_path.write_bytes(_RECORD.pack(done, total, signs_of_life))

    def read_progress(self) -> tuple[float, float, int] | None:
        """Return the last report; None before the first."""
        try:
            record = self._progress_path.read_bytes()
        except OSError:
            return None
        # The render may be writing the record.
        return _RECORD.unpack(record) if len(record) == _RECORD.size else None

    def cancel(self) -> None:
        """Ask the render to stop."""
        _touch(self._cancel_path)

    @property
    def cancelled(self) -> bool:
        """Whether the render was asked to stop."""
        return self._cancel_path.exists()

    def share(self) -> None:
        """Ask the render to go on in one process, because another render starts."""
        _touch(self._share_path)

    @property
    def shared(self) -> bool:
        """Whether the render was asked to go on in one process."""
        return self._share_path.exists()

    def request_helpers(self, count: int) -> None:
        """Set how many processes on other machines are worth it."""
        self._helpers_path.write_text(str(count))

    @property
    def requested_helpers(self) -> int:
        """How many processes on other machines are worth it."""
        try:
            return int(self._helpers_path.read_text() or 0)
        except OSError:
            return 0


def _touch(path: Path) -> None:
    # The folder of a finished job is gone.
    with suppress(FileNotFoundError):
        path.touch()

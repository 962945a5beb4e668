"""Report how far a render is, in seconds of music. Draws and encodes nothing."""

from collections.abc import Callable, Iterable, Iterator

from .encode import REPORT_SECONDS, EncodedFrame

OnProgress = Callable[[float, float], object]


class ProgressReport:
    """The mean of what is encoded and what is written: with several processes they differ.

    Args:
        on_progress: called with (seconds done, seconds in total), every half second of music.
        frame_count: frames of the video.
        duration: seconds of decoded audio.
    """

    def __init__(self, on_progress: OnProgress | None, frame_count: int, duration: float) -> None:
        self._on_progress, self._duration = on_progress, duration
        self._total = 2 * frame_count
        self._done = 0
        self._reported = -REPORT_SECONDS

    def restart(self) -> None:
        """Begin again, and report nothing until it is as far as before."""
        self._done = 0

    def count_encoded(self, frames: int) -> None:
        """Count frames that were encoded, in any order."""
        self._done += frames
        self._report()

    def count_written(self, frames: Iterable[EncodedFrame]) -> Iterator[EncodedFrame]:
        """Yield the frames, and count each when the next is asked for."""
        self._report()
        for frame in frames:
            yield frame
            self.count_encoded(1)

    def finish(self) -> None:
        """Report the end."""
        if self._on_progress is not None:
            self._on_progress(self._duration, self._duration)

    def _report(self) -> None:
        seconds = self._duration * self._done / self._total
        if self._on_progress is not None and seconds >= self._reported + REPORT_SECONDS:
            self._reported = seconds
            self._on_progress(seconds, self._duration)

"""The results of a bulk run, frozen: one for each request, and the counts of all."""

from pathlib import Path

import attrs

from mp4gen.models import Value, Video, VideoRequest


@attrs.frozen(eq=False, repr=False)
class Conversion(Value):
    """The result of one request of a bulk run.

    Attributes:
        request: The request.
        task_id: Id of the video task, or None if no submit was accepted.
        video: The finished video, or None.
        path: Path of its file, or None.
        error: Why there is no video or no file, or None.
    """

    request: VideoRequest
    task_id: str | None = None
    video: Video | None = None
    path: Path | None = None
    error: Exception | None = None

    def result(self) -> Video:
        """Return the video.

        Raises:
            Mp4GenError: There is no video, or its file is missing.
        """
        if self.error is not None:
            raise self.error
        if self.video is None:
            raise ValueError("A conversion without a video must have an error.")
        return self.video


@attrs.frozen(eq=False, repr=False)
class RunSummary(Value):
    """The counts of a bulk run so far.

    Attributes:
        succeeded: Videos, with their files if the run downloads.
        failed: Requests that ended with an error.
        remaining: Requests for another run: not submitted, or not finished at a stop.
        stop_reason: "stop" or the name of the error that ended the run early, or None.
    """

    succeeded: int = 0
    failed: int = 0
    remaining: int = 0
    stop_reason: str | None = None

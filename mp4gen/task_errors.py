"""The errors that carry a value of the API: the request or the task that they are about."""

from __future__ import annotations

from .errors import Mp4GenError
from .models import VideoDetails, VideoRequest


class SubmitUncertainError(Mp4GenError):
    """The answer to a submit was lost, so the video may or may not have been paid for.

    Attributes:
        request: the `VideoRequest` in question.
    """

    def __init__(self, request: VideoRequest) -> None:
        super().__init__(request)
        self.request = request

    def __str__(self) -> str:
        return (
            f"the answer to the submit of audio {self.request.audio_id} was lost: it may or may "
            "not have been accepted. Look into the account before sending it again."
        )


class _TaskError(Mp4GenError):
    """What is known of a task when waiting for it ended without a video."""

    def __init__(self, task_id: str, message: str, details: VideoDetails | None = None) -> None:
        super().__init__(task_id, message, details)
        self.task_id = task_id
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return f"task {self.task_id}: {self.message}"


class GenerationFailedError(_TaskError):
    """The service gave up on the task; it will not finish.

    Attributes:
        task_id: the video task.
        details: the last `VideoDetails` seen.
    """


class WaitTimeoutError(_TaskError, TimeoutError):
    """We stopped waiting; the task may still finish, and its id stays good.

    Attributes:
        task_id: the video task, to wait for again.
        details: the last `VideoDetails` seen, or None.
    """

"""The errors that carry a model: the request or the task that they are about."""

from .errors import Mp4GenError
from .models import VideoDetails, VideoRequest


class SubmitUncertainError(Mp4GenError):
    """The response to a submit was lost, so the video may or may not have been paid for.

    Attributes:
        request: The `VideoRequest` of the submit.
        rejects_duplicates: Whether the host is known to reject a second submit of the track, which
            therefore cannot be paid for twice.

    What to do:
        Submit again if `rejects_duplicates`, since that cannot be paid for twice. Else look for the
        video on the vendor's website first.
    """

    def __init__(self, request: VideoRequest, *, rejects_duplicates: bool = False) -> None:
        super().__init__(request)
        self.request = request
        self.rejects_duplicates = rejects_duplicates

    def __str__(self) -> str:
        hint = "It may have been accepted; check the account before you submit again."
        if self.rejects_duplicates:
            hint = "Submit it again: this host rejects duplicates."
        return f"The response to the submit was lost: audio {self.request.audio_id}. {hint}"


class _TaskError(Mp4GenError):
    def __init__(self, task_id: str, message: str, details: VideoDetails | None = None) -> None:
        super().__init__(task_id, message, details)
        self.task_id = task_id
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return f"Task {self.task_id}: {self.message.rstrip('.')}."


class GenerationFailedError(_TaskError):
    """The API gave up on the task; it never finishes.

    Attributes:
        task_id: The video task.
        details: The last `VideoDetails`.

    What to do:
        Read `details.error_message`, and submit the track again if you like. Forget the stored
        task.
    """

    @property
    def ended_task_id(self) -> str | None:
        """The task that failed."""
        return self.task_id


class WaitTimeoutError(_TaskError, TimeoutError):
    """The wait ended; the task may still finish, so `wait_for_video` can be called again.

    Attributes:
        task_id: The video task.
        details: The last `VideoDetails`, or None.

    What to do:
        Wait for `task_id` again, now or after a restart.
    """

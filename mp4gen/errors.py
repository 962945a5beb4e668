"""Every error that mp4gen raises, under one root; knows nothing of HTTP and sends nothing.

Mp4GenError
  ConfigurationError(ValueError)    no key, a bad base_url, not the API, a bad setting
  ValidationError(ValueError)       a VideoRequest that cannot be right; says which field
  ApiError                          the API answered, and said no: .code .message .task_id
    InvalidRequestError             400 413 422; never retried
    AuthenticationError             401 403; never retried, ends a bulk run
    NotFoundError                   404 in the body; an unknown task after the grace
    InsufficientCreditsError        429 (kie: 402 433); never retried, ends a bulk run
    RateLimitError                  405 430 (kie: 429); waits a full window
    AlreadyExistsError              409, or 422 with that text; .existing_task_id
    MaintenanceError                455
    ServerError                     500 and the like
  TransportError                    no usable connection; .sent tells whether bytes went out
  ProtocolError                     an answer that is not what the vendor's pages promise
  SubmitUncertainError              the submit may or may not have been accepted; .request
  GenerationFailedError             the task failed for good; .task_id .details
  WaitTimeoutError(TimeoutError)    we stopped waiting, the task may still finish; .task_id .details
  DownloadError                     expired, short, not an MP4
  LedgerError                       in use by another process, made for another host, unreadable
  RenderError                       music that cannot become a video; says why
    RenderCancelledError            the render was told to stop
"""

from __future__ import annotations

from typing import ClassVar


class Mp4GenError(Exception):
    """The root: `except Mp4GenError` catches everything this package raises on purpose."""


class ConfigurationError(Mp4GenError, ValueError):
    """The client was set up in a way that cannot work; nothing was sent."""


class ValidationError(Mp4GenError, ValueError):
    """A request that cannot be right; nothing was sent.

    Attributes:
        field: the first field at fault, in snake_case.
        problems: one sentence for each field at fault, keyed by the field.
    """

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(problems)
        self.problems = dict(problems)
        self.field = next(iter(problems), "")

    def __str__(self) -> str:
        return " ".join(f"Invalid {field}: {text}." for field, text in self.problems.items())


class ApiError(Mp4GenError):
    """The API answered and refused.

    Attributes:
        code: the body's `code`, or the HTTP status where the body had none.
        message: the vendor's own words.
        task_id: the video task it is about, where one is known.
        retry_after: seconds the server asked to wait, or None.
        from_api: whether the API itself said so; False where a gateway answered in its place.
    """

    hint: ClassVar[str] = ""

    def __init__(self, message: str, *, code: int, task_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.task_id = task_id
        self.retry_after: float | None = None
        self.from_api = True

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), {**self.__dict__, "args": self.args})

    def __str__(self) -> str:
        about = f" (task {self.task_id})" if self.task_id else ""
        message = self.message.rstrip(". ") or "no message"
        hint = f". {self.hint}" if self.hint else ""
        return f"the API answered {self.code}: {message}{about}{hint}"


class InvalidRequestError(ApiError):
    """The API found the request itself wrong; the same request will not succeed."""

    hint = "Correct the request; sending it again unchanged will not help."


class AuthenticationError(ApiError):
    """The key was refused, or the client was blocked before the key was read."""

    hint = "Check the API key and that it belongs to this host."


class NotFoundError(ApiError):
    """The task or the track is not known to this account on this host."""

    hint = "Check the id, and that it was made with this key on this host."


class InsufficientCreditsError(ApiError):
    """The account has no credits left for this; nothing was submitted."""

    hint = "Add credits, then run the same thing again."


class RateLimitError(ApiError):
    """Too many calls in one window; the call was not accepted and can be sent later."""

    hint = "Wait a full window; share one client, or one limiter, among all users of the key."


class AlreadyExistsError(ApiError):
    """One video exists for each track, and this track has one already.

    Attributes:
        existing_task_id: the first video's task id, where the API told it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int,
        task_id: str | None = None,
        existing_task_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, task_id=task_id)
        self.existing_task_id = existing_task_id

    def __str__(self) -> str:
        if self.existing_task_id:
            return f"{super().__str__()}. Wait for the existing task {self.existing_task_id}."
        return f"{super().__str__()}. The API did not say which task made it."


class MaintenanceError(ApiError):
    """The service is down for maintenance; the call was not accepted."""

    hint = "Try again in some minutes."


class ServerError(ApiError):
    """The service failed on its side."""

    hint = "Try again later."


class TransportError(Mp4GenError):
    """No usable connection, or one that broke.

    Attributes:
        sent: whether any byte of the request may have reached the other side.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), {**self.__dict__, "args": self.args})


class ProtocolError(Mp4GenError):
    """An answer that is not what the vendor's pages promise; holds its first bytes."""


class DownloadError(Mp4GenError):
    """The file could not be fetched whole; nothing was left under the final name."""


class LedgerError(Mp4GenError):
    """The record of a bulk run is in use, belongs to another host, or cannot be read."""


class RenderError(Mp4GenError):
    """The music cannot become a video; one sentence says why."""


class RenderCancelledError(RenderError):
    """The render was told to stop; nothing was left behind."""


def _rebuild(kind: type[Mp4GenError], state: dict[str, object]) -> Mp4GenError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = error.__dict__.pop("args")
    return error

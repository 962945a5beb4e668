"""Every error that mp4gen raises, under one root; imports nothing.

Mp4GenError
  ConfigurationError(ValueError)    no key, a bad base_url, not the API, a bad setting
  ValidationError(ValueError)       an invalid VideoRequest or id; .field .problems
  ApiError                          the API refused the call: .code .message .task_id .hint
    InvalidRequestError             400 413 422; never retried
    AuthenticationError             401 403; never retried, ends a bulk run
    NotFoundError                   404 in the body; an unknown task after the grace
    InsufficientCreditsError        429 (kie: 402 433); never retried, ends a bulk run
    RateLimitError                  405 430 (kie: 429); waits a full window
    AlreadyExistsError              409, or 422 with that text; .existing_task_id
    MaintenanceError                455
    ServerError                     500 and the like
  TransportError                    no usable connection; .sent
    RequestTimeoutError(TimeoutError)  the deadline of a single call passed
  ProtocolError                     a response that the vendor's pages do not describe
  SubmitUncertainError              the submit may or may not have been accepted; .request
  GenerationFailedError             the task failed for good; .task_id .details
  WaitTimeoutError(TimeoutError)    the task may still finish; .task_id .details
  DownloadError                     expired, short, not an MP4, not writable
  LedgerError                       in use by another process, made for another host, unreadable
  UnexpectedError                   an exception that mp4gen did not foresee; .__cause__
  RenderError                       audio, image, text or option that cannot be used
    RenderCancelledError            the render was cancelled
    RenderIOError                   a file could not be read or written; may succeed later
"""

from typing import ClassVar


class Mp4GenError(Exception):
    """The root of all errors that this package raises on purpose.

    Attributes:
        audio_id: The track at which a bulk run ended with this error, else None.

    What to do:
        Catch it last, after the errors that you handle in a way of their own, and show its text:
        it says what was wrong and what to do.
    """

    audio_id: str | None = None

    @property
    def ended_task_id(self) -> str | None:
        """The video task that never finishes, or None if the task may still finish."""
        return None

    def __reduce__(self) -> tuple[object, ...]:
        # Arguments that are keyword-only would be lost in pickles and copies.
        return _rebuild, (type(self), {**self.__dict__, "args": self.args})

    def __str__(self) -> str:
        text = super().__str__()
        return f"{text} It ended the run at audio {self.audio_id}." if self.audio_id else text


class ConfigurationError(Mp4GenError, ValueError):
    """A setting is invalid; nothing was sent, or the server is not the API.

    Attributes:
        from_api: False if a page that is not the API's shows that the server is not the API.

    What to do:
        Correct the setting that the text names. If it says that the server is not the API, check
        `base_url`.
    """

    from_api: bool = True


class ValidationError(Mp4GenError, ValueError):
    """An invalid request or id; nothing was sent.

    Attributes:
        field: The first invalid field, in snake_case.
        problems: What is wrong with each invalid field, by field.

    What to do:
        Correct each field of `problems`, and make the request again.
    """

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(problems)
        self.problems = dict(problems)
        self.field = next(iter(problems), "")

    def __str__(self) -> str:
        return " ".join(f"Invalid {field}: {text}." for field, text in self.problems.items())


class ApiError(Mp4GenError):
    """The API refused a call.

    Attributes:
        code: The body's `code`, or the HTTP status if the body has none.
        message: The vendor's text.
        task_id: The video task it is about, or None if unknown.
        retry_after: Seconds that the server asks to wait, or None.
        from_api: False if a gateway responded in place of the API.
        hint: What to do about it.

    What to do:
        Read `hint`. Each subclass says more; a code that has no subclass is described on the
        vendor's pages.
    """

    hint: ClassVar[str] = ""

    def __init__(self, message: str, *, code: int, task_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.task_id = task_id
        self.retry_after: float | None = None
        self.from_api = True

    def __str__(self) -> str:
        message = self.message.rstrip(". ") or "no message"
        task = f" (task {self.task_id})" if self.task_id else ""
        if self.audio_id:
            task += f" (audio {self.audio_id})"
        return f"The API answered {self.code}: {message}{task}. {self.hint}".rstrip()


class InvalidRequestError(ApiError):
    """The request itself is invalid; the same request never succeeds.

    What to do:
        Correct the request; the same request fails again.
    """

    hint = "Correct the request; the same request fails again."


class AuthenticationError(ApiError):
    """The API refused the key, or a firewall blocked the client.

    What to do:
        Check the key, and that it belongs to this host. If `from_api` is False, a firewall or a
        proxy answered: check the network. The run resumes with the same call.
    """

    hint = "Check the API key and that it belongs to this host."


class NotFoundError(ApiError):
    """This account has no such task or track on this host.

    What to do:
        Check the id, and that it belongs to this key and host. Forget a stored task if
        `ended_task_id` names it.
    """

    hint = "Check the id, and that it belongs to this key and host."

    @property
    def ended_task_id(self) -> str | None:
        """The task that does not exist."""
        return self.task_id


class InsufficientCreditsError(ApiError):
    """The account has too few credits; nothing was submitted.

    What to do:
        Add credits, then submit again; a bulk run resumes with the same call.
    """

    hint = "Add credits, then submit again."


class RateLimitError(ApiError):
    """Too many calls in one window; the call was not accepted and can be sent later.

    What to do:
        Wait for a full window. Share one client or one limiter among all programs that use the
        key, and leave the retries to the client.
    """

    hint = "Wait for a full window; share one client or limiter among all users of the key."


class AlreadyExistsError(ApiError):
    """The track has a video already; the API makes only one for each track.

    Attributes:
        existing_task_id: The task of the first video, or None if the API did not name it.

    What to do:
        Wait for `existing_task_id` with `wait_for_video`, or use `convert`, which does so. If it
        is None, find the video on the vendor's website.
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
            return f"{super().__str__()} Wait for the existing task {self.existing_task_id}."
        return f"{super().__str__()} The API did not name the existing task."


class MaintenanceError(ApiError):
    """The API is down for maintenance; the call was not accepted.

    What to do:
        Try again in some minutes, or set `Retry.maintenance_timeout` to wait.
    """

    hint = "Try again in some minutes."


class ServerError(ApiError):
    """The API failed on its side.

    What to do:
        Try again later. If one track always fails, submit another one to see whether the API
        works.
    """

    hint = "Try again later."


class TransportError(Mp4GenError):
    """No connection could be made, or it broke.

    Attributes:
        sent: Whether a byte of the request may have reached the server.
        pending: Seconds for which the request can still arrive.

    What to do:
        Check the network, the proxy and `base_url`, then call again: a submit is a
        `SubmitUncertainError` if it may have been accepted.
    """

    def __init__(self, message: str, *, sent: bool, pending: float = 0.0) -> None:
        super().__init__(message)
        self.sent = sent
        self.pending = pending


class RequestTimeoutError(TransportError, TimeoutError):
    """The `timeout` of a single call passed; `__cause__` is its last failure, or None.

    What to do:
        Call again, or allow more time. Nothing was submitted.
    """


class ProtocolError(Mp4GenError):
    """A response that the vendor's pages do not describe; the text shows its first bytes.

    What to do:
        Try again later. If it lasts, check `base_url`, and report the response to the authors of
        mp4gen: the vendor may have changed the API.
    """


class DownloadError(Mp4GenError):
    """The file could not be downloaded completely; no file has the final name.

    What to do:
        Read the text. An expired video must be made again; any other file can be downloaded again
        with the same call, which resumes.
    """


class LedgerError(Mp4GenError):
    """The ledger of a bulk run is in use, belongs to another host, or is unreadable.

    What to do:
        End the other run, or use the ledger of this host; choose another path if the file is not a
        ledger.
    """


class UnexpectedError(Mp4GenError):
    """An exception that mp4gen did not foresee; `__cause__` is that exception.

    What to do:
        Read the traceback in the log. If the fault is not in a function of yours, report it. The
        next bulk run tries the track again.
    """


class RenderError(Mp4GenError):
    """The audio, an image, a text or an option cannot be rendered.

    What to do:
        Correct what the text names; the same render fails again.
    """


class RenderCancelledError(RenderError):
    """The render was cancelled; it leaves no file behind.

    What to do:
        Nothing; render again if you like.
    """


class RenderIOError(RenderError):
    """A file could not be read or written, or changed; the same render may succeed later.

    What to do:
        Correct the path, the disk or the folder that the text names, then render again.
    """


def _rebuild(kind: type[Mp4GenError], state: dict[str, object]) -> Mp4GenError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = error.__dict__.pop("args")
    return error

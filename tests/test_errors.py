"""The tree of errors, their texts and their pickles."""

import copy
import pickle
import re
from typing import Any

import pytest

import mp4gen
from mp4gen import errors, task_errors

REQUEST = mp4gen.VideoRequest("music", "track")
CHECK_FIRST = "It may have been accepted; check the account before you submit again."


def tree(drawing: str) -> dict[str, str]:
    """Each name of the drawing and the name that it hangs under."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in drawing.splitlines():
        if drawn := re.match(r"( *)([A-Z]\w+Error)\b", line):
            depth, name = len(drawn[1]), drawn[2]
            path = [(d, n) for d, n in path if d < depth]
            found[name] = path[-1][1] if path else "Exception"
            path.append((depth, name))
    return found


def test_drawing_matches_the_error_classes() -> None:
    """The drawing in the module's docstring is the tree of its classes."""
    drawn = tree(errors.__doc__ or "")
    public = [
        kind
        for name, kind in {**vars(errors), **vars(task_errors)}.items()
        if isinstance(kind, type) and not name.startswith("_") and issubclass(kind, Exception)
    ]

    assert set(drawn) == {kind.__name__ for kind in public}
    for kind in public:
        assert drawn[kind.__name__] in {base.__name__ for base in kind.__mro__[1:]}


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (mp4gen.ConfigurationError, ValueError),
        (mp4gen.ValidationError, ValueError),
        (mp4gen.WaitTimeoutError, TimeoutError),
    ],
)
def test_builtin_error_catches_ours(kind: type[Exception], builtin: type[Exception]) -> None:
    """An invalid value is a `ValueError`, a passed deadline a `TimeoutError`."""
    assert issubclass(kind, builtin)
    assert issubclass(kind, mp4gen.Mp4GenError)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            mp4gen.InvalidRequestError("Invalid parameters", code=400, task_id="t1"),
            "The API answered 400: Invalid parameters (task t1). {advice}",
        ),
        (
            mp4gen.AuthenticationError("", code=401),
            "The API answered 401: no message. {advice}",
        ),
        (
            mp4gen.RateLimitError("Too often.", code=430),
            "The API answered 430: Too often. {advice}",
        ),
        (
            mp4gen.AlreadyExistsError("exists", code=409),
            "The API answered 409: exists. The API did not name the existing task.",
        ),
        (
            mp4gen.AlreadyExistsError("exists", code=409, existing_task_id="t0"),
            "The API answered 409: exists. Wait for the existing task t0.",
        ),
        (
            mp4gen.SubmitUncertainError(REQUEST),
            "The response to the submit was lost: audio track. {advice}",
        ),
        (
            mp4gen.WaitTimeoutError("t1", "not finished after 5 s"),
            "Task t1: not finished after 5 s.",
        ),
        (
            mp4gen.ValidationError({"author": "must not be empty", "audio_id": "must be text"}),
            "Invalid author: must not be empty. Invalid audio_id: must be text.",
        ),
    ],
)
def test_error_text_says_what_happened_and_what_to_do(
    error: mp4gen.Mp4GenError, expected: str
) -> None:
    """One sentence, and a hint."""
    advice = getattr(error, "hint", CHECK_FIRST)

    assert str(error) == expected.format(advice=advice)


def with_attributes(error: mp4gen.Mp4GenError, **attributes: object) -> mp4gen.Mp4GenError:
    """Return `error` with attributes that are set after it is made."""
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


DETAILS = mp4gen.VideoDetails("t1", raw={"musicId": "m"})
OF_API = [
    with_attributes(kind("text", code=code, task_id="t1"), retry_after=5.0, from_api=False)
    for kind, code in [
        (mp4gen.ApiError, 299),
        (mp4gen.InvalidRequestError, 400),
        (mp4gen.AuthenticationError, 401),
        (mp4gen.NotFoundError, 404),
        (mp4gen.InsufficientCreditsError, 429),
        (mp4gen.RateLimitError, 430),
        (mp4gen.MaintenanceError, 455),
        (mp4gen.ServerError, 500),
    ]
]
EACH_KIND = [
    *OF_API,
    *(
        kind("text")
        for kind in (
            mp4gen.Mp4GenError,
            mp4gen.ConfigurationError,
            mp4gen.ProtocolError,
            mp4gen.DownloadError,
            mp4gen.LedgerError,
            mp4gen.UnexpectedError,
            mp4gen.RenderError,
            mp4gen.RenderCancelledError,
            mp4gen.RenderIOError,
        )
    ),
    mp4gen.ValidationError({"author": "must not be empty", "audio_id": "must be text"}),
    mp4gen.AlreadyExistsError("exists", code=409, task_id="t1", existing_task_id="t0"),
    mp4gen.TransportError("broken", sent=True, pending=3.0),
    mp4gen.RequestTimeoutError("late", sent=True),
    mp4gen.SubmitUncertainError(REQUEST, rejects_duplicates=True),
    mp4gen.WaitTimeoutError("t1", "late", DETAILS),
    mp4gen.GenerationFailedError("t1", "gave up", DETAILS),
    with_attributes(mp4gen.ServerError("down", code=500), audio_id="track"),
]


def pickled(error: mp4gen.Mp4GenError) -> object:
    """Return what another process gets."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own


def test_list_holds_each_kind_of_error() -> None:
    """A new error must survive pickling, too."""
    public = {getattr(mp4gen, name) for name in mp4gen.__all__ if name.endswith("Error")}

    assert {type(error) for error in EACH_KIND} == public


@pytest.mark.parametrize("error", EACH_KIND, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, pickled])
def test_errors_survive_pickling_and_copying(error: mp4gen.Mp4GenError, again: Any) -> None:
    """An error that travels between processes keeps its text and its attributes."""
    found = again(error)

    assert type(found) is type(error)
    assert (str(found), found.args) == (str(error), error.args)
    assert vars(found) == vars(error)


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (mp4gen.GenerationFailedError("task_1", "no audio"), "task_1"),
        (mp4gen.NotFoundError("no record of the task", code=404, task_id="task_1"), "task_1"),
        (mp4gen.WaitTimeoutError("task_1", "not finished"), None),
        (mp4gen.AuthenticationError("refused", code=401, task_id="task_1"), None),
        (mp4gen.ConfigurationError("This client is closed."), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_names_the_task_that_ended(error: mp4gen.Mp4GenError, ended: str | None) -> None:
    """`ended_task_id` is the task that never finishes; None if it may still finish."""
    assert error.ended_task_id == ended

"""The tree of errors, their texts and their pickles."""

import copy
import pickle
import re

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


@pytest.mark.parametrize(
    "error",
    [
        mp4gen.ConfigurationError("no key"),
        mp4gen.ValidationError({"author": "must not be empty"}),
        mp4gen.AlreadyExistsError("exists", code=409, task_id="t1", existing_task_id="t0"),
        mp4gen.ServerError("down", code=500),
        mp4gen.TransportError("broken", sent=True),
        mp4gen.SubmitUncertainError(REQUEST),
        mp4gen.WaitTimeoutError("t1", "late", mp4gen.VideoDetails("t1")),
        mp4gen.GenerationFailedError("t1", "gave up", mp4gen.VideoDetails("t1")),
    ],
)
def test_errors_survive_pickling_and_copying(error: mp4gen.Mp4GenError) -> None:
    """An error that travels between processes keeps its attributes."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)

"""Which failures are retried (a table that also lists those that are not), and when."""

from itertools import islice
from random import Random

import backoff
import pytest

import mp4gen
from mp4gen import Retry
from mp4gen.transport.retry import RetryDecision, backoff_delays, classify

REQUEST = mp4gen.VideoRequest("music", "track")


def gateway(code: int) -> mp4gen.ServerError:
    error = mp4gen.ServerError("not a response of the API", code=code)
    error.from_api = False
    return error


NEVER = [
    mp4gen.InvalidRequestError("", code=400),
    mp4gen.InvalidRequestError("", code=413),
    mp4gen.InvalidRequestError("", code=422),
    mp4gen.AuthenticationError("", code=401),
    mp4gen.AuthenticationError("", code=403),
    mp4gen.NotFoundError("", code=404),
    mp4gen.InsufficientCreditsError("", code=429),
    mp4gen.InsufficientCreditsError("", code=402),
    mp4gen.AlreadyExistsError("", code=409),
    mp4gen.ApiError("unknown", code=299),
    mp4gen.ConfigurationError("not the API"),
    mp4gen.ValidationError({"author": "must not be empty"}),
    mp4gen.GenerationFailedError("t", "gave up"),
    mp4gen.WaitTimeoutError("t", "late"),
    mp4gen.SubmitUncertainError(REQUEST),
    mp4gen.RequestTimeoutError("late", sent=False),
    mp4gen.DownloadError("expired"),
    mp4gen.LedgerError("in use"),
    mp4gen.RenderError("silent"),
    mp4gen.RenderIOError("disk full"),
]


@pytest.mark.parametrize("error", NEVER, ids=lambda error: repr(error)[:40])
@pytest.mark.parametrize("submit", [True, False])
def test_classify_gives_up_on_permanent_errors(error: mp4gen.Mp4GenError, *, submit: bool) -> None:
    """A retry would get the same response, or cost again."""
    assert classify(error, submit=submit) is RetryDecision.GIVE_UP


@pytest.mark.parametrize(
    ("error", "of_submit", "of_poll"),
    [
        (mp4gen.RateLimitError("", code=430), RetryDecision.PAUSE, RetryDecision.PAUSE),
        (
            mp4gen.MaintenanceError("", code=455),
            RetryDecision.MAINTENANCE,
            RetryDecision.MAINTENANCE,
        ),
        (mp4gen.ServerError("", code=500), RetryDecision.RETRY, RetryDecision.RETRY),
        (gateway(502), RetryDecision.UNCERTAIN, RetryDecision.RETRY),
        (mp4gen.TransportError("", sent=False), RetryDecision.RETRY, RetryDecision.RETRY),
        (mp4gen.TransportError("", sent=True), RetryDecision.UNCERTAIN, RetryDecision.RETRY),
        (mp4gen.ProtocolError("cut"), RetryDecision.UNCERTAIN, RetryDecision.RETRY),
        (mp4gen.UnexpectedError("odd"), RetryDecision.UNCERTAIN, RetryDecision.RETRY),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_classify_errors_that_may_pass(
    error: mp4gen.Mp4GenError, of_submit: RetryDecision, of_poll: RetryDecision
) -> None:
    """A submit is retried only if it was certainly not accepted; other failures are uncertain."""
    assert classify(error, submit=True) is of_submit
    assert classify(error, submit=False) is of_poll


def test_classify_table_holds_every_error() -> None:
    """A new error class needs a row here."""
    tried = {
        mp4gen.RateLimitError,
        mp4gen.MaintenanceError,
        mp4gen.ServerError,
        mp4gen.TransportError,
        mp4gen.ProtocolError,
        mp4gen.UnexpectedError,
    }
    rows = {type(error) for error in NEVER} | tried
    public = {
        kind
        for name in mp4gen.__all__
        if isinstance(kind := getattr(mp4gen, name), type) and issubclass(kind, Exception)
    }

    assert public - rows <= {mp4gen.Mp4GenError, mp4gen.RenderCancelledError}


def test_backoff_delays_follow_backoff_expo() -> None:
    """Each delay is below the value of `backoff.expo`, and one seed gives the same delays."""
    growing = backoff.expo(base=2, factor=0.5, max_value=30)
    next(growing)
    ceilings = list(islice(growing, 12))

    found = list(islice(backoff_delays(Retry(), Random(1)), 12))

    assert ceilings[:4] == [0.5, 1, 2, 4]
    assert ceilings[-1] == 30
    assert all(0 <= wait <= most for wait, most in zip(found, ceilings, strict=True))
    assert found == list(islice(backoff_delays(Retry(), Random(1)), 12))
    assert found != list(islice(backoff_delays(Retry(), Random(2)), 12))


def test_backoff_delays_spread_over_the_whole_range() -> None:
    """A thousand clients that failed together do not retry together."""
    tenth = [next(islice(backoff_delays(Retry(), Random(seed)), 9, None)) for seed in range(300)]

    assert min(tenth) < 3
    assert max(tenth) > 27
    assert 13 < sum(tenth) / len(tenth) < 17

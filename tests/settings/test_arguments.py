"""Wrong arguments are refused in one sentence before anything is sent; obvious ones are taken."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import mp4gen
from mp4gen import Client, Dialect, RateLimit, Retry, Track, VideoRequest, models
from mp4gen.settings.arguments import _RULES, checked
from mp4gen.testing import FakeService
from mp4gen.testing.service import FAKE_KEY

REQUEST = VideoRequest("music", "track")
RECEIVER = mp4gen.CallbackReceiver("https://bot.example.com")
LIMITER = mp4gen.SlidingWindowLimiter()
VIDEO = mp4gen.Video("t", "https://cdn.example.com/v.mp4")


class Unprintable:
    """An object whose `repr` fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


async def stream() -> AsyncIterator[VideoRequest]:
    yield REQUEST


def hook(*_: object) -> None:
    """Serve as any hook."""


STREAM = stream()
ODD = [
    None,
    True,
    0,
    -1,
    10**400,
    10**5000,
    math.nan,
    math.inf,
    1.5,
    "",
    " ",
    "text",
    "a\0b",
    "\ud800",
    b"bytes",
    Path("path"),
    Decimal(1),
    1j,
    [],
    ["text"],
    {},
    (1,),
    REQUEST,
    VIDEO,
    RECEIVER,
    LIMITER,
    hook,
    object(),
    Unprintable(),
    int,
    mp4gen.RateLimiter,
    Dialect,
]

# The odd values that each argument accepts.
ACCEPTED: dict[str, list[object]] = {
    "base_url": [None, "", " ", "text", "a\0b", "\ud800"],
    "dialect": [None],
    "rate_limit": [LIMITER],
    "concurrency": [],
    "polling": [],
    "retry": [0, 1.5],
    "callbacks": [None, RECEIVER],
    "on_uncertain_submit": [None],
    "trust_env": [True],
    "ssl_context": [None],
    "allow_http": [True],
    "on_event": [None, hook, int, mp4gen.RateLimiter, Dialect],
    "task_id": ["text", 0],
    "audio_id": ["text", 0],
    "request": [REQUEST],
    "timeout": [1.5, math.inf],
    "on_submitted": [None, hook, int, mp4gen.RateLimiter, Dialect],
    # A text that is not a URL is a `DownloadError`.
    "video_or_url": [VIDEO, "", " ", "text", "a\0b", "\ud800"],
    # A name that the file system refuses is a `DownloadError`.
    "to": ["text", "a\0b", "\ud800", Path("path")],
    "on_progress": [None, hook, int, mp4gen.RateLimiter, Dialect],
    "requests": [[]],
    "ledger": [None, "text", Path("path")],
    "download_to": [None, "text", Path("path")],
    "retry_failed": [True],
    "name": [None, hook, int, mp4gen.RateLimiter, Dialect],
}


def is_in(value: object, values: list[object]) -> bool:
    """Return whether a value is one of the others, with 1 and True apart."""
    return any(
        value is other or (type(value) is type(other) and value == other) for other in values
    )


def test_each_argument_has_a_row() -> None:
    """A new argument needs a line in the table of this test."""
    assert sorted(ACCEPTED) == sorted(_RULES)


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_argument_accepts_or_refuses_any_value(name: str) -> None:
    """One sentence in one line with the name and what to use; no other error."""
    accepted, texts = [], []
    for value in ODD:
        try:
            checked(name, value)
        except (mp4gen.ConfigurationError, mp4gen.ValidationError) as error:
            texts.append(str(error))
        else:
            accepted.append(value)

    assert [value for value in accepted if not is_in(value, ACCEPTED[name])] == []
    assert len(accepted) == len(ACCEPTED[name])
    for text in texts:
        assert text.startswith(("Invalid ", "The ")), text
        assert text.endswith("."), text
        assert len(text) < 300
        assert "\n" not in text


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("dialect", "kie", Dialect.KIE),
        ("dialect", " SUNO", Dialect.SUNO),
        ("retry", 60, Retry(timeout=60)),
        ("request", Track("m", "a", title="x"), VideoRequest("m", "a")),
        ("to", Path("v.mp4"), "v.mp4"),
        ("to", "videos/", "videos/"),
        ("video_or_url", "http://e.com/v.mp4", "http://e.com/v.mp4"),
        ("requests", (REQUEST,), (REQUEST,)),
        ("requests", [Track("m", "a")], [Track("m", "a")]),
        ("requests", STREAM, STREAM),
        ("on_uncertain_submit", "raise", "raise"),
    ],
)
def test_obvious_values_are_accepted(name: str, value: object, expected: object) -> None:
    """A name for a dialect, a number for a limit, a track for its request."""
    assert checked(name, value) == expected


@pytest.mark.parametrize("value", [5, 5.0, RateLimit(5)])
def test_rate_limit_may_be_a_number(value: Any) -> None:
    """It counts calls in ten seconds, as the vendors do."""
    limiter = checked("rate_limit", 5 if value == 5 else value)

    assert limiter.limit == RateLimit(5, per=10.0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"polling": 5},
            "Invalid polling: 5. Use a Polling value, such as Polling(",
        ),
        ({"dialect": "sun"}, 'Invalid dialect: \'sun\'. Use a Dialect, "suno", "kie" or None.'),
        ({"proxy": 3}, "Invalid proxy: int. Use http://host:port."),
        (
            {"base_url": Path("x")},
            "Invalid base_url: PosixPath('x'). Use a URL as a string, or None.",
        ),
        ({"concurrency": "3"}, "Invalid concurrency: '3'. Use a whole number above 0."),
        ({"callbacks": "url"}, "Invalid callbacks: 'url'. Use a CallbackReceiver or None."),
        (
            {"retry": "5"},
            "Invalid retry: '5'. Use a Retry value, or the seconds after",
        ),
        ({"retry": -5}, "Invalid timeout: -5. Use a number of at least 0."),
        ({"on_event": 5}, "Invalid on_event: 5. Use a function that takes an Event, or None."),
        ({"trust_env": "no"}, "Invalid trust_env: 'no'. Use True or False."),
        ({"ssl_context": True}, "Invalid ssl_context: True. Use an ssl.SSLContext or None."),
        ({"allow_http": 1}, "Invalid allow_http: 1. Use True or False."),
        ({"rate_limit": 2.5}, "Invalid requests: 2.5. Use a whole number above 0."),
    ],
)
def test_client_refuses_wrong_types(settings: dict[str, Any], expected: str) -> None:
    """When the client is made, not after a track was paid for."""
    with pytest.raises(mp4gen.ConfigurationError) as caught:
        Client(FAKE_KEY, **settings)

    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("requests", "'requests'"),
        (REQUEST, "VideoRequest("),
        ({REQUEST: 1}, "{VideoRequest("),
        (None, "None"),
    ],
)
def test_convert_many_refuses_what_is_not_a_collection(value: Any, problem: str) -> None:
    """A single request, a text and a mapping are mistakes."""
    with pytest.raises(mp4gen.ConfigurationError) as caught:
        Client(base_url="http://127.0.0.1:9").convert_many(value)

    assert str(caught.value).startswith(f"Invalid requests: {problem}")


def test_convert_many_names_the_wrong_item_of_a_list() -> None:
    """All items are checked before the first one is paid for."""
    requests: Any = [REQUEST] * 3 + ["track"]

    with pytest.raises(
        mp4gen.ConfigurationError,
        match=r"^Invalid requests\[3\]: 'track'. Use a VideoRequest or a Track\.$",
    ):
        Client(base_url="http://127.0.0.1:9").convert_many(requests)


CALLS: dict[str, Callable[[Client, Any], Awaitable[object]]] = {
    "create_music_video": lambda client, odd: client.create_music_video(odd),
    "get_music_video_details": lambda client, odd: client.get_music_video_details(odd),
    "wait_for_video": lambda client, odd: client.wait_for_video(odd),
    "wait_for_video(timeout)": lambda client, odd: client.wait_for_video("t", timeout=odd),
    "convert": lambda client, odd: client.convert(odd),
    "convert(timeout)": lambda client, odd: client.convert(REQUEST, timeout=odd),
    "convert(on_submitted)": lambda client, odd: client.convert(REQUEST, on_submitted=odd),
    "get_tracks": lambda client, odd: client.get_tracks(odd),
    "get_timestamped_lyrics": lambda client, odd: client.get_timestamped_lyrics("m", odd),
    "download": lambda client, odd: client.download(odd, "v.mp4"),
    "download(to)": lambda client, odd: client.download(VIDEO, odd),
    "download(on_progress)": lambda client, odd: client.download(VIDEO, "v", on_progress=odd),
}


@pytest.mark.looptime
@pytest.mark.parametrize("name", sorted(CALLS))
async def test_call_with_a_wrong_argument_sends_nothing(name: str) -> None:
    """Bytes, a bool, a complex number, an object: one of our errors, and no request."""
    errors = []
    odd: list[Any] = [b"x", True, 1j, [1], object(), Unprintable(), 10**5000, math.nan]
    async with FakeService() as service, service.client() as client:
        for value in odd:
            with pytest.raises((mp4gen.ValidationError, mp4gen.ConfigurationError)) as caught:
                await CALLS[name](client, value)
            errors.append(str(caught.value))

    assert service.requests == []
    assert len(errors) == len(odd)


@pytest.mark.looptime
async def test_tracks_are_converted_like_requests() -> None:
    """`get_tracks` and `convert_many` fit together."""
    track = Track("music", "track")
    async with FakeService() as service, service.client(retry=60, dialect="suno") as client:
        service.music["music"] = [track]
        video = await client.convert(track)
        async with client.convert_many(await client.get_tracks("music")) as run:
            conversions = [conversion async for conversion in run]

    assert [conversion.request for conversion in conversions] == [models.to_video_request(track)]
    assert video.task_id == conversions[0].task_id

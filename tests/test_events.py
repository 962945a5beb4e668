"""Events reach the hook and the log, each with its level and its line."""

import logging
from typing import Any

import attrs
import pytest

import mp4gen
from mp4gen import events
from mp4gen.transport.event_emitter import EventEmitter

VIDEO = mp4gen.Video("video", "https://files.example/video.mp4")
ERROR = mp4gen.TransportError("No connection.", sent=False)
ALL = [
    (
        mp4gen.SubmittedEvent("video", "track", adopted=False),
        logging.INFO,
        "Task video submitted for audio track (adopted: False).",
    ),
    (
        mp4gen.PollEvent("video", mp4gen.VideoStatus.PENDING, 15.0),
        logging.DEBUG,
        "Task video has the status PENDING after 15.0 s.",
    ),
    (
        mp4gen.RetryEvent("/api/v1/mp4/generate", ERROR, 0.5),
        logging.INFO,
        "/api/v1/mp4/generate failed, next attempt in 0.5 s: No connection.",
    ),
    (
        mp4gen.PausedEvent(10.0),
        logging.WARNING,
        "All calls pause for 10.0 s after a rate refusal.",
    ),
    (
        mp4gen.MaintenanceEvent(300.0),
        logging.WARNING,
        "The API is down for maintenance, next probe in 300.0 s.",
    ),
    (mp4gen.CompletedEvent(VIDEO, 40.0), logging.INFO, "Task video completed after 40.0 s."),
    (
        mp4gen.FailedEvent("video", ERROR),
        logging.WARNING,
        "Conversion failed (task video): No connection.",
    ),
    (
        mp4gen.DownloadProgressEvent("videos/track.mp4", 100, None),
        logging.DEBUG,
        "videos/track.mp4: 100 of None bytes received.",
    ),
]


def test_table_holds_every_event() -> None:
    """A new event needs a level and a line, too."""
    defined = {kind for kind in vars(events).values() if isinstance(kind, type)}
    expected = {kind for kind in defined if issubclass(kind, mp4gen.Event)} - {mp4gen.Event}

    assert {type(event) for event, *_ in ALL} == expected


@pytest.mark.parametrize(("event", "level", "line"), ALL, ids=lambda value: type(value).__name__)
def test_emit_logs_one_line_and_calls_the_hook(
    event: mp4gen.Event, level: int, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Routine events have the level DEBUG; events that need attention are warnings."""
    events_seen: list[mp4gen.Event] = []
    with caplog.at_level(logging.DEBUG, "mp4gen"):
        EventEmitter(events_seen.append).emit(event)

    assert events_seen == [event]
    assert [(record.name, record.levelno) for record in caplog.records] == [("mp4gen", level)]
    assert caplog.messages == [line]


@pytest.mark.parametrize("event", [event for event, *_ in ALL], ids=lambda e: type(e).__name__)
def test_event_is_frozen(event: Any) -> None:
    """One hook cannot change an event for another."""
    name = attrs.fields(type(event))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(event, name, None)


def test_emit_logs_without_a_hook(caplog: pytest.LogCaptureFixture) -> None:
    """The log needs no set-up."""
    with caplog.at_level(logging.INFO, "mp4gen"):
        EventEmitter().emit(mp4gen.PausedEvent(10.0))

    assert caplog.messages == ["All calls pause for 10.0 s after a rate refusal."]


def test_emit_logs_an_exception_of_the_hook(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The traceback is in the log, and the event, too."""

    def broken(_: mp4gen.Event) -> None:
        raise RuntimeError("the hook's own fault")

    with caplog.at_level(logging.INFO, "mp4gen"):
        EventEmitter(broken).emit(mp4gen.PausedEvent(10.0))

    assert caplog.messages[1] == "on_event raised an exception; the conversion continues."
    assert "the hook's own fault" in caplog.text


def test_emit_lets_keyboard_interrupt_through() -> None:
    """Only an `Exception` of the hook is caught."""

    def interrupted(_: mp4gen.Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EventEmitter(interrupted).emit(mp4gen.PausedEvent(10.0))


def test_event_text_is_one_line() -> None:
    """A text of the API cannot add lines to the log."""
    event = mp4gen.PollEvent("video", "NEW\r\nERROR forged", 1.0)

    assert str(event) == "Task video has the status NEW  ERROR forged after 1.0 s."

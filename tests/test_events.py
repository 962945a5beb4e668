"""What a client does is told as frozen records, to a hook and to the log, at a fitting level."""

import logging
from typing import Any

import attrs
import pytest

import mp4gen
from mp4gen import events
from mp4gen.events import EventEmitter

VIDEO = mp4gen.Video("video", "https://files.example/video.mp4")
ERROR = mp4gen.TransportError("no connection", sent=False)
ALL = [
    (mp4gen.SubmittedEvent("video", "track", adopted=False), logging.INFO),
    (mp4gen.PollEvent("video", mp4gen.VideoStatus.PENDING, 15.0), logging.DEBUG),
    (mp4gen.RetryEvent("/api/v1/mp4/generate", ERROR, 0.5), logging.INFO),
    (mp4gen.PausedEvent(10.0), logging.WARNING),
    (mp4gen.MaintenanceEvent(300.0), logging.WARNING),
    (mp4gen.CompletedEvent(VIDEO, 40.0), logging.INFO),
    (mp4gen.FailedEvent("video", ERROR), logging.WARNING),
    (mp4gen.DownloadProgressEvent("videos/track.mp4", 100, None), logging.DEBUG),
]


def test_the_table_holds_every_event() -> None:
    """A new one needs a level, too."""
    defined = {kind for kind in vars(events).values() if isinstance(kind, type)}
    expected = {kind for kind in defined if issubclass(kind, mp4gen.Event)} - {mp4gen.Event}

    assert {type(event) for event, _ in ALL} == expected


@pytest.mark.parametrize(("event", "level"), ALL, ids=lambda value: type(value).__name__)
def test_each_event_is_one_line_of_the_log_and_one_call_of_the_hook(
    event: mp4gen.Event, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What is routine is for those who debug; what needs somebody is a warning."""
    told: list[mp4gen.Event] = []
    with caplog.at_level(logging.DEBUG, "mp4gen"):
        EventEmitter(told.append).emit(event)

    assert told == [event]
    assert [(record.name, record.levelno) for record in caplog.records] == [("mp4gen", level)]
    assert caplog.records[0].getMessage() == repr(event)


@pytest.mark.parametrize(("event", "_"), ALL, ids=lambda value: type(value).__name__)
def test_an_event_cannot_be_changed(event: Any, _: int) -> None:
    """One hook cannot spoil it for another."""
    name = attrs.fields(type(event))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(event, name, None)


def test_without_a_hook_there_is_still_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing has to be set up for that."""
    with caplog.at_level(logging.INFO, "mp4gen"):
        EventEmitter().emit(mp4gen.PausedEvent(10.0))

    assert caplog.messages == ["PausedEvent(delay=10.0)"]


def test_a_hook_that_raises_is_told_of_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its fault is in the log, with its traceback; the event was not lost."""

    def broken(_: mp4gen.Event) -> None:
        raise RuntimeError("the hook's own fault")

    with caplog.at_level(logging.INFO, "mp4gen"):
        EventEmitter(broken).emit(mp4gen.PausedEvent(10.0))

    assert caplog.messages[1] == "on_event raised; the conversion goes on"
    assert "the hook's own fault" in caplog.text


def test_what_ends_the_program_is_not_held_back() -> None:
    """A hook may be interrupted."""

    def interrupted(_: mp4gen.Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EventEmitter(interrupted).emit(mp4gen.PausedEvent(10.0))

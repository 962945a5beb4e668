"""The lyrics of a track with times: the value, and both sides of "Get Timestamped Lyrics".

See docs.sunoapi.org and docs.kie.ai, "Get Timestamped Lyrics". Does no I/O but to write a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from mp4gen.errors import Mp4GenError, NotFoundError, ProtocolError
from mp4gen.filesystem import atomic_write
from mp4gen.lyrics.events import LyricEvent, join_events
from mp4gen.lyrics.lrc import format_lrc
from mp4gen.lyrics.values import LyricLine, Lyrics
from mp4gen.models import Value

from . import converters
from .dialects import Dialect
from .protocol import ApiRequest, build_data_response
from .responses import HttpResponse, describe_response, dump_json, parse_response

LYRICS_PATH = "/api/v1/generate/get-timestamped-lyrics"


@attrs.frozen(eq=False, repr=False)
class TimestampedLyrics(Value):
    """The lyrics of a track, with the seconds at which its words are sung.

    Attributes:
        task_id: Id of the music task.
        audio_id: Id of the track in its music task.
        lines: The lines, without the names of sections; empty for instrumental music.
    """

    task_id: str
    audio_id: str
    lines: tuple[LyricLine, ...]

    def to_lrc(self) -> str:
        """Return the lyrics as the text of an LRC file, with the times of the words."""
        return format_lrc(Lyrics(self.lines))

    def write_lrc(self, path: str | os.PathLike[str]) -> Path:
        """Write the lyrics to an LRC file, completely or not at all, and return its path.

        Args:
            path: Path of the file, which is replaced; `~` is expanded.

        Raises:
            Mp4GenError: The file cannot be written.
        """
        try:
            target = Path(os.fspath(path)).expanduser()
            with atomic_write(target) as part:
                part.write_text(self.to_lrc(), encoding="utf-8")
        except (OSError, ValueError, RuntimeError) as error:
            raise Mp4GenError(f"Cannot write the lyrics: {error}. Choose another path.") from error
        return target


def build_lyrics_request(task_id: str, audio_id: str) -> ApiRequest:
    """Build "Get Timestamped Lyrics"; it makes nothing, so that it may be sent twice."""
    body = dump_json({"taskId": task_id, "audioId": audio_id})
    return ApiRequest("POST", LYRICS_PATH, body, task_id=task_id)


def parse_lyrics(
    response: HttpResponse, dialect: Dialect, task_id: str, audio_id: str
) -> TimestampedLyrics:
    """Return the lyrics of a track.

    Raises:
        NotFoundError: The API has no lyrics of the track.
        Mp4GenError: As `parse_response`.
    """
    data = parse_response(response, dialect, task_id)
    if data is None:
        raise NotFoundError("no lyrics of the track", code=200, task_id=task_id)
    words = data.get("alignedWords") if isinstance(data, dict) else None
    if not isinstance(words, list | None) or not isinstance(data, dict):
        raise ProtocolError(
            f"Lyrics of {task_id} are not a list of words: {describe_response(response)}."
        )
    lyrics = join_events(list(_events(word for word in words or () if isinstance(word, dict))))
    return TimestampedLyrics(task_id, audio_id, lyrics.lines)


def _events(words: Iterator[Mapping[str, Any]]) -> Iterator[LyricEvent]:
    """Yield the words; one whose time was not found belongs to the word before it."""
    event, leading = None, ""
    for word in words:
        text = word.get("word")
        if not isinstance(text, str):
            continue
        start = converters.parse_float(word.get("startS"))
        if word.get("success") is False or start is None or start < 0:
            if event is None:
                leading += text
            else:
                event = attrs.evolve(event, text=event.text + text)
            continue
        if event is not None:
            yield event
        event = LyricEvent(start, leading + text, converters.parse_float(word.get("endS")))
        leading = ""
    if event is not None:
        yield event


def build_lyrics_response(lyrics: TimestampedLyrics) -> bytes:
    """Build the success of "Get Timestamped Lyrics", as the server sends it."""
    words: list[dict[str, Any]] = []
    for line in lyrics.lines:
        texts = [(word.start, word.text) for word in line.words] or [(line.start, line.text)]
        ends = [*(start for start, _ in texts[1:]), line.end]
        for (start, text), end in zip(texts, ends, strict=True):
            shown = text if text.endswith(" ") else f"{text}\n" if end is line.end else text
            words.append(
                {"word": shown, "success": True, "startS": start, "endS": end, "palign": 0}
            )
    data = {"alignedWords": words, "waveformData": [], "hootCer": 0.0, "isStreamed": False}
    return build_data_response(data)

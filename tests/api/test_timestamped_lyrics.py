"""Both sides of "Get Timestamped Lyrics", and the LRC file that is written of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import mp4gen
from mp4gen import Dialect, LyricLine, LyricWord, TimestampedLyrics
from mp4gen.api.responses import HttpResponse
from mp4gen.api.timestamped_lyrics import build_lyrics_response, parse_lyrics
from mp4gen.testing import FakeService

LYRICS = TimestampedLyrics(
    "music",
    "track",
    (
        LyricLine(
            1.36, 2.5, "Waggin' tails", (LyricWord(1.36, "Waggin' "), LyricWord(1.8, "tails"))
        ),
        LyricLine(4.0, None, "Hey", ()),
    ),
)


def parsed(data: Any) -> TimestampedLyrics:
    body = json.dumps({"code": 200, "msg": "success", "data": data}).encode()
    return parse_lyrics(HttpResponse(200, {}, body), Dialect.SUNO, "music", "track")


def word(text: Any, start: Any, end: Any = None, *, success: bool = True) -> dict[str, Any]:
    return {"word": text, "success": success, "startS": start, "endS": end, "palign": 0}


def test_published_example_is_parsed() -> None:
    """The words of docs.sunoapi.org: a section's name and its first word in one piece."""
    found = parsed({"alignedWords": [word("[Verse]\nWaggin'", 1.36, 1.79)], "waveformData": [0]})

    assert found.lines == (LyricLine(1.36, 1.79, "Waggin'", ()),)


def test_words_without_a_time_join_their_neighbours() -> None:
    """The alignment failed for them; their text is sung anyway."""
    found = parsed(
        {
            "alignedWords": [
                word("Oh ", None, success=False),
                word("winter ", 1.0, 1.5),
                word("winds ", 0, 0, success=False),
                word("cut\n", "2.5", 3),
                word(None, 3.5),
                "noise",
            ]
        }
    )

    words = LyricWord(1.0, "Oh winter winds "), LyricWord(2.5, "cut")
    assert found.lines == (LyricLine(1.0, 3.0, "Oh winter winds cut", words),)


@pytest.mark.parametrize("data", [{}, {"alignedWords": []}, {"alignedWords": None}])
def test_instrumental_music_has_no_lines(data: Any) -> None:
    """It is no error: the track is known."""
    assert parsed(data).lines == ()


def test_unknown_tracks_and_other_answers_are_errors() -> None:
    """No data is "not found"; anything but a list of words is not the API's answer."""
    with pytest.raises(mp4gen.NotFoundError, match="no lyrics of the track"):
        parsed(None)
    with pytest.raises(mp4gen.ProtocolError, match="not a list of words"):
        parsed({"alignedWords": "words"})
    with pytest.raises(mp4gen.ProtocolError, match="not a list of words"):
        parsed([1])


def test_server_side_is_parsed_by_client_side() -> None:
    """The words of each line, with their times."""
    response = HttpResponse(200, {}, build_lyrics_response(LYRICS))

    assert parse_lyrics(response, Dialect.SUNO, "music", "track") == LYRICS


def test_value_is_json_ready_and_becomes_lrc() -> None:
    """With the times of the words."""
    first, second = json.loads(json.dumps(LYRICS.to_dict()))["lines"]

    assert first["words"][1] == {"start": 1.8, "text": "tails"}
    assert second == {"start": 4.0, "end": None, "text": "Hey", "words": []}
    assert (
        LYRICS.to_lrc() == "[00:01.36]<00:01.36>Waggin' <00:01.80>tails<00:02.50>\n[00:04.00]Hey\n"
    )


async def test_call_returns_and_writes_the_lyrics(tmp_path) -> None:
    """One call, and a file in a folder that exists."""
    async with FakeService() as service, service.client() as client:
        service.lyrics.append(LYRICS)
        found = await client.get_timestamped_lyrics("music", "track")
        with pytest.raises(mp4gen.NotFoundError):
            await client.get_timestamped_lyrics("music", "other")

    assert found == LYRICS
    assert service.count("lyrics") == 2
    assert found.write_lrc(tmp_path / "song.lrc").read_text() == LYRICS.to_lrc()
    with pytest.raises(mp4gen.Mp4GenError, match=r"Cannot write the lyrics: .* Choose another"):
        found.write_lrc(tmp_path / "none" / "song.lrc")


async def test_call_is_repeated_after_a_lost_answer() -> None:
    """It makes nothing, so that it may be sent again."""
    async with FakeService() as service, service.client() as client:
        service.lyrics.append(LYRICS)
        service.script("lyrics", "reset_after_accept")

        assert await client.get_timestamped_lyrics("music", "track") == LYRICS


def test_blocking_client_has_the_call() -> None:
    """As all calls of the client."""
    with FakeService() as service, service.sync_client() as client:
        service.lyrics.append(LYRICS)

        assert client.get_timestamped_lyrics("music", "track") == LYRICS

"""Find the lyrics of a track: a file that the caller names, one beside the music, or its tags."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from attrs import evolve

from mp4gen.errors import RenderError, RenderIOError
from mp4gen.lyrics.beside import lyrics_beside
from mp4gen.lyrics.decoding import MAX_BYTES
from mp4gen.lyrics.files import parse_lyrics
from mp4gen.lyrics.values import NO_LYRICS, LyricLine, Lyrics, LyricWord
from mp4gen.render.characters import MAX_CHARACTERS, sanitize
from mp4gen.render.decode import display_name
from mp4gen.render.options import PathLike
from mp4gen.render.tags import Tags

# "auto", a path, or None for no lyrics.
LyricsChoice = PathLike | Literal["auto"] | None


def check_lyrics(choice: LyricsChoice) -> None:
    """Check lyrics that the caller names, before the music is read.

    Raises:
        RenderError: the file is missing or cannot be read; the text names its line.
    """
    if choice not in (None, "auto"):
        read_lyrics(choice)


def find_lyrics(audio: PathLike, choice: LyricsChoice, file_tags: Tags) -> tuple[Lyrics, list[str]]:
    """Return (sanitized lyrics, empty if there are none; warnings).

    Args:
        audio: the music file.
        choice: the caller's.
        file_tags: the tags of the music file.

    Raises:
        RenderError: the file that the caller names cannot be read.
    """
    if choice is None:
        return NO_LYRICS, []
    if choice != "auto":
        lyrics = read_lyrics(choice)
        return lyrics, [] if lyrics.lines else [_without_times(choice)]
    for candidate in (*lyrics_beside(Path(os.fspath(audio))), None):
        try:
            found = _tagged(audio, file_tags) if candidate is None else read_lyrics(candidate)
        except RenderError as error:
            # Lyrics that the caller did not ask for do not make the music unusable.
            return NO_LYRICS, [f"{error} The video is made without lyrics."]
        if found.lines:
            return found, []
    return NO_LYRICS, []


def _without_times(path: PathLike) -> str:
    return (
        f"The lyrics in {display_name(path)} have no times, so they are not shown. Choose a .lrc, "
        ".srt or .vtt file with times."
    )


def read_lyrics(path: PathLike) -> Lyrics:
    """Return the sanitized lyrics of a file; they are empty if it has no times.

    Raises:
        RenderError: the file is missing or cannot be read.
        RenderIOError: reading it failed; it may succeed later.
    """
    name, path = display_name(path), Path(os.fspath(path))
    try:
        if path.exists() and not path.is_file():
            raise RenderError(f"Not a file: {name}. Choose a .lrc, .srt or .vtt file.")
        with path.open("rb") as file:
            # One byte more than is allowed, so that the excess is noticed.
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError, PermissionError, ValueError) as error:
        why = "does not exist" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise RenderError(f"The lyrics file {why}: {name}. Check the path.") from error
    except OSError as error:
        raise RenderIOError(
            f"Cannot read the lyrics file: {name} ({error.strerror}). Try again."
        ) from error
    return _sanitized(parse_lyrics(data, name))


def _tagged(audio: PathLike, file_tags: Tags) -> Lyrics:
    """Return the lyrics with times in the tags of the music."""
    if file_tags.synced.lines:
        return _sanitized(file_tags.synced)
    name = f"{display_name(audio)} (tags)"
    texts = (parse_lyrics(text.encode("utf-8", "replace"), name) for text in file_tags.lyrics)
    return next((_sanitized(lyrics) for lyrics in texts if lyrics.lines), NO_LYRICS)


def _sanitized(lyrics: Lyrics) -> Lyrics:
    return Lyrics(tuple(_lines(lyrics.lines)))


def _lines(lines: Iterable[LyricLine]) -> Iterator[LyricLine]:
    for line in lines:
        words = tuple(_words(line.words))
        if words:
            words = (*words[:-1], evolve(words[-1], text=words[-1].text.rstrip()))
        text = "".join(word.text for word in words) or sanitize(line.text)
        if text:
            yield evolve(line, text=text, words=words)


def _words(words: Iterable[LyricWord]) -> Iterator[LyricWord]:
    """Yield the words that have letters, each with the space behind it."""
    left = MAX_CHARACTERS
    for word in words:
        text = sanitize(word.text)
        if not text:
            continue
        if left <= 0:
            return
        text = (f"{text} " if word.text.endswith(" ") else text)[:left]
        left -= len(text)
        yield evolve(word, text=text)

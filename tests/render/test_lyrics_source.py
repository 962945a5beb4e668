"""Where the lyrics of a track come from."""

from __future__ import annotations

import os
import sys

import pytest
from mutagen.apev2 import APEv2
from mutagen.flac import FLAC
from mutagen.id3 import ID3, SYLT, USLT
from mutagen.mp4 import MP4
from mutagen.oggopus import OggOpus

from mp4gen.errors import RenderError
from mp4gen.lyrics.decoding import MAX_BYTES
from mp4gen.lyrics.values import LyricWord
from mp4gen.render.lyrics.source import find_lyrics, read_lyrics
from mp4gen.render.tags import Tags, read_tags

LRC = "[00:01.00]Stay\n[00:02.00]here"
NO_TAGS = Tags("", "", ())


def texts(audio, choice="auto", tags=NO_TAGS):
    lyrics, warnings = find_lyrics(audio, choice, tags)
    assert warnings == []
    return [line.text for line in lyrics.lines]


def a_folder(path):
    path.mkdir()
    return path


def write(folder, *names, text=LRC):
    for name in names:
        (folder / name).write_text(text)
    return folder / "song.mp3"


@pytest.mark.parametrize(
    "name", ["song.lrc", "song.LRC", "song.en.lrc", "song.pt-BR.Lrc", "song.eng.lrc"]
)
def test_lyrics_beside_the_music_are_found(tmp_path, name):
    """The extension in any case, and a language before it."""
    audio = write(tmp_path, name, "other.lrc", "song.mp3.txt")

    assert texts(audio) == ["Stay", "here"]


def test_lyrics_of_several_languages_are_not_guessed(tmp_path):
    """Only the caller knows which is meant; one without a language wins."""
    audio = write(tmp_path, "song.en.lrc", "song.fr.lrc", "song.live mix.lrc")

    assert texts(audio) == []
    write(tmp_path, "song.lrc", text="[00:01]Own")
    assert texts(audio) == ["Own"]


def test_formats_have_an_order(tmp_path):
    """LRC before subtitles, which may be of the talk in a video."""
    audio = write(tmp_path, "song.srt", text="1\n00:00:01,000 --> 00:00:02,000\nSubtitle")

    assert texts(audio) == ["Subtitle"]
    write(tmp_path, "song.lrc")
    assert texts(audio) == ["Stay", "here"]


def test_caller_may_choose_or_refuse(tmp_path):
    """A path is read instead of what is beside the music; None shows no lyrics."""
    audio = write(tmp_path, "song.lrc")
    write(tmp_path, "b.vtt", text="WEBVTT\n\n00:01.000 --> 00:02.000\nOther")

    assert texts(audio, None) == []
    assert texts(audio, tmp_path / "b.vtt") == ["Other"]


def test_unreadable_lyrics_beside_the_music_are_a_warning(tmp_path):
    """The caller did not ask for them, but may want to correct them."""
    audio = write(tmp_path, "song.lrc", text="[00:99.00]x")
    lyrics, (warning,) = find_lyrics(audio, "auto", NO_TAGS)

    assert lyrics.lines == ()
    assert warning.startswith("Cannot read the lyrics file song.lrc, line 1: invalid time")
    assert warning.endswith("The video is made without lyrics.")


def test_chosen_lyrics_without_times_are_a_warning(tmp_path):
    """Without the caller's choice nothing is said: the file may be meant for other programs."""
    audio = write(tmp_path, "song.lrc", text="Stay\nhere")

    assert texts(audio) == []
    _, (warning,) = find_lyrics(audio, tmp_path / "song.lrc", NO_TAGS)
    assert warning == (
        "The lyrics in song.lrc have no times, so they are not shown. Choose a .lrc, .srt or .vtt "
        "file with times."
    )


def test_chosen_lyrics_must_be_readable(tmp_path):
    """A missing file, a folder, a name that no file can have, and one that is too large."""
    with pytest.raises(RenderError, match=r"^The lyrics file does not exist: none\.lrc\. Check"):
        read_lyrics(tmp_path / "none.lrc")
    with pytest.raises(RenderError, match="cannot be read"):
        read_lyrics("a\0b.lrc")
    with pytest.raises(RenderError, match=r"^Not a file: words\.lrc\. Choose a \.lrc, \.srt or"):
        read_lyrics(a_folder(tmp_path / "words.lrc"))
    (tmp_path / "large.lrc").write_bytes(b"")
    os.truncate(tmp_path / "large.lrc", MAX_BYTES * 100)
    with pytest.raises(RenderError, match="too large"):
        read_lyrics(tmp_path / "large.lrc")


def test_texts_are_sanitized(tmp_path):
    """Words keep their spaces; overrides of the direction and control characters go."""
    path = tmp_path / "song.lrc"
    path.write_text(
        "[00:01]<00:01>a\u202eb\x07 <00:02>\u200b<00:03>c\u0308\n[00:05]\u202e\n[00:06]x\ty"
    )
    first, second = read_lyrics(path).lines

    assert first.words == (LyricWord(1.0, "ab "), LyricWord(3.0, "c\u0308"))
    assert (first.text, second.text) == ("ab c\u0308", "x y")


def test_long_lines_are_cut(tmp_path):
    """A line of hundreds of words costs no more than one of 300 characters."""
    path = tmp_path / "song.lrc"
    path.write_text("[00:01]" + "".join(f"<00:{n % 60:02}>word " for n in range(2000)))

    assert len(read_lyrics(path).lines[0].text) <= 300


def synced(*text, kind=1):
    return SYLT(encoding=3, lang="eng", format=2, type=kind, text=list(text))


def tagged_mp3(tools, folder, *frames):
    music = tools.encode(folder / "song.mp3", tools.tone(0.5))
    tags = ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(music)
    return music


def test_synchronised_lyrics_of_id3_are_read(tools, tmp_path):
    """Words with a line break before each line; chords and events are no lyrics."""
    chords = synced(("C", 100), kind=4)
    chords.desc = "chords"
    words = synced(("Stay ", 1000), ("here", 1500), ("\nwith", 2000))
    music = tagged_mp3(tools, tmp_path, chords, words)
    lyrics, _ = find_lyrics(music, "auto", read_tags(music))

    assert [line.text for line in lyrics.lines] == ["Stay here", "with"]
    assert lyrics.lines[0].words == (LyricWord(1.0, "Stay "), LyricWord(1.5, "here"))


def test_synchronised_lyrics_may_be_whole_lines(tools, tmp_path):
    """Some programs write one text a line, without line breaks."""
    music = tagged_mp3(tools, tmp_path, synced(("Stay here", 1000), ("with me", 2000)))
    lyrics, _ = find_lyrics(music, "auto", read_tags(music))

    assert [line.text for line in lyrics.lines] == ["Stay here", "with me"]
    assert lyrics.lines[0].words == ()


def test_lrc_in_text_tags_is_read(tools, tmp_path):
    """In the tags that usually hold lyrics without times, of each format of tags."""
    mp3 = tagged_mp3(tools, tmp_path, USLT(encoding=3, lang="eng", text=LRC))
    assert texts(mp3, tags=read_tags(mp3)) == ["Stay", "here"]
    for ending, kind, key in [
        (".m4a", MP4, "\u00a9lyr"),
        (".flac", FLAC, "SYNCEDLYRICS"),
        (".opus", OggOpus, "LYRICS"),
    ]:
        music = tools.encode(tmp_path / f"a{ending}", tools.tone(0.5, 48000), 48000)
        file = kind(music)
        if file.tags is None:
            file.add_tags()
        file.tags[key] = LRC
        file.save()
        assert texts(music, tags=read_tags(music)) == ["Stay", "here"]


def test_lrc_in_other_containers_is_read(tools, tmp_path):
    """WavPack, and Matroska, whose tags libavformat reads."""
    music = tools.encode(tmp_path / "a.wv", tools.tone(0.5), kind="wavpack")
    tags = APEv2()
    tags["Lyrics"] = LRC
    tags.save(music)
    assert texts(music, tags=read_tags(music)) == ["Stay", "here"]
    tagged = {"LYRICS": LRC}
    music = tools.encode(tmp_path / "a.mka", tools.tone(0.5), kind="flac in matroska", tags=tagged)
    assert texts(music, tags=read_tags(music)) == ["Stay", "here"]


def test_plain_lyrics_in_tags_are_not_shown(tools, tmp_path):
    """Most files have such; they are worth no warning. Broken times are."""
    music = tagged_mp3(tools, tmp_path, USLT(encoding=3, lang="eng", text="Stay\nhere"))
    assert texts(music, tags=read_tags(music)) == []
    music = tagged_mp3(tools, tmp_path, USLT(encoding=3, lang="eng", text="[00:77.0]Stay"))
    lyrics, warnings = find_lyrics(music, "auto", read_tags(music))

    assert lyrics.lines == ()
    assert "song.mp3 (tags), line 1: invalid time" in warnings[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes in folders")
def test_pipes_are_not_waited_for(tmp_path):
    """A pipe that no process writes to does not block a render."""
    audio = tmp_path / "song.mp3"
    os.mkfifo(tmp_path / "song.lrc")
    a_folder(tmp_path / "song.vtt")

    assert texts(audio) == []
    with pytest.raises(RenderError, match=r"^Not a file: song\.lrc\."):
        read_lyrics(tmp_path / "song.lrc")
    write(tmp_path, "song.srt", text="1\n00:00:01,000 --> 00:00:02,000\nSubtitle")
    assert texts(audio) == ["Subtitle"]

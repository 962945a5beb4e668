"""Tests of titles and artists: their encoding, several values, and files without them."""

from __future__ import annotations

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.id3 import ID3, TIT2, TPE1
from mutagen.mp4 import MP4

from mp4gen.render import RenderStyle, probe, render_video, tag_text

SMALL = RenderStyle(width=160, height=160)


def mp3_with(tools, folder, *frames):
    music = tools.encode(folder / "t.mp3", tools.tone(1.0))
    tags = ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(music)
    return music


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("Für Elise", "Für Elise"),
        ("F\udcfcr Elise", "Für Elise"),
        ("F\udcc3\udcbcr Elise", "Für Elise"),
        ("BeyoncÃ©", "Beyoncé"),
        ("Noâ€¦", "No…"),
        ("No\x85", "No…"),
        ("Ð\x9fÐµÑ\x81Ð½Ñ\x8f", "Песня"),
        ("夜", "夜"),
        ("Ã", "Ã"),
        ("100 €", "100 €"),
        ("a\udc81b", "a\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_repair_returns_the_text_that_was_meant(read, meant):
    """UTF-8 first, then the encoding of old Windows programs; disguises are taken off."""
    assert tag_text.repair(read) == meant


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=40))
def test_repair_undoes_each_wrong_declaration(text):
    """UTF-8 that was taken for Latin-1, or for nothing, comes out as it was."""
    data = text.encode()

    assert tag_text.repair(data.decode("latin-1")) == text
    assert tag_text.repair(data.decode("ascii", "surrogateescape")) == text


def id3v1(title: bytes, artist: bytes) -> bytes:
    return b"TAG" + title.ljust(30, b"\0") + artist.ljust(30, b"\0") + bytes(64) + b"\xff"


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_title_in_an_old_tag_is_decoded(tools, tmp_path, encoding):
    """ID3v1 has no place for the encoding."""
    with av.open(str(tmp_path / "bare.mp3"), "w", options={"id3v2_version": "0"}) as output:
        stream = output.add_stream("libmp3lame", rate=44100)
        frame = av.AudioFrame("s16p", "stereo", 44100)
        frame.sample_rate = 44100
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    music = tmp_path / "bare.mp3"
    tag = id3v1("Für Elise".encode(encoding), "Beyoncé".encode(encoding))
    music.write_bytes(music.read_bytes() + tag)

    info = probe(music)

    assert (info.title, info.artist) == ("Für Elise", "Beyoncé")


def test_utf8_declared_as_latin1_is_decoded(tools, tmp_path):
    """Some programs write UTF-8 into the older encoding of ID3."""
    disguised = "Beyoncé".encode().decode("latin-1")
    music = mp3_with(tools, tmp_path, TIT2(encoding=0, text=disguised))

    assert probe(music).title == "Beyoncé"


def test_unreadable_letters_give_a_warning(tools, tmp_path):
    """The warning says how to choose the text."""
    music = mp3_with(tools, tmp_path, TIT2(encoding=0, text="\x81\x8d"))

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    assert "The title in the file's tags is in an unknown encoding" in result.warnings[0]


ARTISTS = ["Anna", "Béla", "Chloé"]


@pytest.mark.parametrize("ending", [".mp3", ".m4a", ".flac", ".ogg", ".opus"])
def test_several_artists_are_joined_by_commas(tools, tmp_path, ending):
    """Each container has its own way to hold several."""
    music = tools.encode(tmp_path / f"t{ending}", tools.tone(1.0, 48000), 48000)
    if ending == ".mp3":
        tags = ID3()
        tags.add(TPE1(encoding=3, text=ARTISTS))
        tags.save(music)
    elif ending == ".m4a":
        file = MP4(music)
        file["\u00a9ART"] = ARTISTS
        file.save()
    else:
        file = mutagen_file(music)
        file["artist"] = ARTISTS
        file.save()

    assert probe(music).artist == "Anna, Béla, Chloé"


def mutagen_file(music):
    kinds = {".flac": "flac.FLAC", ".ogg": "oggvorbis.OggVorbis", ".opus": "oggopus.OggOpus"}
    module, name = kinds[music.suffix].split(".")
    return getattr(__import__(f"mutagen.{module}", fromlist=[name]), name)(music)


def test_file_without_tags_shows_its_name(tools, tmp_path):
    """An empty title shows none."""
    music = tools.encode(tmp_path / "Night Train.wav", tools.tone(1.0))
    titles = []
    for options in ({}, {"title": ""}):
        render_video(music, tmp_path / "o.mp4", style=SMALL, **options)
        with av.open(str(tmp_path / "o.mp4")) as container:
            titles.append(container.metadata.get("title"))

    assert titles == ["Night Train", None]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".mp3", ".flac", ".m4a"]))
def test_damaged_tags_do_not_stop_a_render(tools, tmp_path_factory, noise, ending):
    """Whatever the tags hold, the audio is readable."""
    folder = tmp_path_factory.mktemp("damaged")
    tags = {"title": "T" * 300}
    music = tools.encode(folder / f"t{ending}", tools.tone(0.5), tags=tags)
    data = bytearray(music.read_bytes())
    place = data.index(b"T" * 200)
    data[place : place + len(noise)] = noise
    music.write_bytes(data)

    assert probe(music).duration > 0.4

"""What may come in as music, and in how few words everything else is turned away."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, probe, render_video

SMALL = RenderStyle(width=320, height=180, threads=1)


def assert_refused(music: Path, folder: Path, sentence: str, **options) -> None:
    """`music` is refused with one sentence, and nothing is left in the folder of the video."""
    folder.mkdir(exist_ok=True)
    with pytest.raises(RenderError, match=sentence) as refusal:
        render_video(music, folder / "o.mp4", style=SMALL, **options)
    text = str(refusal.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 250
    assert list(folder.iterdir()) == []


def test_a_missing_file_is_named(tmp_path):
    """The name is told, not a traceback of a library."""
    assert_refused(tmp_path / "none.mp3", tmp_path / "out", "none.mp3 does not exist")
    assert_refused(tmp_path, tmp_path / "out", "is not a file")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("text.mp3", b"just some words, and then some more of them\n" * 40),
        ("page.mp3", b"<!doctype html><html><body>not found</body></html>" * 40),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n"),
        ("list.mp3", b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nother.ts\n"),
        ("zeros.wav", bytes(5000)),
    ],
)
def test_what_is_not_music_is_refused(tmp_path, name, data):
    """Text, web pages, playlists and zeros get the same plain sentence, whatever their name."""
    music = tmp_path / name
    music.write_bytes(data)

    assert_refused(music, tmp_path / "out", "is not music that can be read")


def test_an_empty_file_is_refused(tmp_path):
    """Zero bytes are called empty."""
    music = tmp_path / "empty.mp3"
    music.touch()

    assert_refused(music, tmp_path / "out", "is empty")


def test_random_bytes_are_refused(tmp_path):
    """Noise that happens to look like MP3 frames is not taken for music."""
    music = tmp_path / "noise.mp3"
    music.write_bytes(np.random.default_rng(3).bytes(60_000))

    assert_refused(music, tmp_path / "out", "noise.mp3 (is not music|is damaged|holds)")


@pytest.mark.parametrize("name", ["neighbour.mp3", "/etc/hostname"])
def test_a_list_of_files_in_disguise_reads_no_other_file(tools, tmp_path, name):
    """A concat script named .mp3 must not open what it names, be it beside it or elsewhere."""
    tools.encode(tmp_path / "neighbour.mp3", tools.tone(2.0))
    music = tmp_path / "script.mp3"
    music.write_text(f"ffconcat version 1.0\nfile {name}\n")

    assert_refused(music, tmp_path / "out", "is not music that can be read")


def test_a_file_name_is_never_a_protocol(tmp_path, monkeypatch):
    """A relative name that looks like an address is looked up as a file."""
    monkeypatch.chdir(tmp_path)

    for name in ("http://127.0.0.1:9/x.mp3", "concat:a|b", "data:audio/mpeg;base64,AAAA"):
        with pytest.raises(RenderError, match="does not exist"):
            probe(name)


def test_a_picture_without_sound_is_refused(tools, tmp_path, tone_wav):
    """A video that holds no sound has nothing to show."""
    video = tmp_path / "silent.mp4"
    import av

    with av.open(str(video), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 160, "yuv420p"
        output.mux(stream.encode(av.VideoFrame(160, 160, "yuv420p")))
        output.mux(stream.encode(None))

    assert_refused(video, tmp_path / "out", "holds no sound")


def test_too_short_a_sound_is_refused(tools, tmp_path):
    """A tenth of a second is no track."""
    music = tools.encode(tmp_path / "blip.wav", tools.tone(0.1))

    assert_refused(music, tmp_path / "out", "0.10 s of sound")


def test_a_cut_file_gives_what_is_there(tools, tmp_path):
    """A download that broke off becomes a video as long as what can be heard."""
    whole = tools.encode(tmp_path / "whole.mp3", tools.tone(4.0))
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    result = render_video(cut, tmp_path / "o.mp4", style=SMALL)

    heard, rate = tools.decode(tmp_path / "o.mp4")
    assert 1.5 < result.duration < 2.2
    assert result.duration == pytest.approx(heard.shape[1] / rate, abs=0.08)


def test_a_wav_that_lies_about_its_length_is_measured(tools, tmp_path):
    """A header that claims ten hours is not believed, by the probe neither."""
    music = tools.encode(tmp_path / "liar.wav", tools.tone(1.0))
    data = bytearray(music.read_bytes())
    place = data.index(b"data")
    data[place + 4 : place + 8] = struct.pack("<I", 0xFFFFFF00)
    data[4:8] = struct.pack("<I", 0xFFFFFF24)
    music.write_bytes(data)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    assert result.duration == pytest.approx(1.0, abs=0.05)
    assert probe(music).duration == pytest.approx(1.0, abs=0.05)


def test_damage_is_left_out_and_told(tools, tmp_path):
    """A few bad packets cost a warning, not the video; what is copied elsewhere is encoded here."""
    music = tools.encode(tmp_path / "hurt.aac", tools.tone(4.0))
    data = bytearray(music.read_bytes())
    middle = data.index(b"\xff\xf1", len(data) // 2)
    data[middle + 7 : middle + 60] = os.urandom(0) + bytes(53)
    music.write_bytes(data)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    heard, rate = tools.decode(tmp_path / "o.mp4")
    assert result.duration == pytest.approx(heard.shape[1] / rate, abs=0.08)


@pytest.mark.parametrize("ending", [".mp3", ".wav", ".flac"])
def test_more_than_the_limit_is_refused(tools, tmp_path, ending):
    """The limit is told in minutes."""
    music = tools.encode(tmp_path / f"long{ending}", tools.tone(4.0))

    assert_refused(
        music, tmp_path / "out", "longer than the limit of 0.05 minutes", max_duration=3.0
    )


@pytest.mark.parametrize("ending", [".mp3", ".wav", ".aac"])
def test_ten_hours_of_silence_are_refused_unheard(tools, tmp_path, ending):
    """Packets are counted up to the limit, whatever the header says, and no sound is decoded."""
    silence = tools.encode(tmp_path / f"short{ending}", np.zeros((1, 80_000), np.float32), 8000)
    music = tmp_path / f"long{ending}"
    if ending == ".wav":
        header = bytearray(silence.read_bytes()[: silence.stat().st_size - 160_000])
        size = 10 * 3600 * 16_000
        header[-4:], header[4:8] = struct.pack("<I", size), struct.pack("<I", size + 36)
        with music.open("wb") as file:
            file.write(header)
            file.truncate(len(header) + size)
    else:
        music.write_bytes(silence.read_bytes() * 3600)

    assert_refused(music, tmp_path / "out", "longer than the limit of 20 minutes")


@pytest.mark.parametrize("ending", [".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wav"])
def test_probe_tells_what_the_file_says(tools, tmp_path, ending):
    """Length, codec and rate come without decoding, in every format."""
    codec = {".m4a": "aac", ".ogg": "vorbis", ".wav": "pcm_s16le"}.get(ending, ending[1:])
    music = tools.encode(
        tmp_path / f"t{ending}",
        tools.tone(3.0, 48000),
        48000,
        tags={"title": "Tone", "artist": "Oscillator"},
    )

    info = probe(music)

    assert info.duration == pytest.approx(3.0, abs=0.1)
    assert (info.codec, info.sample_rate, info.channels) == (codec, 48000, 2)
    if ending not in (".aac", ".wav"):
        assert (info.title, info.artist) == ("Tone", "Oscillator")
    assert not info.has_cover


def test_eight_channels_at_192_khz_become_stereo_at_48(tools, tmp_path):
    """What no phone plays is brought down to what every phone plays."""
    music = tools.encode(tmp_path / "wide.flac", tools.tone(1.0, 192000, channels=8), 192000)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    heard, rate = tools.decode(tmp_path / "o.mp4")
    assert (heard.shape[0], rate) == (2, 48000)
    assert result.duration == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("channels", "rate", "sentence"),
    [
        (9, 44100, "holds 9 channels at 44100 Hz, which cannot be mixed down"),
        (255, 44100, "holds 255 channels at 44100 Hz, which cannot be mixed down"),
        (1000, 44100, "is damaged"),
        (1, 0, "is not music that can be read"),
    ],
)
def test_an_arrangement_that_nothing_can_play_is_refused(tmp_path, channels, rate, sentence):
    """Odd numbers of channels and rates end in a sentence, not in a library's error."""
    music = tmp_path / "odd.wav"
    music.write_bytes(_wav(1, channels, rate, 2, bytes(2 * channels * 30_000)))

    assert_refused(music, tmp_path / "out", sentence)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_sound_are_refused(tmp_path, value):
    """A file of floats may hold anything; no warning of a library comes out."""
    samples = np.zeros(44100, "<f4")
    samples[20_000] = value
    music = tmp_path / "odd.wav"
    music.write_bytes(_wav(3, 1, 44100, 4, samples.tobytes()))

    assert_refused(music, tmp_path / "out", "no numbers or beyond all measure")


def _wav(kind: int, channels: int, rate: int, size: int, data: bytes) -> bytes:
    frame = channels * size
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, 8 * size)
    return _chunk(b"RIFF", b"WAVE" + _chunk(b"fmt ", form) + _chunk(b"data", data))


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def test_a_title_in_no_known_encoding_is_read_as_far_as_it_goes(tmp_path):
    """Bytes that are no UTF-8 become marks, with every version of PyAV."""
    title = _chunk(b"LIST", b"INFO" + _chunk(b"INAM", b"Caf\xe9 Bar\0"))
    form = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))
    music = tmp_path / "cafe.wav"
    music.write_bytes(_chunk(b"RIFF", b"WAVE" + form + title + _chunk(b"data", bytes(16000))))

    assert probe(music).title == "Caf\N{REPLACEMENT CHARACTER} Bar"

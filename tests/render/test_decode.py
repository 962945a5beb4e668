"""Tests of the inputs that are accepted, and of the errors for all others."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, decode, probe, render_video

SMALL = RenderStyle(width=320, height=180)


def assert_refused(music: Path, folder: Path, sentence: str, **options) -> None:
    """Assert that `music` is refused with one text, and that no file is left."""
    folder.mkdir(exist_ok=True)
    with pytest.raises(RenderError, match=sentence) as refusal:
        render_video(music, folder / "o.mp4", style=SMALL, **options)
    text = str(refusal.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 250
    assert list(folder.iterdir()) == []


def test_missing_file_is_named_in_the_error(tmp_path):
    """The error has the name, and not a traceback of a library."""
    assert_refused(
        tmp_path / "none.mp3", tmp_path / "out", r"The audio file does not exist: none\.mp3\."
    )
    assert_refused(tmp_path, tmp_path / "out", "Not a file")


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
def test_non_audio_file_is_refused(tmp_path, name, data):
    """Text, web pages, playlists and zeros are refused, whatever their name."""
    music = tmp_path / name
    music.write_bytes(data)

    assert_refused(music, tmp_path / "out", "Not a readable audio file")


def test_empty_file_is_refused(tmp_path):
    """The error says that the file is empty."""
    music = tmp_path / "empty.mp3"
    music.touch()

    assert_refused(music, tmp_path / "out", "is empty")


def test_random_bytes_are_refused(tmp_path):
    """Noise that resembles MP3 frames is not accepted as audio."""
    music = tmp_path / "noise.mp3"
    music.write_bytes(np.random.default_rng(3).bytes(60_000))

    assert_refused(
        music,
        tmp_path / "out",
        r"(Not a readable audio file|damaged|audio in the file).*noise\.mp3",
    )


@pytest.mark.parametrize("name", ["neighbour.mp3", "/etc/hostname"])
def test_concat_script_opens_no_other_file(tools, tmp_path, name):
    """An ffconcat script named .mp3 must not open the files that it names."""
    tools.encode(tmp_path / "neighbour.mp3", tools.tone(2.0))
    music = tmp_path / "script.mp3"
    music.write_text(f"ffconcat version 1.0\nfile {name}\n")

    assert_refused(music, tmp_path / "out", "Not a readable audio file")


def test_file_name_is_never_a_protocol(tmp_path, monkeypatch):
    """A relative name that resembles a URL is a file name."""
    monkeypatch.chdir(tmp_path)

    for name in ("http://127.0.0.1:9/x.mp3", "concat:a|b", "data:audio/mpeg;base64,AAAA"):
        with pytest.raises(RenderError, match="does not exist"):
            probe(name)


def test_video_without_audio_is_refused(tmp_path):
    """There is nothing to analyse."""
    video = tmp_path / "silent.mp4"
    with av.open(str(video), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 160, "yuv420p"
        output.mux(stream.encode(av.VideoFrame(160, 160, "yuv420p")))
        output.mux(stream.encode(None))

    assert_refused(video, tmp_path / "out", "No audio in the file")


def test_too_short_audio_is_refused(tools, tmp_path):
    """A tenth of a second is not a track."""
    music = tools.encode(tmp_path / "blip.wav", tools.tone(0.1))

    assert_refused(music, tmp_path / "out", r"Only 0\.100 s of audio")


def test_almost_the_shortest_audio_is_not_rounded_up(tools, tmp_path):
    """The length in the error is below the limit that it names."""
    music = tools.encode(tmp_path / "blip.wav", tools.tone(0.49999, 48000), 48000)

    assert_refused(music, tmp_path / "out", r"Only 0\.499 s of audio.* Use at least 0\.5 s\.")


def test_truncated_file_is_rendered_to_its_end(tools, tmp_path):
    """An incomplete download becomes a video of the decodable part."""
    whole = tools.encode(tmp_path / "whole.mp3", tools.tone(4.0))
    cut = tmp_path / "cut.mp3"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    result = render_video(cut, tmp_path / "o.mp4", style=SMALL)

    samples, rate = tools.decode(tmp_path / "o.mp4")
    assert 1.5 < result.duration < 2.2
    assert result.duration == pytest.approx(samples.shape[1] / rate, abs=0.08)


@pytest.mark.parametrize("ending", [".mp3", ".m4a", ".flac", ".wav"])
def test_incomplete_file_gives_a_warning_with_both_lengths(tools, tmp_path, ending):
    """A download that was cut is rendered as far as it goes, but not without a word."""
    whole = tools.encode(tmp_path / f"whole{ending}", tools.tone(8.0))
    if ending == ".m4a":
        whole = index_first(whole, tmp_path / "first.m4a")
    cut = tmp_path / f"cut{ending}"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.55)])

    complete, result = (
        render_video(music, tmp_path / "o.mp4", style=SMALL) for music in (whole, cut)
    )

    assert complete.warnings == ()
    assert re.search(r"not complete: cut\.\w+ has 0:0[34] of the 0:08", " ".join(result.warnings))


def index_first(source: Path, target: Path) -> Path:
    """Move the index of an M4A to its beginning, as for downloads."""
    options = {"movflags": "+faststart"}
    with (
        av.open(str(source)) as given,
        av.open(str(target), "w", format="mp4", options=options) as output,
    ):
        stream = output.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(given.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return target


class FailingContainer:
    """A container whose demuxer fails at some packets, or at all from one on."""

    name = "song.mp3"

    def __init__(self, failing: range) -> None:
        self.failing, self.read, self.calls = failing, 0, 0

    def demux(self, _stream):
        while self.read < 30:
            self.calls += 1
            if self.calls in self.failing:
                raise av.error.InvalidDataError(1, "damaged")
            self.read += 1
            yield av.Packet(b"data")


@pytest.mark.parametrize(
    ("failing", "packets", "gaps"),
    [
        (range(0), 30, 0),
        (range(10, 13), 30, 1),
        (range(10, 10_000), 9, 1),
        (range(10, 21, 10), 30, 2),
    ],
    ids="none gap rest two-gaps".split(),
)
def test_demuxer_that_fails_is_asked_again(failing, packets, gaps):
    """Only the end of the file ends it silently; each gap is counted as damage."""
    container, damage = FailingContainer(failing), []

    read = list(decode.packets_of(container, None, None, lambda: damage.append(1)))

    assert (len(read), len(damage)) == (packets, gaps)


def test_wav_with_a_false_length_is_measured(tools, tmp_path):
    """Neither the render nor the probe believes a header that claims ten hours."""
    music = tools.encode(tmp_path / "liar.wav", tools.tone(1.0))
    data = bytearray(music.read_bytes())
    place = data.index(b"data")
    data[place + 4 : place + 8] = struct.pack("<I", 0xFFFFFF00)
    data[4:8] = struct.pack("<I", 0xFFFFFF24)
    music.write_bytes(data)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    assert result.warnings == ()
    assert result.duration == pytest.approx(1.0, abs=0.05)
    assert probe(music).duration == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
def test_damaged_packet_is_left_out(tools, tmp_path):
    """One damaged packet does not end the video."""
    music = tools.encode(tmp_path / "hurt.aac", tools.tone(4.0))
    data = bytearray(music.read_bytes())
    middle = data.index(b"\xff\xf1", len(data) // 2)
    data[middle + 7 : middle + 60] = bytes(53)
    music.write_bytes(data)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    samples, rate = tools.decode(tmp_path / "o.mp4")
    assert result.duration == pytest.approx(samples.shape[1] / rate, abs=0.08)


@pytest.mark.parametrize("ending", [".mp3", ".wav", ".flac"])
def test_audio_above_max_duration_is_refused(tools, tmp_path, ending):
    """The error states the limit in minutes."""
    music = tools.encode(tmp_path / f"long{ending}", tools.tone(4.0))

    assert_refused(music, tmp_path / "out", "longer than 0.05 minutes", max_duration=3.0)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".mp3", ".wav", ".aac"])
def test_ten_hours_are_refused_without_decoding(tools, tmp_path, ending):
    """Packets are counted up to the limit, whatever the header says."""
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

    assert_refused(music, tmp_path / "out", "longer than 20 minutes")


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wav"])
def test_probe_reads_every_format(tools, tmp_path, ending):
    """Duration, codec, rate and tags are read without decoding."""
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


def test_8_channels_at_192_khz_become_stereo_at_48(tools, tmp_path):
    """Every phone plays the result."""
    music = tools.encode(tmp_path / "wide.flac", tools.tone(1.0, 192000, channels=8), 192000)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    samples, rate = tools.decode(tmp_path / "o.mp4")
    assert (samples.shape[0], rate) == (2, 48000)
    assert result.duration == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "rate", "sentence"),
    [
        (9, 44100, "9 channels at 44100 Hz"),
        (255, 44100, "255 channels at 44100 Hz"),
        (1000, 44100, "The audio file is damaged"),
        (1, 0, "Not a readable audio file"),
    ],
)
def test_odd_channels_and_rates_are_refused(tmp_path, channels, rate, sentence):
    """The error is a sentence, not a library's."""
    music = tmp_path / "odd.wav"
    music.write_bytes(_wav(1, channels, rate, 2, bytes(2 * channels * 30_000)))

    assert_refused(music, tmp_path / "out", sentence)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_nan_and_huge_samples_are_refused(tmp_path, value):
    """A file of floats may hold any number; no library's warning comes out."""
    samples = np.zeros(44100, "<f4")
    samples[20_000] = value
    music = tmp_path / "odd.wav"
    music.write_bytes(_wav(3, 1, 44100, 4, samples.tobytes()))

    assert_refused(music, tmp_path / "out", "NaN or out-of-range samples")


@pytest.mark.parametrize("channels", [1, 2])
def test_damaged_packets_far_above_full_scale_are_left_out(tools, tmp_path, channels):
    """One flipped byte of an MP3 would turn the whole track down to silence."""
    music = tools.encode(tmp_path / "t.mp3", tools.tone(2.0, channels=channels))
    packets = tools.packet_bytes(music)
    data = int.from_bytes(packets[30], "big")
    # The gain of the first granule follows its header and 39 or 41 bits.
    gain = 0xFF << 8 * len(packets[30]) - (32 + 37 + 2 * channels + 8)
    packets[30] = (data | gain).to_bytes(len(packets[30]), "big")
    music.write_bytes(b"".join(packets))

    decoder = decode.Decoder(music)
    peak = max(np.abs(frame.to_ndarray()).max() for frame in decoder)

    assert peak < 1
    assert 1 <= decoder.damaged_packets <= 2


def _wav(kind: int, channels: int, rate: int, size: int, data: bytes) -> bytes:
    frame = channels * size
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, 8 * size)
    return _chunk(b"RIFF", b"WAVE" + _chunk(b"fmt ", form) + _chunk(b"data", data))


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def test_title_in_an_unknown_encoding_is_read(tmp_path):
    """It is that of old Windows programs, with every version of PyAV."""
    title = _chunk(b"LIST", b"INFO" + _chunk(b"INAM", b"Caf\xe9 Bar\0"))
    form = _chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16))
    music = tmp_path / "cafe.wav"
    music.write_bytes(_chunk(b"RIFF", b"WAVE" + form + title + _chunk(b"data", bytes(16000))))

    assert probe(music).title == "Café Bar"


@pytest.mark.parametrize("ending", [".mp3", ".m4a", ".wav"])
def test_render_opens_the_file_three_times(tools, tmp_path, monkeypatch, ending):
    """For the tags, the analysis and the audio of the video: each time libavformat probes it."""
    music = tools.encode(tmp_path / f"song{ending}", tools.tone(0.6))
    opened, av_open = [], av.open

    def counted(file, mode="r", **options):
        opened.append(mode)
        return av_open(file, mode, **options)

    monkeypatch.setattr(av, "open", counted)
    render_video(music, tmp_path / "o.mp4", style=SMALL)

    assert opened.count("r") == 3


def test_impossible_place_in_a_file_is_not_a_failed_disk(tmp_path, capfd):
    """A chunk that claims to be endless is ignored, or the file's fault: no retry would help."""
    form = struct.pack(">d4s5I", 8000.0, b"lpcm", 0, 2, 1, 1, 16)
    chunks = _caf_chunk(b"desc", form) + b"free" + struct.pack(">q", 2**55)
    music = tmp_path / "song.caf"
    music.write_bytes(b"caff\0\1\0\0" + chunks + _caf_chunk(b"data", bytes(16_000)))

    assert probe(music).duration == pytest.approx(1.0, abs=0.01)
    assert capfd.readouterr().err == ""


def _caf_chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack(">q", len(data)) + data


def test_short_audio_at_an_odd_rate_is_refused(tmp_path):
    """The error is a sentence, also if all audio fits into one batch."""
    music = tmp_path / "odd.wav"
    music.write_bytes(_wav(1, 9, 44100, 2, bytes(2 * 9 * 10_000)))

    assert_refused(music, tmp_path / "out", "9 channels at 44100 Hz")


def test_compressed_surround_in_a_wav_is_not_rendered_as_noise(tmp_path):
    """AC-3 and DTS that look like PCM are recognised by their first packets."""
    rng = np.random.default_rng(1)
    burst = struct.pack("<4H", 0xF872, 0x4E1F, 0x0001, 1536 * 8) + b"\x77\x0b" + rng.bytes(1534)
    music = tmp_path / "disc.wav"
    music.write_bytes(_wav(1, 2, 48000, 2, (burst + bytes(6144 - len(burst))) * 40))

    with av.open(str(music), options=decode._OPTIONS) as container:
        codec = container.streams.audio[0].codec_context.codec.canonical_name

    assert codec == "ac3"

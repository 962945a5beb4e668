"""Tests of the audio in the video: copied or encoded, aligned to the first sample."""

from __future__ import annotations

import logging

import av
import numpy as np
import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, aac, analysis, render_video
from mp4gen.render.audio_track import plan_audio
from mp4gen.render.header import Header
from mp4gen.render.options import AudioOptions

SMALL = RenderStyle(width=160, height=160)


def music_like(tools, seconds: float, rate: int) -> np.ndarray:
    """Return tones and a little noise."""
    rng = np.random.default_rng(8)
    tones = sum(tools.tone(seconds, rate, hz=hz) * 0.3 for hz in (110.0, 440.0, 1760.0, 5200.0))
    return tones + rng.standard_normal(tones.shape).astype(np.float32) * 0.002


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".mp3", ".m4a", ".flac", "alac", ".opus"])
def test_copy_mode_keeps_packets_bit_for_bit(tools, tmp_path, kind):
    """Packets are equal, and decode to equal samples from sample 0."""
    music = tmp_path / ("t.m4a" if kind == "alac" else f"t{kind}")
    tools.encode(music, music_like(tools, 2.0, 48000), 48000, kind=kind)
    video = tmp_path / "o.mp4"

    result = render_video(music, video, style=SMALL, audio_mode="copy")

    before, after = tools.decode(music)[0], tools.decode(video)[0]
    shared = min(before.shape[1], after.shape[1])
    assert result.audio_copied
    assert tools.packet_bytes(video) == tools.packet_bytes(music)
    assert shared >= before.shape[1] - 1
    np.testing.assert_array_equal(after[:, :shared], before[:, :shared])


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".wav", "wav24", ".ogg"])
def test_copy_mode_encodes_pcm_and_vorbis_as_flac(tools, tmp_path, kind):
    """FLAC has the depth of the input."""
    music = tmp_path / ("t.ogg" if kind == ".ogg" else "t.wav")
    tools.encode(music, music_like(tools, 2.0, 44100), kind=kind)
    video = tmp_path / "o.mp4"

    result = render_video(music, video, style=SMALL, audio_mode="copy")

    before, after = tools.decode(music)[0], tools.decode(video)[0]
    assert (result.audio_codec, result.audio_copied) == ("flac", False)
    assert after.shape == before.shape
    # 24 bits keep a float to the last audible bit, and integers exactly.
    np.testing.assert_allclose(after, before, atol=2**-23 if kind == ".ogg" else 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [".mp3", ".flac", ".ogg", ".opus", ".wav"])
def test_aac_is_aligned_and_clean(tools, tmp_path, kind):
    """AAC at 320 kb/s starts at sample 0 and keeps a signal-to-noise ratio of 30 dB."""
    rate = 48000
    music = tools.encode(tmp_path / f"t{kind}", music_like(tools, 2.0, rate), rate)
    video = tmp_path / "o.mp4"

    render_video(music, video, style=SMALL)

    before, after = tools.decode(music)[0], tools.decode(video)[0]
    shared = min(before.shape[1], after.shape[1])
    before, after = before[:, :shared], after[:, :shared]
    noise = float(np.square(before - after).sum())
    assert 10 * np.log10(float(np.square(before).sum()) / noise) > 30


def bits_per_second(tools, video) -> float:
    with av.open(str(video)) as container:
        stream = container.streams.audio[0]
        seconds = float(stream.duration * stream.time_base)
    return 8 * sum(map(len, tools.packet_bytes(video))) / seconds


@pytest.mark.parametrize("kind", [".wav", ".m4a", ".aac"])
def test_audio_bitrate_is_kept(tools, tmp_path, kind):
    """Audio that has more is encoded, AAC too."""
    noise = np.random.default_rng(4).standard_normal((2, 48000)).astype(np.float32) * 0.1
    music, video = tools.encode(tmp_path / f"t{kind}", noise, 48000), tmp_path / "o.mp4"

    result = render_video(music, video, style=SMALL, audio_bitrate=96_000)

    assert not result.audio_copied
    assert bits_per_second(tools, video) == pytest.approx(96_000, rel=0.1)


def test_aac_below_the_audio_bitrate_is_copied(tools, tmp_path):
    """AAC below the requested bit rate is copied, since encoding would only lose quality."""
    music = tools.encode(tmp_path / "t.m4a", tools.tone(1.0))

    result = render_video(music, tmp_path / "o.mp4", style=SMALL, audio_bitrate=256_000)

    assert result.audio_copied


def test_audio_is_converted_to_48_khz_on_request(tools, tmp_path):
    """A platform's rate applies to copied AAC too; the peak for the gain is that at this rate."""
    square = np.sign(tools.tone(1.0, 44100, hz=2205.0)) * 0.9
    wav, m4a = (tools.encode(tmp_path / f"t{kind}", square) for kind in (".wav", ".m4a"))
    wanted = AudioOptions(sample_rate=48000)

    plans = [
        plan_audio(
            wanted, analysis.analyse(music, fps=30, bands=8, max_duration=9.0, encoded_rate=48000)
        )
        for music in (wav, m4a)
    ]

    assert [(plan.copied, plan.sample_rate) for plan in plans] == [(False, 48000)] * 2
    # The wave overshoots between the samples at 44.1 kHz.
    assert plans[0].gain < 1.0


@pytest.mark.parametrize("value", [31_999, 448_001, 96.5, "96k", True])
def test_audio_bitrate_is_checked(value):
    """The bit rate is checked, in bits per second, before anything is read."""
    with pytest.raises(RenderError, match="Invalid audio_bitrate"):
        render_video("missing.wav", "o.mp4", audio_bitrate=value)


def test_copied_audio_has_no_audio_bitrate():
    """The error names the two arguments."""
    with pytest.raises(RenderError, match='audio_bitrate for audio_mode="copy"'):
        render_video("missing.wav", "o.mp4", audio_bitrate=96_000, audio_mode="copy")


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "bit_rate"), [(2, 320_000), (1, 192_000)])
def test_aac_is_lc_at_its_bit_rate(tools, tmp_path, channels, bit_rate):
    """Noise that falls as music does uses it; white noise, which is denser, up to 1.4 times."""
    noise = np.random.default_rng(4).standard_normal((channels, 96000)).astype(np.float32)
    falling = np.convolve(noise[0], 0.999 ** np.arange(4000), "same") * 0.004
    spent = []
    for samples in (np.tile(falling, (channels, 1)), noise * 0.1):
        music, video = tools.encode(tmp_path / "t.wav", samples, 48000), tmp_path / "o.mp4"
        render_video(music, video, style=SMALL)
        spent.append(bits_per_second(tools, video))

    with av.open(str(video)) as container:
        assert container.streams.audio[0].codec_context.profile == "LC"
    assert spent[0] == pytest.approx(bit_rate, rel=0.12)
    assert 1.2 * bit_rate < spent[1] < 1.42 * bit_rate


def test_aac_keeps_treble(tools, tmp_path):
    """A tone at 18 kHz, which needs few bits, keeps its wave."""
    music = tools.encode(tmp_path / "t.wav", tools.tone(1.0, 44100, hz=18000.0))
    video = tmp_path / "o.mp4"

    render_video(music, video, style=SMALL)

    before, after = tools.decode(music)[0], tools.decode(video)[0]
    noise = float(np.square(before - after[:, : before.shape[1]]).sum())
    assert 10 * np.log10(float(np.square(before).sum()) / noise) > 30


def test_aac_keeps_mono_and_its_sample_rate(tools, tmp_path):
    """One channel at 22 kHz stays one channel at 22 kHz."""
    music = tools.encode(tmp_path / "t.wav", tools.tone(1.0, 22050, channels=1), 22050)
    video = tmp_path / "o.mp4"

    render_video(music, video, style=SMALL)

    samples, rate = tools.decode(video)
    assert (samples.shape[0], rate) == (1, 22050)


@pytest.mark.slow
def test_aac_keeps_the_last_samples_of_the_resampler(tools, tmp_path):
    """1.5 seconds at 96 kHz are exactly 72,000 samples at 48 kHz."""
    music = tools.encode(tmp_path / "t.wav", tools.tone(1.5, 96000), 96000)

    render_video(music, tmp_path / "o.mp4", style=SMALL)

    with av.open(str(tmp_path / "o.mp4")) as container:
        stream = container.streams.audio[0]
        assert stream.duration * stream.time_base == 1.5


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["compatible", "copy"])
def test_audio_and_video_are_interleaved(tools, tmp_path, mode):
    """In the order of the file neither is more than half a second ahead, so players can stream."""
    music, video = tools.encode(tmp_path / "t.flac", tools.tone(14.0)), tmp_path / "o.mp4"
    render_video(music, video, style=RenderStyle(width=144, height=144, fps=24), audio_mode=mode)
    with av.open(str(video)) as container:
        streams = (container.streams.video[0], container.streams.audio[0])
        packets = [
            (packet.pos, packet.stream.type, float(packet.pts * packet.time_base))
            for packet in container.demux(*streams)
            if packet.size
        ]

    latest = {"audio": 0.0, "video": 0.0}
    leads = []
    for _, kind, time in sorted(packets):
        latest[kind] = time
        leads.append(abs(latest["audio"] - latest["video"]))
    assert len(packets) > 14 * 24
    assert max(leads) < 0.5


@pytest.mark.parametrize(
    ("rate", "encoded"),
    [(8000, 8000), (44100, 44100), (48000, 48000), (96000, 48000), (192000, 48000),
     (88200, 44100), (37800, 44100), (6000, 8000)],
)  # fmt: skip
def test_rate_for_keeps_rates_up_to_48_khz(rate, encoded):
    """Higher rates become 44.1 or 48 kHz, odd ones the next that AAC knows."""
    assert aac.rate_for(rate) == encoded


def he_aac_in_adts(tools, folder):
    return tools.add_hidden_sbr(tools.encode(folder / "t.aac", tools.tone(1.0, 22050), 22050))


def he_aac_in_m4a(tools, folder):
    music = tools.encode(folder / "t.m4a", tools.tone(1.0, 22050), 22050)
    return tools.declare(music, "0010101110010010000010000")


def five_channels(tools, folder):
    return tools.encode(folder / "t.m4a", tools.tone(1.0, channels=6))


def high_rate(tools, folder):
    return tools.encode(folder / "t.m4a", tools.tone(1.0, 96000), 96000)


@pytest.mark.parametrize("make", [he_aac_in_adts, he_aac_in_m4a, five_channels, high_rate])
def test_aac_that_some_players_lack_is_encoded_as_lc(tools, tmp_path, make):
    """HE-AAC, declared or hidden, surround and 96 kHz become AAC-LC in stereo up to 48 kHz."""
    music, video = make(tools, tmp_path), tmp_path / "o.mp4"

    result = render_video(music, video, style=SMALL)

    with av.open(str(video)) as container:
        context = container.streams.audio[0].codec_context
        assert (context.profile, context.layout.name) == ("LC", "stereo")
        assert context.sample_rate in (44100, 48000)
    assert (result.audio_codec, result.audio_copied, result.warnings) == ("aac", False, ())


def test_copy_mode_copies_he_aac_with_a_warning(tools, tmp_path):
    """Who asks for a copy gets it, and is told of the players."""
    music = he_aac_in_adts(tools, tmp_path)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL, audio_mode="copy")

    assert result.audio_copied
    assert "AAC other than AAC-LC" in result.warnings[0]


@pytest.mark.parametrize("kind", ["usac", "scalable"])
def test_other_object_types_are_not_for_every_player(kind):
    """The type of xHE-AAC is 42, written as an escape and 10 more."""
    config = {"usac": bytes([0b11111001, 0b01000000]), "scalable": bytes([0b00110000])}[kind]

    header = Header(codec="aac", config=config, sample_rate=44100, channels=2)

    assert not aac.plays_everywhere(header, "LC")


def loud_master(tools, seconds: float, peak: float) -> np.ndarray:
    """Return chords with drums, limited so hard that most of it is at the peak."""
    rng = np.random.default_rng(3)
    t = np.arange(int(seconds * 44100)) / 44100
    drums = rng.standard_normal((2, t.size)) * np.exp(-(t % 0.25) * 60) * 0.3
    chords = sum(np.sin(2 * np.pi * hz * t) for hz in (55.0, 110.0, 220.0, 277.2, 329.6))
    return (np.tanh(1.5 * chords + drums) * peak).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("peak", [1.0, 1.4])
def test_loud_master_gets_one_constant_gain(tools, tmp_path, peak):
    """Against the master at that gain the signal-to-noise ratio is at least 33 dB."""
    master = loud_master(tools, 3.0, peak)
    master[1] *= 0.5
    music, video = tmp_path / "t.wav", tmp_path / "o.mp4"
    tools.encode(music, master, kind="float")

    render_video(music, video, style=SMALL)

    after = tools.decode(video)[0][:, : master.shape[1]]
    expected = master[:, : after.shape[1]] * (0.94 / np.abs(master).max())
    noise = float(np.square(after - expected).mean())
    assert 10 * np.log10(float(np.square(expected).mean()) / noise) > 33


@pytest.mark.parametrize(
    ("peak", "gain"), [(0.0, 1.0), (0.95, 1.0), (0.96, 0.94 / 0.96), (1.4, 0.94 / 1.4)]
)
def test_gain_is_for_loud_tracks_only(peak, gain):
    """A track that the encoder leaves alone keeps its level."""
    assert aac.gain_for(peak) == pytest.approx(gain)


@pytest.mark.slow
def test_player_limit_is_reported_once(tools, tmp_path, caplog):
    """The result and the log say that iPhones do not play MP3 in an MP4."""
    music = tools.encode(tmp_path / "t.mp3", tools.tone(1.0))

    with caplog.at_level(logging.WARNING, "mp4gen"):
        result = render_video(music, tmp_path / "o.mp4", style=SMALL, audio_mode="copy")

    assert len(caplog.records) == 1
    assert "silent in Safari" in result.warnings[0]
    assert render_video(music, tmp_path / "p.mp4", style=SMALL).warnings == ()


@pytest.mark.slow
def test_encoder_follows_a_change_of_format(tools, tmp_path):
    """A stream that turns mono and 22 kHz is encoded to its end."""
    both = tools.two_formats(tmp_path, ".mp3")

    result = render_video(both, tmp_path / "o.mp4", style=SMALL)

    samples, rate = tools.decode(tmp_path / "o.mp4")
    assert result.duration == pytest.approx(3.0, abs=0.3)
    assert samples.shape[1] / rate == pytest.approx(result.duration, abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "mode"), [(".aac", "compatible"), (".mp3", "copy")])
def test_stream_that_changes_format_is_not_copied(tools, tmp_path, ending, mode):
    """An MP4 has one sample rate: the second half would play wrongly."""
    both, video = tools.two_formats(tmp_path, ending, (48000, 24000)), tmp_path / "o.mp4"

    result = render_video(both, video, style=SMALL, audio_mode=mode)

    samples, rate = tools.decode(video)
    assert (result.audio_codec, result.audio_copied) == ("aac", False)
    assert "so it was encoded as AAC" in result.warnings[-1]
    assert samples.shape[1] / rate == pytest.approx(result.duration, abs=0.08)


@pytest.mark.slow
def test_damaged_packets_are_not_copied(tools, tmp_path):
    """AAC with damaged packets is encoded again, with a warning."""
    music = tools.encode(tmp_path / "t.aac", music_like(tools, 4.0, 44100))
    data = bytearray(music.read_bytes())
    places = [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] == 0xF1]
    for place in places[60:64]:
        data[place + 7 : place + 40] = b"\xff" * 33
    music.write_bytes(data)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    assert not result.audio_copied
    assert result.warnings[0].startswith("Damaged packets of t.aac were left out: ")
    for packet in tools.packet_bytes(tmp_path / "o.mp4"):
        assert b"\xff" * 30 not in packet


@pytest.mark.slow
def test_uncopyable_stream_error_names_audio_mode(tools, tmp_path):
    """Two chained Ogg files are playable, but not as one copied track."""
    one = tools.encode(tmp_path / "one.opus", tools.tone(1.0, 48000), 48000).read_bytes()
    chained = tmp_path / "chained.opus"
    chained.write_bytes(one + one)

    with pytest.raises(RenderError, match='audio_mode="compatible"'):
        render_video(chained, tmp_path / "o.mp4", style=SMALL, audio_mode="copy")
    assert render_video(chained, tmp_path / "o.mp4", style=SMALL).audio_codec == "aac"

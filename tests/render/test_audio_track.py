"""The sound in the video is the sound that went in, from its first sample."""

from __future__ import annotations

import logging

import av
import numpy as np
import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, render_video
from mp4gen.render.audio_track import aac_rate

SMALL = RenderStyle(width=160, height=160, threads=1)


def music_like(tools, seconds: float, rate: int) -> np.ndarray:
    """Tones and a little noise: something a codec has to work for."""
    chance = np.random.default_rng(8)
    tones = sum(tools.tone(seconds, rate, hz=hz) * 0.3 for hz in (110.0, 440.0, 1760.0, 5200.0))
    return tones + chance.standard_normal(tones.shape).astype(np.float32) * 0.002


@pytest.mark.parametrize("kind", [".mp3", ".m4a", ".flac", "alac", ".opus"])
def test_copy_hands_packets_on_untouched(tools, tmp_path, kind):
    """Packets are equal byte for byte, and decode to equal samples from sample 0."""
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


@pytest.mark.parametrize("kind", [".wav", "wav24", ".ogg"])
def test_copy_keeps_what_cannot_be_copied_without_loss(tools, tmp_path, kind):
    """PCM and Vorbis become FLAC at their own depth."""
    music = tmp_path / ("t.ogg" if kind == ".ogg" else "t.wav")
    tools.encode(music, music_like(tools, 2.0, 44100), kind=kind)
    video = tmp_path / "o.mp4"

    result = render_video(music, video, style=SMALL, audio_mode="copy")

    before, after = tools.decode(music)[0], tools.decode(video)[0]
    assert (result.audio_codec, result.audio_copied) == ("flac", False)
    assert after.shape == before.shape
    # 24 bits hold a float's sound to the last audible bit, integers exactly.
    np.testing.assert_allclose(after, before, atol=2**-23 if kind == ".ogg" else 0)


@pytest.mark.parametrize("kind", [".mp3", ".flac", ".ogg", ".opus", ".wav"])
def test_encoded_sound_is_aligned_and_clean(tools, tmp_path, kind):
    """AAC at 320 kb/s starts at sample 0 and keeps 30 dB of signal to noise."""
    rate = 48000
    music = tools.encode(tmp_path / f"t{kind}", music_like(tools, 2.0, rate), rate)
    video = tmp_path / "o.mp4"

    render_video(music, video, style=SMALL)

    before, after = tools.decode(music)[0], tools.decode(video)[0]
    shared = min(before.shape[1], after.shape[1])
    before, after = before[:, :shared], after[:, :shared]
    noise = float(np.square(before - after).sum())
    assert 10 * np.log10(float(np.square(before).sum()) / noise) > 30


@pytest.mark.parametrize(("channels", "bit_rate"), [(2, 320_000), (1, 192_000)])
def test_encoded_sound_is_aac_lc_at_its_rate(tools, tmp_path, channels, bit_rate):
    """Noise needs all the bits that there are."""
    noise = np.random.default_rng(4).standard_normal((channels, 96000)).astype(np.float32) * 0.1
    music, video = tools.encode(tmp_path / "t.wav", noise, 48000), tmp_path / "o.mp4"

    render_video(music, video, style=SMALL)

    with av.open(str(video)) as container:
        assert container.streams.audio[0].codec_context.profile == "LC"
    spent = 8 * sum(map(len, tools.packet_bytes(video))) / 2.0
    assert spent == pytest.approx(bit_rate, rel=0.08)


def test_treble_is_kept(tools, tmp_path):
    """A tone at 18 kHz comes out as loud as it went in."""
    music = tools.encode(tmp_path / "t.wav", tools.tone(1.0, 44100, hz=18000.0))
    video = tmp_path / "o.mp4"

    render_video(music, video, style=SMALL)

    assert np.abs(tools.decode(video)[0]).std() == pytest.approx(
        np.abs(tools.decode(music)[0]).std(), rel=0.1
    )


def test_mono_stays_mono(tools, tmp_path):
    """One channel in, one channel out, at the same rate."""
    music = tools.encode(tmp_path / "t.wav", tools.tone(1.0, 22050, channels=1), 22050)
    video = tmp_path / "o.mp4"

    render_video(music, video, style=SMALL)

    samples, rate = tools.decode(video)
    assert (samples.shape[0], rate) == (1, 22050)


@pytest.mark.parametrize(
    ("rate", "encoded"),
    [(8000, 8000), (44100, 44100), (48000, 48000), (96000, 48000), (192000, 48000),
     (88200, 44100), (37800, 44100), (6000, 8000)],
)  # fmt: skip
def test_rates_are_kept_up_to_48_khz(rate, encoded):
    """Above that the related rate is taken; odd ones go up to the next that AAC knows."""
    assert aac_rate(rate) == encoded


def test_a_limit_of_players_is_told_once(tools, tmp_path, caplog):
    """MP3 in an MP4 is silent on every iPhone: the result and the log say so."""
    music = tools.encode(tmp_path / "t.mp3", tools.tone(1.0))

    with caplog.at_level(logging.WARNING, "mp4gen"):
        result = render_video(music, tmp_path / "o.mp4", style=SMALL, audio_mode="copy")

    assert len(caplog.records) == 1
    assert "silent in Safari" in result.warnings[0]
    assert render_video(music, tmp_path / "p.mp4", style=SMALL).warnings == ()


def test_a_change_of_format_on_the_way_is_encoded_through(tools, tmp_path):
    """A stream that turns mono and 22 kHz mid-way is heard and shown to its end."""
    first = tools.encode(tmp_path / "a.mp3", tools.tone(1.5, 44100), 44100)
    second = tools.encode(tmp_path / "b.mp3", tools.tone(1.5, 22050, channels=1), 22050)
    both = tmp_path / "both.mp3"
    both.write_bytes(first.read_bytes() + second.read_bytes())

    result = render_video(both, tmp_path / "o.mp4", style=SMALL)

    samples, rate = tools.decode(tmp_path / "o.mp4")
    assert result.duration == pytest.approx(3.0, abs=0.3)
    assert samples.shape[1] / rate == pytest.approx(result.duration, abs=0.08)


@pytest.mark.parametrize(("ending", "mode"), [(".aac", "compatible"), (".mp3", "copy")])
def test_what_changes_on_the_way_is_not_copied(tools, tmp_path, ending, mode):
    """An MP4 can say one rate only: the second half would play at a wrong speed, or not at all."""
    parts = [
        tools.encode(tmp_path / f"{rate}{ending}", tools.tone(1.5, rate, channels), rate)
        for rate, channels in ((48000, 2), (24000, 1))
    ]
    both, video = tmp_path / f"both{ending}", tmp_path / "o.mp4"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))

    result = render_video(both, video, style=SMALL, audio_mode=mode)

    samples, rate = tools.decode(video)
    assert (result.audio_codec, result.audio_copied) == ("aac", False)
    assert "so it was encoded as AAC" in result.warnings[-1]
    assert samples.shape[1] / rate == pytest.approx(result.duration, abs=0.08)


def test_damaged_packets_are_not_handed_on(tools, tmp_path):
    """AAC with bad packets is encoded afresh, and the result says so."""
    music = tools.encode(tmp_path / "t.aac", music_like(tools, 4.0, 44100))
    data = bytearray(music.read_bytes())
    places = [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] == 0xF1]
    for place in places[60:64]:
        data[place + 7 : place + 40] = b"\xff" * 33
    music.write_bytes(data)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    assert not result.audio_copied
    assert "damaged" in result.warnings[0]
    for packet in tools.packet_bytes(tmp_path / "o.mp4"):
        assert b"\xff" * 30 not in packet


def test_what_an_mp4_cannot_hold_says_what_can_be_done(tools, tmp_path):
    """Two Ogg files in one are music, but no single track that could be copied."""
    one = tools.encode(tmp_path / "one.opus", tools.tone(1.0, 48000), 48000).read_bytes()
    chained = tmp_path / "chained.opus"
    chained.write_bytes(one + one)

    with pytest.raises(RenderError, match='audio_mode="compatible"'):
        render_video(chained, tmp_path / "o.mp4", style=SMALL, audio_mode="copy")
    assert render_video(chained, tmp_path / "o.mp4", style=SMALL).audio_codec == "aac"

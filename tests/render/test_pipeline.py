"""Music in, MP4 out, judged by what a player would find in the file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mp4gen.errors import RenderCancelledError, RenderError
from mp4gen.render import RenderStyle, render_frame, render_video
from mp4gen.render.layout import layout_for

SMALL = RenderStyle(width=320, height=180, threads=1)
FORMATS = (".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wav")


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix == ".part"]


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_becomes_an_mp4_for_everybody(tools, tmp_path, ending):
    """Whatever goes in, H.264 High yuv420p with AAC comes out, ready to stream."""
    music = tools.encode(tmp_path / f"tone{ending}", tools.tone(2.0, 48000), 48000)
    video = tmp_path / "out.mp4"

    result = render_video(music, video, author="Suno Artist", style=SMALL)

    with av.open(str(video)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        seen = sum(1 for _ in container.decode(picture))
        assert (picture.codec_context.name, picture.codec_context.profile) == ("h264", "High")
        assert picture.codec_context.pix_fmt == "yuv420p"
        assert (picture.width, picture.height, picture.average_rate) == (320, 180, 30)
        assert sound.codec_context.name == "aac"
        assert len(container.streams.audio) == 1
    heard, rate = tools.decode(video)
    assert seen == result.frames
    assert 0 <= seen / 30 - heard.shape[1] / rate + 0.03 < 0.1
    assert result.duration == pytest.approx(2.0, abs=0.1)
    assert tools.boxes(video).index("moov") < tools.boxes(video).index("mdat")
    assert result.size_bytes == video.stat().st_size
    assert result.audio_copied == (ending in (".m4a", ".aac"))
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("ending", [".m4a", ".aac"])
def test_aac_is_copied_bit_for_bit(tools, tmp_path, ending):
    """AAC packets are those of the input; only ADTS' own headers are gone."""
    music = tools.encode(tmp_path / f"tone{ending}", tools.tone(2.0))
    video = tmp_path / "out.mp4"

    render_video(music, video, style=SMALL)

    header = 7 if ending == ".aac" else 0
    assert tools.packet_bytes(video) == [data[header:] for data in tools.packet_bytes(music)]
    np.testing.assert_array_equal(tools.decode(video)[0], tools.decode(music)[0])


def onsets(energy: np.ndarray, threshold: float) -> list[int]:
    loud = energy > threshold
    return [i for i in range(1, len(loud)) if loud[i] and not loud[max(i - 5, 0) : i].any()]


def heard_and_seen(tools, video: Path, fps: int = 30) -> tuple[list[float], list[float]]:
    samples, rate = tools.decode(video)
    step = rate // 1000
    level = np.abs(samples[0][: samples.shape[1] // step * step]).reshape(-1, step).max(axis=1)
    loud = np.flatnonzero(level > 0.12)
    heard = [i / 1000 for n, i in enumerate(loud) if n == 0 or i - loud[n - 1] > 100]
    layout = layout_for(320, 180)
    rows = slice(layout.bars_base - layout.bars_height, layout.bars_base)
    energy = np.array([picture[rows].mean() for picture in tools.lumas(video)])
    rises = np.diff(energy, prepend=energy[0])
    return heard, [i / fps for i in onsets(rises, 0.2 * rises.max())]


@pytest.mark.parametrize("ending", FORMATS)
def test_every_click_is_seen_when_it_is_heard(tools, tmp_path, ending):
    """In the finished file each click moves the bars within one picture of its sound."""
    chance = np.random.default_rng(11)
    times = np.cumsum(chance.uniform(0.35, 0.6, 9)) + 0.2
    music = tools.encode(tmp_path / f"clicks{ending}", tools.clicks(times, 5.8, 48000), 48000)
    video = tmp_path / "out.mp4"

    render_video(music, video, style=SMALL)

    heard, seen = heard_and_seen(tools, video)
    offsets = [min((s - h for s in seen), key=abs) * 30 for h in heard]
    assert len(heard) == len(times)
    assert max(abs(offset) for offset in offsets) <= 1.0, offsets


@pytest.mark.parametrize("mode", ["compatible", "copy"])
@pytest.mark.parametrize("ending", FORMATS)
def test_every_click_is_seen_at_60_pictures_a_second(tools, tmp_path, ending, mode):
    """Within one of those shorter pictures, in every format, with the sound copied or encoded."""
    chance = np.random.default_rng(12)
    times = np.cumsum(chance.uniform(0.35, 0.6, 6)) + 0.2
    music = tools.encode(tmp_path / f"clicks{ending}", tools.clicks(times, 4.2, 48000), 48000)
    video = tmp_path / "out.mp4"
    style = RenderStyle(width=320, height=180, fps=60, threads=1)

    render_video(music, video, style=style, audio_mode=mode)

    heard, seen = heard_and_seen(tools, video, 60)
    offsets = [min((s - h for s in seen), key=abs) * 60 for h in heard]
    assert len(heard) == len(times)
    assert max(abs(offset) for offset in offsets) <= 1.0, offsets


def test_the_author_opens_and_then_steps_back(tools, tmp_path, tone_wav):
    """The author's name is large at first and smaller once the opening is over."""
    music = tools.encode(tmp_path / "long.wav", tools.tone(5.0))
    layout = layout_for(640, 360)
    style = RenderStyle(width=640, height=360)
    area = (
        layout.text_box.left,
        layout.title_base + 8,
        layout.text_box.right,
        layout.text_box.bottom,
    )

    def lit(at: float, author: str) -> int:
        image = render_frame(music, time=at, author=author, title="T", style=style)
        return int((np.asarray(image.crop(area).convert("L")) > 120).sum())

    assert lit(0.0, "") == lit(4.9, "") == 0
    assert lit(0.0, "Suno Artist") > 1.5 * lit(4.9, "Suno Artist") > 0


def test_the_watermark_is_there_from_first_to_last(tone_wav):
    """The domain's letters stand at the bottom, quietly, in every picture."""
    layout = layout_for(1280, 720)
    area = (400, layout.watermark_base - 20, 880, layout.watermark_base + 6)

    def bottom(at: float, domain: str | None) -> np.ndarray:
        image = render_frame(tone_wav, time=at, domain_name=domain, title="T")
        return np.asarray(image.crop(area).convert("L"), float)

    for at in (0.0, 1.9):
        ink = bottom(at, "music.example.com") - bottom(at, None)
        assert 60 < ink.max() < 200
        assert 0.02 < (ink > 30).mean() < 0.3


def test_a_dark_ground_shows_no_bands(tone_wav):
    """The dither that hides a gradient's steps is still there after the encoder, not flat blocks.

    An encoder that throws it away leaves three quarters of the blocks flat.
    """
    to = tone_wav.with_suffix(".mp4")
    render_video(tone_wav, to)
    with av.open(str(to)) as container:
        luma = [frame.to_ndarray()[:720] for frame in container.decode(video=0)][40]

    ground = luma[16:80, 640:1264]
    blocks = ground.reshape(8, 8, 78, 8).swapaxes(1, 2).reshape(-1, 64)
    flat = float((np.ptp(blocks, axis=1) == 0).mean())

    assert flat < 0.55


def test_the_progress_line_fills_up(tone_wav):
    """It is nearly empty at the beginning, half full halfway and full at the end."""
    line = layout_for(320, 180).progress

    def filled(at: float) -> float:
        row = np.asarray(render_frame(tone_wav, time=at, style=SMALL).convert("L"), float)
        row = row[line.top, line.left : line.right]
        return float((row > 150).mean())

    assert filled(0.0) < 0.05
    assert filled(1.0) == pytest.approx(0.5, abs=0.03)
    assert filled(1.99) > 0.97


def test_equal_input_gives_equal_bytes(tone_wav, tmp_path):
    """Two renders with one thread are the same file."""
    files = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for file in files:
        render_video(tone_wav, file, author="A", domain_name="d.example", style=SMALL)

    assert files[0].read_bytes() == files[1].read_bytes()


def test_progress_is_told_in_seconds_of_seconds(tone_wav, tmp_path):
    """It never goes back, starts at nothing and ends at everything."""
    told: list[tuple[float, float]] = []

    render_video(
        tone_wav, tmp_path / "o.mp4", style=SMALL, on_progress=lambda *both: told.append(both)
    )

    assert told[0] == (0.0, 2.0)
    assert told[-1] == (2.0, 2.0)
    assert told == sorted(told)


def test_cancel_stops_and_leaves_nothing(tone_wav, tmp_path):
    """A render told to stop raises, and neither the video nor its beginnings are there."""
    cancel = threading.Event()

    with pytest.raises(RenderCancelledError):
        render_video(
            tone_wav,
            tmp_path / "o.mp4",
            style=SMALL,
            cancel=cancel,
            on_progress=lambda done, _: cancel.set() if done > 0.9 else None,
        )

    assert list(tmp_path.iterdir()) == []


class CountingEvent(threading.Event):
    """An event that counts how often it is looked at, and is set at one of these looks."""

    def __init__(self, set_at: int = 0) -> None:
        super().__init__()
        self.looks = 0
        self._set_at = set_at

    def is_set(self) -> bool:
        self.looks += 1
        if self.looks == self._set_at:
            self.set()
        return super().is_set()


def test_cancel_is_looked_at_for_every_picture(tone_wav, tmp_path):
    """No picture and no packet of sound is begun without a look, and none after it is set."""
    whole, last = CountingEvent(), CountingEvent()
    result = render_video(tone_wav, tmp_path / "o.mp4", style=SMALL, cancel=whole)
    last = CountingEvent(set_at=whole.looks - 5)

    with pytest.raises(RenderCancelledError):
        render_video(tone_wav, tmp_path / "p.mp4", style=SMALL, cancel=last)

    assert whole.looks > result.frames
    assert last.looks == whole.looks - 5


def test_a_render_that_takes_too_long_ends(tone_wav, tmp_path):
    """The limit of real time is kept between pictures; nothing is left behind."""
    with pytest.raises(RenderError, match=r"longer than its limit of 1e-09 s; raise timeout"):
        render_video(tone_wav, tmp_path / "o.mp4", style=SMALL, timeout=1e-9)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", [RuntimeError, BrokenPipeError])
def test_a_failure_keeps_the_older_video(tone_wav, tmp_path, kind):
    """A callback that fails mid-way leaves the file that was there; its own error comes out."""
    video = tmp_path / "o.mp4"
    video.write_bytes(b"older")

    def fail(done: float, _: float) -> None:
        if done > 0.5:
            raise kind("stop")

    with pytest.raises(kind, match="stop"):
        render_video(tone_wav, video, style=SMALL, on_progress=fail)

    assert video.read_bytes() == b"older"
    assert left_behind(tmp_path) == []


def test_the_still_picture_is_the_videos_own(tone_wav, tmp_path):
    """`render_frame` shows what the video shows at that moment."""
    words = {"author": "Suno Artist", "title": "Tone", "domain_name": "d.example"}
    video = tmp_path / "o.mp4"
    render_video(tone_wav, video, style=SMALL, **words)

    image = render_frame(tone_wav, time=1.5, style=SMALL, **words)

    assert isinstance(image, Image.Image)
    with av.open(str(video)) as container:
        shown = [frame.to_image() for frame in container.decode(video=0)][45]
    difference = np.abs(np.asarray(shown, float) - np.asarray(image, float))
    assert difference.mean() < 2.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"width": 321}, "even"),
        ({"width": 64}, "too small"),
        ({"height": 4000}, "too large"),
        ({"width": 2048, "height": 1152}, "too large"),
        ({"width": "1280"}, "The size '1280'x720 must be of whole numbers"),
        ({"height": 720.0}, "whole numbers"),
        ({"fps": 5}, "fps must be a whole number from 24 to 60, not 5"),
        ({"fps": 29.97}, "fps must be a whole number from 24 to 60, not 29.97"),
        ({"qp": 51}, "qp must be"),
        ({"threads": -1}, "threads must be"),
        ({"quality": "best"}, 'quality must be "fast" or "fine"'),
        ({"fonts": ["/nowhere.ttf"]}, "/nowhere.ttf does not exist"),
    ],
)
def test_a_style_that_cannot_be_is_refused(change, sentence):
    """One sentence names the value and what it may be."""
    with pytest.raises(RenderError, match=sentence):
        RenderStyle(**change)


def test_a_target_that_cannot_be_is_refused(tone_wav, tmp_path):
    """No folder, a folder itself, or the music itself: said before any work."""
    for target, sentence in (
        (tmp_path / "no" / "o.mp4", "does not exist"),
        (tmp_path, "is a folder"),
        (tone_wav, "is the music itself"),
        (Path(os.devnull), "is no file that can be replaced"),
        (tmp_path / f"{'x' * 300}.mp4", r"x\.\.\. cannot be written: File name too long"),
        (f"{tmp_path}/a\0b.mp4", "no name may hold a zero byte"),
        ("", r"^\. is a folder"),
    ):
        with pytest.raises(RenderError, match=sentence):
            render_video(tone_wav, target, style=SMALL)
    with pytest.raises(RenderError, match="audio_mode"):
        render_video(tone_wav, tmp_path / "o.mp4", style=SMALL, audio_mode="best")


@pytest.mark.parametrize("at", [float("nan"), float("inf")])
def test_a_moment_that_is_none_is_refused(tone_wav, at):
    """A picture is asked for by seconds."""
    with pytest.raises(RenderError, match=r"time must be a number of seconds, not (nan|inf)\."):
        render_frame(tone_wav, time=at, style=SMALL)


def test_a_font_that_is_none_is_refused(tone_wav, tmp_path):
    """It is said before any work, not passed over in silence."""
    style = RenderStyle(width=320, height=180, fonts=(tone_wav,))

    with pytest.raises(RenderError, match=r"tone.wav is not a font that can be read\."):
        render_video(tone_wav, tmp_path / "o.mp4", style=style)


@pytest.mark.parametrize(
    ("style", "most"),
    [
        (RenderStyle(), 31),
        (RenderStyle(1920, 1080), 41),
        (RenderStyle(1920, 1080, quality="fine"), 41),
        (RenderStyle(1080, 1920, fps=60), 42),
    ],
)
def test_the_level_is_one_that_phones_take(tools, tmp_path, style, most):
    """High profile, at 4.1 or below for 1080p30."""
    music = tools.encode(tmp_path / "t.wav", tools.tone(0.5))

    render_video(music, tmp_path / "o.mp4", style=style)

    with av.open(str(tmp_path / "o.mp4")) as container:
        settings = container.streams.video[0].codec_context.extradata
    # The decoder's settings as MP4 holds them: version, profile, compatibility, level.
    assert settings[1] == 100
    assert settings[3] <= most


def test_a_pictures_own_moment_gives_that_picture(tone_wav):
    """Also where its number over the rate, times the rate, is a little less than its number."""
    style = RenderStyle(width=320, height=180, fps=25)
    assert int(29 / 25 * 25) == 28

    exact, middle, before = (
        np.asarray(render_frame(tone_wav, time=at / 25, style=style)) for at in (29, 29.5, 28)
    )

    np.testing.assert_array_equal(exact, middle)
    assert (exact != before).any()


@pytest.mark.parametrize("quality", ["fast", "fine"])
def test_players_are_told_the_colours_and_can_seek(tools, tmp_path, quality):
    """BT.709 in limited range, and a key picture every eight seconds."""
    music, video = tools.encode(tmp_path / "t.wav", tools.tone(9.0)), tmp_path / "o.mp4"

    render_video(music, video, style=RenderStyle(144, 144, fps=24, quality=quality))

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        keys = [packet.pts * stream.time_base for packet in container.demux(stream)
                if packet.is_keyframe and packet.size]  # fmt: skip
        context = stream.codec_context
        told = (context.color_primaries, context.color_trc, context.colorspace, context.color_range)
    assert keys == [0, 8]
    assert told == (1, 1, 1, 1)

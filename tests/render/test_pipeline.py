"""Tests of whole renders, judged by the content of the MP4."""

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
from mp4gen.render.looks.bars import layout_for

SMALL = RenderStyle(width=320, height=180)
FORMATS = (".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wav")


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix == ".part"]


@pytest.mark.slow
@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_becomes_a_compatible_mp4(tools, tmp_path, ending):
    """Every input becomes H.264 High yuv420p with AAC, ready to stream."""
    music = tools.encode(tmp_path / f"tone{ending}", tools.tone(2.0, 48000), 48000)
    video = tmp_path / "out.mp4"

    result = render_video(music, video, author="Suno Artist", style=SMALL)

    with av.open(str(video)) as container:
        video_stream, audio_stream = container.streams.video[0], container.streams.audio[0]
        frame_count = sum(1 for _ in container.decode(video_stream))
        assert (video_stream.codec_context.name, video_stream.codec_context.profile) == (
            "h264",
            "High",
        )
        assert video_stream.codec_context.pix_fmt == "yuv420p"
        assert (video_stream.width, video_stream.height, video_stream.average_rate) == (
            320,
            180,
            30,
        )
        assert audio_stream.codec_context.name == "aac"
        assert len(container.streams.audio) == 1
    samples, rate = tools.decode(video)
    assert frame_count == result.frames
    assert 0 <= frame_count / 30 - samples.shape[1] / rate + 0.03 < 0.1
    assert result.duration == pytest.approx(2.0, abs=0.1)
    assert tools.boxes(video).index("moov") < tools.boxes(video).index("mdat")
    assert result.size_bytes == video.stat().st_size
    assert result.audio_copied == (ending in (".m4a", ".aac"))
    assert left_behind(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".m4a", ".aac"])
def test_aac_is_copied_bit_for_bit(tools, tmp_path, ending):
    """AAC packets are the input's, without the headers of ADTS."""
    music = tools.encode(tmp_path / f"tone{ending}", tools.tone(2.0))
    video = tmp_path / "out.mp4"

    render_video(music, video, style=SMALL)

    header = 7 if ending == ".aac" else 0
    assert tools.packet_bytes(video) == [data[header:] for data in tools.packet_bytes(music)]
    np.testing.assert_array_equal(tools.decode(video)[0], tools.decode(music)[0])


def sync_offsets(tools, video: Path, fps: int) -> list[float]:
    """Return how many frames after each audible click the bars move."""
    layout = layout_for(320, 180)
    rows = slice(layout.bars_base - layout.bars_height, layout.bars_base)
    visible = tools.visible_clicks(video, (rows, slice(None)), fps)
    audible = tools.audible_clicks(video)
    return [min((moved - click for moved in visible), key=abs) * fps for click in audible]


@pytest.mark.slow
@pytest.mark.parametrize("ending", FORMATS)
def test_every_click_moves_the_bars_in_its_frame(tools, tmp_path, ending):
    """In the final file each click moves the bars within one frame of its audio."""
    rng = np.random.default_rng(11)
    times = np.cumsum(rng.uniform(0.35, 0.6, 9)) + 0.2
    music = tools.encode(tmp_path / f"clicks{ending}", tools.clicks(times, 5.8, 48000), 48000)
    video = tmp_path / "out.mp4"

    render_video(music, video, style=SMALL)

    offsets = sync_offsets(tools, video, 30)
    assert len(offsets) == len(times)
    assert max(abs(offset) for offset in offsets) <= 1.0, offsets


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["compatible", "copy"])
@pytest.mark.parametrize("ending", FORMATS)
def test_every_click_is_in_sync_at_60_fps(tools, tmp_path, ending, mode):
    """Within one shorter frame, in every format, with copied and encoded audio."""
    rng = np.random.default_rng(12)
    times = np.cumsum(rng.uniform(0.35, 0.6, 6)) + 0.2
    music = tools.encode(tmp_path / f"clicks{ending}", tools.clicks(times, 4.2, 48000), 48000)
    video = tmp_path / "out.mp4"
    style = RenderStyle(width=320, height=180, fps=60)

    render_video(music, video, style=style, audio_mode=mode)

    offsets = sync_offsets(tools, video, 60)
    assert len(offsets) == len(times)
    assert max(abs(offset) for offset in offsets) <= 1.0, offsets


@pytest.mark.slow
def test_author_shrinks_after_the_opening(tools, tmp_path, tone_wav):
    """The name is large at first."""
    music = tools.encode(tmp_path / "long.wav", tools.tone(5.0))
    layout = layout_for(640, 360)
    style = RenderStyle(width=640, height=360)
    area = (
        layout.words.box.left,
        layout.words.title_base + 8,
        layout.words.box.right,
        layout.words.box.bottom,
    )

    def lit(at: float, author: str) -> int:
        image = render_frame(music, time=at, author=author, title="T", style=style)
        return int((np.asarray(image.crop(area).convert("L")) > 120).sum())

    assert lit(0.0, "") == lit(4.9, "") == 0
    assert lit(0.0, "Suno Artist") > 1.5 * lit(4.9, "Suno Artist") > 0


@pytest.mark.slow
def test_watermark_is_in_the_first_and_last_frame(tone_wav):
    """The domain is at the bottom, at low contrast."""
    layout = layout_for(1280, 720)
    area = (400, layout.watermark.base - 20, 880, layout.watermark.base + 6)

    def bottom(at: float, domain: str | None) -> np.ndarray:
        image = render_frame(tone_wav, time=at, domain_name=domain, title="T")
        return np.asarray(image.crop(area).convert("L"), float)

    for at in (0.0, 1.9):
        ink = bottom(at, "music.example.com") - bottom(at, None)
        assert 60 < ink.max() < 200
        assert 0.02 < (ink > 30).mean() < 0.3


@pytest.mark.slow
def test_dark_background_keeps_its_dither(tools, tone_wav, tmp_path):
    """An encoder that drops the dither leaves three quarters of the blocks flat."""
    to = tmp_path / "o.mp4"
    render_video(tone_wav, to)

    background = tools.lumas(to)[40][16:80, 640:1264]
    blocks = background.reshape(8, 8, 78, 8).swapaxes(1, 2).reshape(-1, 64)
    flat = float((np.ptp(blocks, axis=1) == 0).mean())

    assert flat < 0.55


def test_progress_line_fills_up(tone_wav):
    """It is nearly empty at the beginning, half full halfway and full at the end."""
    line = layout_for(320, 180).progress

    def filled(at: float) -> float:
        row = np.asarray(render_frame(tone_wav, time=at, style=SMALL).convert("L"), float)
        row = row[line.top, line.left : line.right]
        return float((row > 150).mean())

    assert filled(0.0) < 0.05
    assert filled(1.0) == pytest.approx(0.5, abs=0.03)
    assert filled(1.99) > 0.97


@pytest.mark.slow
def test_equal_input_gives_equal_bytes(tone_wav, tmp_path):
    """Two renders with one thread give the same file."""
    files = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for file in files:
        render_video(tone_wav, file, author="A", domain_name="d.example", style=SMALL)

    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_on_progress_gets_seconds_done_and_total(tone_wav, tmp_path):
    """The seconds never decrease, from 0 to the duration."""
    reports: list[tuple[float, float]] = []

    render_video(
        tone_wav, tmp_path / "o.mp4", style=SMALL, on_progress=lambda *both: reports.append(both)
    )

    assert reports[0] == (0.0, 2.0)
    assert reports[-1] == (2.0, 2.0)
    assert reports == sorted(reports)


@pytest.mark.slow
def test_video_is_on_disk_before_its_rename(tone_wav, tmp_path, monkeypatch):
    """A power cut leaves the older file or the whole new one: file, rename, folder."""
    events, fsync, replace = [], os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        events.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def record_replace(source: Path, target: Path) -> None:
        events.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    video = tmp_path / "o.mp4"

    render_video(tone_wav, video, style=SMALL)

    assert events == [video.stat().st_ino, "rename", tmp_path.stat().st_ino]


@pytest.mark.slow
def test_cancelled_render_leaves_no_file(tone_wav, tmp_path):
    """Neither the video nor its temporary file remains."""
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
    """An event that counts its checks, and is set at one of them."""

    def __init__(self, set_at: int = 0) -> None:
        super().__init__()
        self.checks = 0
        self._set_at = set_at

    def is_set(self) -> bool:
        self.checks += 1
        if self.checks == self._set_at:
            self.set()
        return super().is_set()


@pytest.mark.slow
def test_cancel_is_checked_for_every_frame(tone_wav, tmp_path):
    """It is checked before each frame and packet; nothing is encoded after it is set."""
    whole, last = CountingEvent(), CountingEvent()
    result = render_video(tone_wav, tmp_path / "o.mp4", style=SMALL, cancel=whole)
    last = CountingEvent(set_at=whole.checks - 5)

    with pytest.raises(RenderCancelledError):
        render_video(tone_wav, tmp_path / "p.mp4", style=SMALL, cancel=last)

    assert whole.checks > result.frames
    assert last.checks == whole.checks - 5


def test_render_ends_at_its_timeout(tone_wav, tmp_path):
    """The timeout is checked between frames; no file remains."""
    with pytest.raises(RenderError, match=r"timed out after 1e-09 s\. Raise timeout"):
        render_video(tone_wav, tmp_path / "o.mp4", style=SMALL, timeout=1e-9)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RuntimeError, BrokenPipeError])
def test_failing_callback_keeps_the_older_video(tone_wav, tmp_path, kind):
    """The callback's own error is passed on, and the older file stays."""
    video = tmp_path / "o.mp4"
    video.write_bytes(b"older")

    def fail(done: float, _: float) -> None:
        if done > 0.5:
            raise kind("stop")

    with pytest.raises(kind, match="stop"):
        render_video(tone_wav, video, style=SMALL, on_progress=fail)

    assert video.read_bytes() == b"older"
    assert left_behind(tmp_path) == []


@pytest.mark.slow
def test_render_frame_equals_the_videos_frame(tone_wav, tmp_path):
    """The image differs from the decoded frame by the encoder's loss only."""
    texts = {"author": "Suno Artist", "title": "Tone", "domain_name": "d.example"}
    video = tmp_path / "o.mp4"
    render_video(tone_wav, video, style=SMALL, **texts)

    image = render_frame(tone_wav, time=1.5, style=SMALL, **texts)

    assert isinstance(image, Image.Image)
    with av.open(str(video)) as container:
        shown = [frame.to_image() for frame in container.decode(video=0)][45]
    difference = np.abs(np.asarray(shown, float) - np.asarray(image, float))
    assert difference.mean() < 2.0


def test_invalid_target_is_refused(tone_wav, tmp_path):
    """The error comes before any work, and what is there stays."""
    fifo, loop, dangling = (tmp_path / f"{name}.mp4" for name in ("fifo", "loop", "dangling"))
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    dangling.symlink_to(tmp_path / "away" / "video.mp4")
    (tmp_path / "master.wav").write_bytes(b"a master")
    for target, sentence in (
        (tmp_path / "no" / "o.mp4", "does not exist"),
        (tmp_path, "is a folder"),
        (tone_wav, "is the audio file"),
        (Path(os.devnull), "is not a regular file"),
        (tmp_path / f"{'x' * 300}.mp4", r"Cannot write x+\.\.\.: File name too long"),
        (f"{tmp_path}/a\0b.mp4", "its name has a zero byte"),
        ("", r"^Cannot write \.: it is a folder"),
        (tmp_path / "master.wav", r"the video is an MP4\. Use a name that ends in \.mp4\."),
        (tmp_path / "no-ending", r"Use a name that ends in \.mp4\."),
        (fifo, "is not a regular file"),
        (loop, "Too many levels of symbolic links"),
        (dangling, f"does not exist: {tmp_path}/away"),
    ):
        with pytest.raises(RenderError, match=sentence):
            render_video(tone_wav, target, style=SMALL)
    with pytest.raises(RenderError, match="Invalid audio_mode: 'best'"):
        render_video(tone_wav, tmp_path / "o.mp4", style=SMALL, audio_mode="best")
    assert (tmp_path / "master.wav").read_bytes() == b"a master"
    assert fifo.is_fifo()


@pytest.mark.parametrize("exists", [True, False], ids=["whole", "dangling"])
def test_symbolic_link_is_followed(tone_wav, tmp_path, exists):
    """The file to which the link leads is replaced or created, and the link stays."""
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "video.mp4", tmp_path / "latest.mp4"
    link.symlink_to(real)
    if exists:
        real.write_bytes(b"old")

    result = render_video(tone_wav, link, style=SMALL)

    assert result.path == link
    assert link.readlink() == real
    assert real.stat().st_size == result.size_bytes > 1000
    assert [path.name for path in real.parent.iterdir()] == ["video.mp4"]


@pytest.mark.parametrize("at", [float("nan"), float("inf")])
def test_invalid_time_is_refused(tone_wav, at):
    """The time of a frame is a finite number of seconds."""
    with pytest.raises(RenderError, match=r"Invalid time: (nan|inf)\. Use"):
        render_frame(tone_wav, time=at, style=SMALL)


def test_invalid_font_is_refused(tone_wav, tmp_path):
    """The error comes before any work."""
    style = RenderStyle(width=320, height=180, fonts=(tone_wav,))

    with pytest.raises(RenderError, match=r"Cannot read the font file: tone\.wav\."):
        render_video(tone_wav, tmp_path / "o.mp4", style=style)


@pytest.mark.slow
@pytest.mark.parametrize(("fps", "number"), [(25, 29), (29.97, 25)])
def test_render_frame_rounds_the_time_correctly(tone_wav, fps, number):
    """29 / 25 x 25 is slightly below 29; the frame is still number 29."""
    style = RenderStyle(width=320, height=180, fps=fps)
    assert int(float(number / style.fps) * style.fps) == number - 1

    exact, middle, before = (
        np.asarray(render_frame(tone_wav, time=float(at / style.fps), style=style))
        for at in (number, number + 0.5, number - 1)
    )

    np.testing.assert_array_equal(exact, middle)
    assert (exact != before).any()


@pytest.mark.slow
def test_fine_has_the_pictures_of_fast_in_fewer_bytes(tools, tmp_path):
    """Only the coding of the bits differs."""
    music = tools.encode(tmp_path / "t.wav", tools.clicks([0.3, 0.7, 1.2], 2.0) + tools.tone(2.0))
    videos = [tmp_path / "fast.mp4", tmp_path / "fine.mp4"]
    sizes = [
        render_video(
            music, video, style=RenderStyle(width=640, height=360, quality=video.stem)
        ).size_bytes
        for video in videos
    ]

    fast, fine = map(tools.lumas, videos)
    assert sizes[1] < sizes[0]
    np.testing.assert_array_equal(fast, fine)


@pytest.mark.slow
def test_ring_round_the_cover_is_clean_after_many_beats(tools, tmp_path):
    """Light leaves no blocks on a dark background, long before the next key frame."""
    Image.new("RGB", (600, 600), (40, 40, 44)).save(tmp_path / "grey.png")
    samples = tools.clicks(np.arange(0.3, 5.5, 0.5), 6.0) + tools.tone(6.0) * 0.02
    music, video = tools.encode(tmp_path / "t.wav", samples), tmp_path / "o.mp4"
    shared = {"title": "T", "author": "A", "cover": tmp_path / "grey.png"}
    render_video(music, video, **shared)
    cover = layout_for(1280, 720).cover
    ring = np.zeros((720, 1280), bool)
    ring[cover.expanded(32, 1280, 720).slices] = True
    ring[cover.slices] = False
    seen = tools.lumas(video)

    # The light is at rest before and after a beat, and fades between.
    errors, brightness = [], []
    for number in (141, 153, 144, 147, 150):
        drawn = rgb_to_luma(np.asarray(render_frame(music, time=number / 30, **shared), float))
        errors.append((seen[number].astype(float) - drawn)[ring])
        brightness.append(drawn[ring].mean())

    assert min(brightness[2:]) > max(brightness[:2]) + 2
    for error in (np.concatenate(errors[:2]), np.concatenate(errors[2:])):
        assert np.sqrt((error**2).mean()) <= 0.7
        assert (np.abs(error) >= 2).mean() <= 0.02


def rgb_to_luma(rgb: np.ndarray) -> np.ndarray:
    """Return the BT.709 luma of an 8-bit image in limited range."""
    return np.rint(rgb @ (0.2126, 0.7152, 0.0722) * 219 / 255 + 16)


@pytest.mark.slow
@pytest.mark.parametrize("quality", ["fast", "fine"])
def test_video_has_colour_tags_and_key_frames(tools, tmp_path, quality):
    """BT.709 in limited range, and a key frame every eight seconds."""
    music, video = tools.encode(tmp_path / "t.wav", tools.tone(9.0)), tmp_path / "o.mp4"

    render_video(music, video, style=RenderStyle(width=144, height=144, fps=24, quality=quality))

    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        keys = [packet.pts * stream.time_base for packet in container.demux(stream)
                if packet.is_keyframe and packet.size]  # fmt: skip
        context = stream.codec_context
        colours = (
            context.color_primaries,
            context.color_trc,
            context.colorspace,
            context.color_range,
        )
    assert keys == [0, 8]
    assert colours == (1, 1, 1, 1)


def test_letters_without_a_font_leave_no_spaces(tone_wav):
    """Titles, authors and watermarks look as without them, and the tags keep them."""
    letter, texts = "\N{LINEAR A SIGN AB001}", {"title": "Up", "author": "Me", "domain_name": "a.b"}
    spaced = {name: f"{letter} {text} {letter}" for name, text in texts.items()}
    plain, shown = (render_frame(tone_wav, time=0, style=SMALL, **each) for each in (texts, spaced))

    assert np.array_equal(plain, shown)


def test_tags_keep_letters_without_a_font(tone_wav, tmp_path):
    """Players may have a font for them."""
    title = "\N{LINEAR A SIGN AB001} Up"
    result = render_video(tone_wav, tmp_path / "o.mp4", title=title, author=title, style=SMALL)

    with av.open(result.path) as container:
        assert {container.metadata[name] for name in ("title", "artist")} == {title}

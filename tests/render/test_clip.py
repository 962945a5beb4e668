"""Tests of videos of a part of a track: its samples, its fades, and the errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from av import AudioFrame

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, render_cover, render_frame, render_video
from mp4gen.render.analysis import analyse
from mp4gen.render.clip import FADE_SECONDS, Clip, cut
from mp4gen.render.cover import cover_jpeg, generate_cover
from mp4gen.render.times import clock, exact_clock, parse_time

SMALL = RenderStyle(width=160, height=160, fps=24)
RATE = 44100
FADE = math.ceil(FADE_SECONDS * RATE)


def noise(seconds, rate=RATE):
    """Return noise in stereo: no two stretches of it are equal."""
    return np.random.default_rng(2).uniform(-0.2, 0.2, (2, round(seconds * rate)))


def rendered(music, folder, **options):
    return render_video(music, folder / "o.mp4", style=SMALL, **options)


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3", ".ogg", ".m4a"])
def test_clip_has_the_samples_of_the_track(tools, tmp_path, ending):
    """From the first sample of the start on, apart from the fades; FLAC keeps them exactly."""
    music = tools.encode(tmp_path / f"song{ending}", noise(3.0))
    track, _ = tools.decode(music)

    result = rendered(music, tmp_path, start=0.7003, length="0:01.2", audio_mode="copy")

    first = round(0.7003 * RATE)
    clip, rate = tools.decode(tmp_path / "o.mp4")
    expected = track[:, first : first + round(1.2 * RATE)]
    assert (rate, clip.shape) == (RATE, expected.shape)
    assert np.abs(clip - expected)[:, FADE:-FADE].max() < 2**-20
    assert (result.audio_codec, result.audio_copied, result.duration) == ("flac", False, 29 / 24)


def test_cuts_are_faded(tools, tmp_path):
    """A clip starts and ends at silence, and rises within 15 ms as half a cosine does."""
    music = tools.encode(tmp_path / "song.wav", np.full((2, 2 * RATE), 0.5))

    rendered(music, tmp_path, start=0.5, length=1, audio_mode="copy")

    clip, _ = tools.decode(tmp_path / "o.mp4")
    shape = 0.25 - 0.25 * np.cos(np.pi * (np.arange(FADE - 1) + 0.5) / (FADE_SECONDS * RATE))
    assert clip[0, : FADE - 1] == pytest.approx(shape, abs=1e-4)
    assert clip[1, ::-1][: FADE - 1] == pytest.approx(shape, abs=1e-4)
    assert np.ptp(clip[:, FADE:-FADE]) < 1e-4


@pytest.mark.parametrize(
    ("start", "length", "faded"),
    [
        (0, 1.0, (False, True)),
        (1.0, None, (True, False)),
        (1.0, 30, (True, False)),
        (1.0, 1, (True, False)),
    ],
)
def test_true_ends_are_not_faded(tools, tmp_path, start, length, faded):
    """What begins or ends with the track keeps its first or last samples."""
    music = tools.encode(tmp_path / "song.flac", np.full((2, 2 * RATE), 0.5))

    rendered(music, tmp_path, start=start, length=length, audio_mode="copy")

    clip, _ = tools.decode(tmp_path / "o.mp4")
    assert clip.shape[1] == RATE
    assert (clip[0, 0] < 0.1, clip[0, -1] < 0.1) == faded


@pytest.mark.parametrize("format_name", ["u8", "u8p", "s16", "s16p", "s32", "s64", "flt", "dblp"])
def test_frames_of_every_sample_format_are_cut(format_name):
    """Silence stays silence, and the kept samples stay what they were."""
    frames = [AudioFrame(format_name, "stereo", 1000) for _ in range(40)]
    silence = b"\x80" if format_name.startswith("u8") else b"\0"
    for frame in frames:
        frame.sample_rate = 20_000
        for plane in frame.planes:
            memoryview(plane)[:] = silence * plane.buffer_size

    parts = list(cut((frame for frame in frames), Clip(0.12345, 1.0)))

    assert sum(part.samples for part in parts) == 20_000
    assert parts[0].samples == 3000 - 2469
    for part in parts:
        step = part.format.bytes * (1 if part.format.is_planar else 2)
        for plane in part.planes:
            assert bytes(plane)[: part.samples * step] == silence * (part.samples * step)


def test_cut_reads_no_further_than_the_clip():
    """The rest of a long file is not decoded."""
    read = []

    def frames():
        for number in range(1000):
            read.append(number)
            frame = AudioFrame("s16", "mono", 1000)
            frame.sample_rate = 1000
            yield frame

    assert sum(part.samples for part in cut(frames(), Clip(2.0, 3.0))) == 3000
    assert len(read) == 6


def test_picture_of_a_clip_follows_its_own_audio(tools, tmp_path):
    """The levels are those of the same samples in a file of their own."""
    samples = np.concatenate([noise(1.0) * 0.1, tools.clicks([0.4, 1.1], 2.0)], axis=1)
    whole = tools.encode(tmp_path / "whole.wav", samples)
    alone = tools.encode(tmp_path / "alone.wav", samples[:, RATE:])
    options = {"fps": 30, "bands": 64, "max_duration": 2.5}

    part, own = analyse(whole, clip=Clip(1.0), **options), analyse(alone, **options)

    assert part.duration == own.duration == 2.0
    assert np.abs(part.levels.astype(int) - own.levels)[2:].max() <= 1


@pytest.mark.slow
def test_clicks_in_a_clip_are_seen_when_they_are_heard(tools, tmp_path):
    """The same offset as in a whole track: at most one frame."""
    music = tools.encode(tmp_path / "song.mp3", tools.clicks([0.4, 1.3, 2.1, 2.6, 3.5], 4.0))
    style = RenderStyle(width=320, height=320, fps=30)

    render_video(music, tmp_path / "o.mp4", style=style, start="0:01", length="2.2", title="")

    heard = tools.audible_clicks(tmp_path / "o.mp4")
    area = (slice(190, 280), slice(0, 320))
    seen = tools.visible_clicks(tmp_path / "o.mp4", area, 30)
    assert heard == pytest.approx([0.3, 1.1, 1.6], abs=0.003)
    assert seen == pytest.approx(heard, abs=1 / 30)


def test_generated_cover_of_a_clip_is_that_of_its_track(tools, tmp_path):
    """A teaser looks like the whole video."""
    music = tools.encode(tmp_path / "song.wav", noise(3.0, 8000), 8000)
    options = {"fps": 30, "bands": 64, "max_duration": 60.0}

    clips = Clip(), Clip(1.0, 2.0), Clip(0.0, 1.0), Clip(0.5, 0.5)
    digests = {analyse(music, clip=clip, **options).digest for clip in clips}

    assert len(digests) == 1


def test_cover_needs_the_beginning_of_a_track_only(tools, tmp_path):
    """The cover alone is the video's, whatever follows, and a long track is no reason to wait."""
    music = tools.encode(tmp_path / "song.wav", noise(33.0, 8000)[:1], 8000)
    video = analyse(music, fps=24, bands=48, max_duration=60.0)

    cover = render_cover(music, 96)

    assert cover == cover_jpeg(generate_cover(video.digest, 96))


def test_frame_of_a_clip_is_that_of_its_video(tools, tmp_path):
    """The time counts from the start of the clip, and a new clip is a new analysis."""
    samples = tools.clicks([0.5, 1.6], 2.0)
    music = tools.encode(tmp_path / "song.wav", samples)

    frames = [
        np.asarray(render_frame(music, time=0.1, start=start, style=SMALL)).astype(int)
        for start in ("0", 1.5, "0:01.5")
    ]

    assert np.abs(frames[0] - frames[1]).max() > 20
    assert np.array_equal(frames[1], frames[2])


def test_progress_is_that_of_the_clip(tools, tmp_path):
    """The total is the clip's length."""
    music, reports = tools.encode(tmp_path / "song.wav", noise(3.0)), []

    result = rendered(
        music, tmp_path, start=1, length=1.5, on_progress=lambda *report: reports.append(report)
    )

    assert reports[-1] == (1.5, 1.5)
    assert (result.duration, result.frames) == (1.5, 36)


def test_max_duration_bounds_the_clip(tools, tmp_path):
    """A part of a long track may be rendered, but not too long a part."""
    music = tools.encode(tmp_path / "song.wav", noise(4.0, 8000), 8000)

    result = rendered(music, tmp_path, start=2.5, max_duration=2)
    with pytest.raises(RenderError, match=r"longer than 0\.03333 minutes"):
        rendered(music, tmp_path, start=1, length=2.5, max_duration=2)

    assert result.duration == 1.5


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"start": -1}, r"Invalid start: -1\. Use seconds"),
        ({"start": math.nan}, "Invalid start: nan"),
        ({"start": "1:75"}, "Invalid start: '1:75'"),
        ({"start": True}, "Invalid start: True"),
        ({"start": 5}, r"Invalid start: 0:05, but the audio of song\.wav ends at 0:02\."),
        ({"start": 1.75}, r"Invalid start: 0:01\.75, but .* ends at 0:02\. Choose an earlier"),
        ({"length": 0}, r"Invalid length: 0\. Use at least 0\.5 s"),
        ({"length": "0:00.2"}, "Invalid length: '0:00.2'"),
        ({"length": math.inf}, "Invalid length: inf"),
        ({"length": -3}, "Invalid length: -3"),
    ],
)
def test_impossible_clips_are_refused(tools, tmp_path, options, text):
    """The error names the argument and its value."""
    music = tools.encode(tmp_path / "song.wav", noise(2.0, 8000), 8000)

    with pytest.raises(RenderError, match=text):
        rendered(music, tmp_path, **options)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (75, 75.0),
        (0.25, 0.25),
        ("75", 75.0),
        (" 75.5 ", 75.5),
        (".5", 0.5),
        ("1:15", 75.0),
        ("01:05.25", 65.25),
        ("1:02:03.5", 3723.5),
        ("90:00", None),
        ("1:2:3:4", None),
        ("1:", None),
        ("1e3", None),
        ("", None),
        ("nan", None),
        (10**400, None),
        (True, None),
        pytest.param(f"{'9' * 5000}:00:00", None, id="digits"),
    ],
)
def test_times_are_parsed(value, seconds):
    """Minutes and seconds beside hours or minutes stay below 60."""
    if seconds is None:
        with pytest.raises(RenderError, match="Invalid start"):
            parse_time(value, "start")
    else:
        assert parse_time(value, "start") == seconds


def test_times_are_formatted_as_they_are_parsed():
    """Messages have hours if there are any."""
    assert [clock(s) for s in (0, 9.6, 75, 3723)] == ["0:00", "0:10", "1:15", "1:02:03"]
    assert exact_clock(3723.5) == "1:02:03.5"
    assert [exact_clock(s) for s in (0, 10, 59.9999, 75.25)] == [
        "0:00",
        "0:10",
        "0:59.999",
        "1:15.25",
    ]

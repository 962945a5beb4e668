"""Tests of videos that must fit into a number of bytes."""

from __future__ import annotations

from functools import partial

import attrs
import numpy as np
import pytest

from mp4gen.errors import RenderError
from mp4gen.render import (
    RenderStyle,
    analysis,
    encoding,
    pieces,
    preparation,
    render_video,
    size_limit,
)
from mp4gen.render.options import AudioOptions
from mp4gen.render.presets import PRESETS, Preset
from mp4gen.render.size_limit import SizeLimit

SMALL = RenderStyle(width=320, height=180)
# Of the music below, encoded without a limit.
SECONDS = 4.0


@pytest.fixture(scope="module")
def music(tools, tmp_path_factory):
    """Return beats and noise, which need bits."""
    noise = np.random.default_rng(3).standard_normal((2, int(SECONDS * 44100))) * 0.02
    beats = tools.clicks(np.arange(0.2, SECONDS - 0.3, 0.3), SECONDS)
    return tools.encode(tmp_path_factory.mktemp("music") / "beats.wav", beats + noise)


@pytest.fixture
def prepared(music):
    request = preparation.RenderRequest("A", None, "T", None, SMALL, 60.0)
    return preparation.prepare(music, request, partial(analysis.analyse))


def limit(max_size, prepared, audio):
    return SizeLimit(max_size, prepared, audio, cover_size=10_000, cancel=None)


@pytest.mark.parametrize("max_size", [200_000, 120_000])
def test_video_fits_into_the_size(music, tmp_path, max_size):
    """The video fits into the limit, and uses most of it."""
    result = render_video(music, tmp_path / "o.mp4", style=SMALL, max_size=max_size)

    assert 0.75 * max_size < result.size_bytes <= max_size
    assert result.audio_bitrate is not None


def test_close_key_frames_are_counted(prepared, monkeypatch):
    """A platform that wants one each quarter of a second gets them within the size, too."""
    close = Preset(label="Test", keyframe_seconds=0.25)
    monkeypatch.setitem(PRESETS, "test", close)
    prepared = attrs.evolve(prepared, style=attrs.evolve(SMALL, platform="test"))
    encoder, end = pieces.PieceEncoder(prepared), prepared.spec.frame_count

    size = sum(len(frame.data) for frame in encoder.encode(pieces.Piece(0, end)))

    assert size_limit._sampled_size(prepared, None) == pytest.approx(size, rel=0.1)


def test_video_that_fits_keeps_its_sound_and_quantizer(prepared):
    """A limit that is far away changes nothing but the quality, which costs no picture."""
    audio = AudioOptions()

    settings = limit(10**9, prepared, audio).choose()

    assert settings.audio == audio
    assert settings.style == attrs.evolve(SMALL, quality="fine")


def test_audio_and_picture_are_reduced_in_turns(prepared):
    """The smaller the size, the coarser the picture and the lower the bit rate."""
    sizes = [250_000, 190_000, 150_000, 112_000]

    found = [limit(size, prepared, AudioOptions()).choose() for size in sizes]

    quantizers = [settings.style.qp for settings in found]
    rates = [settings.audio.bit_rate for settings in found]
    assert quantizers == sorted(quantizers)
    assert rates == sorted(rates, reverse=True)
    assert quantizers[-1] > 28
    assert rates[-1] < 200_000


def test_audio_bitrate_of_the_caller_is_kept(prepared):
    """With a given audio bit rate, only the picture is reduced."""
    audio = AudioOptions(bit_rate=128_000)

    settings = limit(140_000, prepared, audio).choose()

    assert settings.audio == audio
    assert settings.style.qp > SMALL.qp


def test_size_is_that_of_the_finished_file(music, tmp_path):
    """The smallest video fits into exactly its size, with an index smaller than its fragments'."""
    style = attrs.evolve(SMALL, quality="fine", qp=36)
    smallest = render_video(music, tmp_path / "a.mp4", style=style, audio_bitrate=96_000)

    result = render_video(music, tmp_path / "b.mp4", style=SMALL, max_size=smallest.size_bytes)

    assert result.size_bytes == smallest.size_bytes


def test_size_that_is_too_small_is_refused_before_encoding(music, tmp_path, monkeypatch):
    """The error names the bytes that are needed at least."""
    monkeypatch.setattr(encoding.encode, "write", pytest.fail)

    with pytest.raises(RenderError, match=r"max_size: 20000 bytes\. It needs about 0\.\d\d MB"):
        render_video(music, tmp_path / "o.mp4", style=SMALL, max_size=20_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_video_that_is_too_large_is_encoded_again(music, tmp_path, monkeypatch):
    """If the samples estimate too little, the size of the first encoding corrects the estimate."""
    sampled = size_limit._sampled_size
    monkeypatch.setattr(size_limit, "_sampled_size", lambda *video: 0.5 * sampled(*video))
    sizes = []
    learn = SizeLimit.learn
    monkeypatch.setattr(SizeLimit, "learn", lambda *args: (sizes.append(args[-1]), learn(*args)))
    reports = []

    result = render_video(
        music,
        tmp_path / "o.mp4",
        style=SMALL,
        max_size=150_000,
        on_progress=lambda done, total: reports.append(done),
    )

    assert len(sizes) == 1
    assert sizes[0] > 150_000 >= result.size_bytes
    assert reports == sorted(reports)


@pytest.mark.slow
def test_size_that_proves_too_small_is_refused(music, tmp_path, monkeypatch):
    """If the samples were wrong, after an encoding; nothing is left behind."""
    sampled = size_limit._sampled_size
    monkeypatch.setattr(size_limit, "_sampled_size", lambda *video: 0.3 * sampled(*video))

    with pytest.raises(RenderError, match="does not fit into max_size"):
        render_video(music, tmp_path / "o.mp4", style=SMALL, max_size=90_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_limit_needs_no_more_with_several_workers(music, tmp_path):
    """Processes encode with the quantizer that was chosen; the bytes are those of one."""
    files = [tmp_path / "one.mp4", tmp_path / "two.mp4"]

    for file, workers in zip(files, (1, 2), strict=True):
        render_video(music, file, style=SMALL, max_size=150_000, workers=workers)

    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("value", [0, -1, 10.5, "10M", True])
def test_max_size_is_checked(value):
    """The limit is checked, in bytes, before anything is read."""
    with pytest.raises(RenderError, match="Invalid max_size"):
        render_video("missing.wav", "o.mp4", max_size=value)

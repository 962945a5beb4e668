"""Tests of the presets: what each platform takes, and that a video keeps to it."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import av
import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, pieces, render_video
from mp4gen.render.presets import PRESETS, Preset
from mp4gen.render.times import clock

SMALL = {"width": 160, "height": 160, "fps": 24}


@pytest.mark.parametrize(
    ("name", "size", "limits"),
    [
        ("youtube", (1920, 1080), (None, None)),
        ("reel", (1080, 1920), (900, 300_000_000)),
        ("tiktok", (1080, 1920), (600, 4_000_000_000)),
        ("story", (1080, 1920), (60, 100_000_000)),
        ("square", (1080, 1080), (900, 300_000_000)),
        ("x", (1280, 720), (140, 512_000_000)),
        ("whatsapp", (1280, 720), (None, 16_000_000)),
        ("discord", (1280, 720), (None, 10_000_000)),
    ],
)
def test_preset_has_the_size_and_the_limits_of_its_platform(name, size, limits):
    """All presets of the table are here."""
    style, preset = RenderStyle.preset(name), PRESETS[name]

    assert (style.width, style.height, style.fps) == (*size, 30)
    assert (preset.max_length, preset.max_size) == limits
    assert len(PRESETS) == 8
    assert pickle.loads(pickle.dumps(style)) == style  # noqa: S301 - our own


def test_fields_win_over_the_preset():
    """Everything that the caller names is kept; the platform's limits stay."""
    style = RenderStyle.preset("reel", width=720, height=720, look="ring", fps=60)

    assert (style.width, style.height, style.fps, style.look) == (720, 720, 60, "ring")
    assert style.platform == "reel"


@pytest.mark.parametrize("name", ["vine", "", None, ["reel"]])
def test_unknown_preset_lists_all(name):
    """The error names them, however the name was given."""
    with pytest.raises(RenderError, match=r"Unknown preset: .* Use one of: youtube, reel, tiktok"):
        RenderStyle.preset(name)
    if name is not None:
        with pytest.raises(RenderError, match="Unknown preset"):
            RenderStyle(platform=name)


@pytest.fixture
def render(tools, tmp_path, monkeypatch):
    """Return a function that renders 2 s of a tone for a platform with the given limits."""

    def render(kind: str = ".wav", options=(), **limits):
        monkeypatch.setitem(PRESETS, "test", Preset(label="Test TV", **limits))
        music = tools.encode(tmp_path / f"song{kind}", tools.tone(2.0))
        style = RenderStyle.preset("test", **SMALL)
        return render_video(music, tmp_path / "o.mp4", style=style, **dict(options))

    return render


def test_longer_track_is_cut_with_a_warning(render):
    """The result says so, and how to choose the part."""
    result = render(max_length=1.0)

    assert result.duration == 1.0
    assert result.warnings[0] == (
        "Cut to 1 s, the limit of Test TV. Choose the part with start and length."
    )


def test_chosen_length_wins_over_the_preset(render):
    """A warning says that the platform does not take it."""
    result = render(options={"length": 1.5}, max_length=1.0)

    assert result.duration == 1.5
    assert result.warnings[0].startswith("The video has 1.5 s, but the limit of Test TV is 1 s.")


@pytest.mark.parametrize("options", [{}, {"start": 1.5}, {"length": 60}])
def test_track_within_the_limit_is_not_cut(render, options):
    """Its AAC is copied, which no cut track's is."""
    result = render(".m4a", options, max_length=2.5)

    assert result.audio_copied == (options == {})
    assert result.warnings == ()


def test_file_keeps_the_size_of_the_platform(render):
    """As with `max_size`, which wins."""
    limited, larger = render(max_size=75_000), render(options={"max_size": 95_000}, max_size=75_000)

    assert limited.size_bytes <= 75_000
    assert re.fullmatch(
        r"Reduced to 0\.075 MB, the limit of Test TV: quantizer \d+, audio of \d+ kb/s\. Choose .*",
        limited.warnings[0],
    )
    assert larger.warnings == ()
    assert limited.audio_bitrate < larger.audio_bitrate


def test_file_that_fits_as_it_is_has_no_warning(render):
    """Copied audio within the limits of the platform is not reduced audio."""
    result = render(".m4a", max_size=10**7, audio_bitrate=320_000)

    assert result.audio_copied
    assert result.warnings == ()


def test_audio_is_what_the_platform_takes(render):
    """The bit rate and the rate are those of the preset; a bit rate of the caller's wins."""
    result = render(audio_bitrate=128_000, sample_rate=48000)
    with av.open(str(result.path)) as file:
        rate = file.streams.audio[0].codec_context.sample_rate

    assert (result.audio_bitrate, rate) == (128_000, 48000)
    assert render(options={"audio_bitrate": 96_000}, audio_bitrate=128_000).audio_bitrate == 96_000


def test_copied_audio_stays_as_it_is(render):
    """A bit rate of the preset does not forbid a copy that the caller asks for."""
    result = render(".mp3", {"audio_mode": "copy"}, audio_bitrate=128_000)

    assert (result.audio_codec, result.audio_copied) == ("mp3", True)


def test_key_frames_are_as_close_as_the_platform_asks_for(render):
    """Each of them can be decoded alone."""
    result = render(keyframe_seconds=0.5)
    with av.open(str(result.path)) as file:
        keys = [packet.pts * packet.time_base for packet in file.demux(video=0)
                if packet.is_keyframe and packet.size]  # fmt: skip

    assert keys == [0, 0.5, 1, 1.5]


def test_piece_holds_several_close_key_frames():
    """A piece needs an encoder of its own, which half a second is not worth."""
    styles = RenderStyle(fps=30), RenderStyle(fps=30, platform="youtube")

    assert [pieces.cut(600, style)[0] for style in styles] == [pieces.Piece(0, 240)] * 2
    assert pieces.cut(500, styles[1])[-1] == pieces.Piece(480, 500)


def test_documentation_has_the_figures_of_the_table():
    """The page for users lists each preset as it is."""
    page = Path(__file__).parents[2] / ".docs" / "pages" / "how-to" / "platforms.md"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in page.read_text().splitlines() if line.startswith("| `")]  # fmt: skip

    for name, preset in PRESETS.items():
        style = RenderStyle.preset(name)
        length = "" if preset.max_length is None else clock(preset.max_length)
        expected = [f"`{name}`", preset.label, f"{style.width}x{style.height}", length]
        [row] = [row for row in rows if row[0] == f"`{name}`"]
        assert row[:4] == expected
        number, unit = row[4].split() if row[4] else ("", "")
        factor = {"MB": 10**6, "GB": 10**9}
        assert (int(number) * factor[unit] if unit else None) == preset.max_size
        assert (f"{(preset.audio_bitrate or 0) // 1000} kb/s" in row[5]) == bool(
            preset.audio_bitrate
        )

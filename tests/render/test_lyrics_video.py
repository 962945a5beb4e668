"""Lyrics in whole videos and single frames."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, analysis, render_frame, render_video
from mp4gen.render.looks.look import Content
from mp4gen.render.looks.lyric_bars import layout_for

from .conftest import lumas

STYLE = RenderStyle(width=320, height=180, fps=24)
BOX = layout_for(320, 180, Content(lyrics="ltr")).lyrics.box.slices
LRC = "[00:01.00]<00:01.00>Stay <00:01.50>right <00:02.00>here\n[00:03.00]with me"


@pytest.fixture
def song(tone_wav, tmp_path):
    """Return a song without lyrics, in a folder of its own."""
    return shutil.copy(tone_wav, tmp_path / "song.wav")


def frame(song, time, **options):
    return np.asarray(render_frame(song, time=time, style=STYLE, **options)).astype(int)


def test_lyrics_beside_the_music_are_shown(song, tmp_path):
    """By themselves, in videos and in single frames; not if the caller wants none."""
    without = frame(song, 1.7)
    (tmp_path / "song.lrc").write_text(LRC)

    assert np.abs(frame(song, 1.7) - without)[BOX].max() > 100
    np.testing.assert_array_equal(frame(song, 1.7, lyrics=None), without)
    result = render_video(song, tmp_path / "o.mp4", style=STYLE)
    plain = render_video(song, tmp_path / "p.mp4", style=STYLE, lyrics=None)
    assert result.warnings == plain.warnings
    shown, empty = (lumas(path)[40].astype(int) for path in (result.path, plain.path))
    assert np.abs(shown - empty)[BOX].max() > 80


def test_clip_shows_what_is_sung_in_it(song, tmp_path):
    """Times count from the start of the track."""
    (tmp_path / "song.lrc").write_text(LRC)
    whole, part = frame(song, 1.75)[BOX], frame(song, 0.75, start=1.0)[BOX]

    np.testing.assert_allclose(part, whole, atol=3)


def test_clip_without_lyrics_looks_as_without_them(song, tmp_path):
    """The lines before and after it are not reason enough to make the cover small."""
    (tmp_path / "song.lrc").write_text("[00:01.00]Stay\n[00:01.20]\n[00:50.00]here")

    np.testing.assert_array_equal(
        frame(song, 0.3, start=1.3), frame(song, 0.3, start=1.3, lyrics=None)
    )


def test_unreadable_lyrics_are_an_error_before_the_analysis(song, tmp_path, monkeypatch):
    """A file that the caller names; one beside the music is a warning."""
    (tmp_path / "song.lrc").write_text("[00:01.00]Stay\n[00:99.00]here")
    result = render_video(song, tmp_path / "o.mp4", style=STYLE)
    assert any("song.lrc, line 2" in warning for warning in result.warnings)

    monkeypatch.setattr(analysis, "analyse", None)
    with pytest.raises(RenderError, match=r"file song\.lrc, line 2: invalid time"):
        render_video(song, tmp_path / "p.mp4", style=STYLE, lyrics=tmp_path / "song.lrc")
    assert not (tmp_path / "p.mp4").exists()


def test_letters_without_a_font_are_a_warning(song, tmp_path):
    """Lyrics of such letters only are left out, and the look stays as it is."""
    (tmp_path / "song.lrc").write_text("[00:01.00]\N{LINEAR A SIGN AB001}", encoding="utf-8")
    result = render_video(song, tmp_path / "o.mp4", style=STYLE)

    assert any(warning.startswith("No font for") for warning in result.warnings)
    np.testing.assert_array_equal(frame(song, 1.2), frame(song, 1.2, lyrics=None))


@pytest.mark.slow
def test_pieces_are_the_same_as_the_whole(tools, tmp_path):
    """With several processes, over steps, dots and the look without lyrics: the same bytes."""
    style = RenderStyle(width=144, height=144, fps=24)
    song = tools.encode(tmp_path / "song.mp3", tools.tone(44.0))
    (tmp_path / "song.lrc").write_text(
        f"{LRC}\n[00:11.00]After the dots\n[00:40.00]After the break"
    )
    for name, workers in (("a.mp4", 1), ("b.mp4", 2)):
        render_video(song, tmp_path / name, style=style, workers=workers)

    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()

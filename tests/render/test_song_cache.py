"""Tests of videos that share the analysis and the encoded audio of their song."""

from __future__ import annotations

import numpy as np
import pytest

from mp4gen.render import RenderStyle, SongCache, analysis, audio_track, render_video, song_cache

LANDSCAPE = RenderStyle(width=320, height=180, fps=24)
SQUARE = RenderStyle(width=160, height=160, fps=24)


@pytest.fixture
def music(tools, tmp_path):
    """Return a loud song: its gain and its dense parts belong to the encoded audio."""
    noise = np.random.default_rng(7).standard_normal((2, 88200)) * 0.2
    return tools.encode(tmp_path / "song.wav", np.clip(tools.tone(2.0) * 2 + noise, -0.99, 0.99))


@pytest.fixture
def counted(monkeypatch):
    """Count the analyses and the encoders of audio."""
    counts = {"analyses": 0, "encoders": 0}
    analyse, encoder = analysis.analyse, audio_track.AudioEncoder.__init__

    def count_analysis(*args, **options):
        counts["analyses"] += 1
        return analyse(*args, **options)

    def count_encoder(*args):
        counts["encoders"] += 1
        encoder(*args)

    monkeypatch.setattr(analysis, "analyse", count_analysis)
    monkeypatch.setattr(audio_track.AudioEncoder, "__init__", count_encoder)
    return counts


@pytest.mark.parametrize("mode", ["compatible", "copy"])
def test_files_have_the_same_bytes_as_without_a_cache(music, tmp_path, counted, mode):
    """Only the work is shared: AAC and FLAC are encoded once for all shapes."""
    cache, files = SongCache(), []
    for shared in (None, cache, cache):
        for style in (LANDSCAPE, SQUARE):
            to = tmp_path / f"{len(files)}.mp4"
            render_video(music, to, style=style, audio_mode=mode, cache=shared)
            files.append(to.read_bytes())
        if shared is None:
            counted.update(analyses=0, encoders=0)

    assert files[2:4] == files[:2]
    assert files[4:] == files[:2]
    # The landscape has more bars than the square.
    assert counted == {"analyses": 2, "encoders": 1}


def test_other_audio_is_encoded_again(music, tmp_path, counted):
    """Each clip, bit rate and sample rate is its own."""
    cache = SongCache()
    for options in ({}, {"length": 1}, {"audio_bitrate": 128_000}, {"start": 0.5}, {"length": 1}):
        render_video(music, tmp_path / "o.mp4", style=SQUARE, cache=cache, **options)

    assert counted == {"analyses": 3, "encoders": 4}


@pytest.mark.parametrize("change", ["another file", "another version"])
def test_other_song_takes_nothing_from_the_cache(music, tools, tmp_path, counted, change):
    """A file that changed is another song, and only the last one is kept."""
    cache, other = SongCache(), tmp_path / "other.wav"
    render_video(music, tmp_path / "o.mp4", style=SQUARE, cache=cache)
    tools.encode(other, tools.tone(1.0))
    if change == "another version":
        other.replace(music)
        other = music

    result = render_video(other, tmp_path / "p.mp4", style=SQUARE, cache=cache)

    assert result.duration == 1.0
    assert counted == {"analyses": 2, "encoders": 2}
    assert len(cache._audio) == 1


def test_audio_beyond_the_limit_is_not_kept(music, tmp_path, counted, monkeypatch):
    """Long mixes cost no more memory than short songs."""
    monkeypatch.setattr(song_cache, "MAX_AUDIO_BYTES", 1000)
    cache = SongCache()
    for _ in range(2):
        render_video(music, tmp_path / "o.mp4", style=SQUARE, cache=cache)

    assert counted == {"analyses": 1, "encoders": 2}


def test_failed_render_leaves_no_half_audio(music, tmp_path, counted, monkeypatch):
    """Audio is kept when it is complete."""
    cache = SongCache()

    def stop(done: float, _total: float) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_video(music, tmp_path / "o.mp4", style=SQUARE, cache=cache, on_progress=stop)
    render_video(music, tmp_path / "o.mp4", style=SQUARE, cache=cache)

    assert counted == {"analyses": 1, "encoders": 2}

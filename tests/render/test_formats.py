"""Tests of the formats that few tracks have, and of the one list of all formats."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from mp4gen.cli import render as render_command
from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, probe, render_video
from mp4gen.render.formats import BYTES_PER_SECOND, FORMAT_NAMES, FORMATS, SUFFIXES

SMALL = RenderStyle(width=160, height=160, fps=24)
RARE = {
    "opus in webm": "opus",
    "aac in matroska": "aac",
    "flac in matroska": "flac",
    "pcm in aiff": "pcm_s16be",
    "adpcm in aiff": "adpcm_ima_qt",
    "alac in caf": "alac",
    "pcm in caf": "pcm_s24le",
    "w64": "pcm_s24le",
    "au": "pcm_s16be",
    "wavpack": "wavpack",
    "mp2": "mp2",
    "ac3": "ac3",
    "eac3": "eac3",
    "adpcm_ms": "adpcm_ms",
    "adpcm_ima_wav": "adpcm_ima_wav",
}


@pytest.mark.parametrize("kind", RARE)
def test_rare_formats_are_rendered_whole(tools, tmp_path, kind):
    """The video has the audio from its first sample to its last."""
    music = tools.encode(tmp_path / "song", tools.tone(1.2, 48000), 48000, kind=kind)

    info, result = probe(music), render_video(music, tmp_path / "o.mp4", style=SMALL)

    before, after = tools.decode(music)[0], tools.decode(tmp_path / "o.mp4")[0]
    assert (info.codec, info.sample_rate, info.channels) == (RARE[kind], 48000, 2)
    assert info.duration == pytest.approx(1.2, abs=0.06)
    assert result.duration == pytest.approx(before.shape[1] / 48000, abs=1 / 24)
    noise = np.square(before - after[:, : before.shape[1]]).sum()
    assert noise < 0.002 * np.square(before).sum()
    assert result.warnings == ()


@pytest.mark.parametrize(
    "kind", ["alac in caf", "pcm in caf", "w64", "wavpack", "flac in matroska"]
)
def test_lossless_audio_stays_lossless_from_any_container(tools, tmp_path, kind):
    """Samples that are copied or coded as FLAC are the input's, at the same places."""
    music = tools.encode(tmp_path / "song", tools.tone(1.0), kind=kind)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL, audio_mode="copy")

    assert result.audio_codec == ("alac" if kind == "alac in caf" else "flac")
    before, after = tools.decode(music)[0], tools.decode(tmp_path / "o.mp4")[0]
    assert np.array_equal(before, after[:, : before.shape[1]])
    # libavformat cuts the end of ALAC in a CAF, which the copied packets still have.
    assert before.shape[1] <= after.shape[1] < before.shape[1] + 1024 * (kind == "alac in caf") + 1


@pytest.mark.parametrize("kind", ["pcm in aiff", "adpcm_ms", "pcm in caf", "w64", "au"])
def test_incomplete_rare_format_gives_a_warning(tools, tmp_path, kind):
    """The lengths are those of the header and of the audio in the file."""
    whole = tools.encode(tmp_path / "whole", tools.tone(8.0, 8000, 1), 8000, kind=kind)
    cut = tmp_path / "cut"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.55)])

    complete, result = (
        render_video(music, tmp_path / "o.mp4", style=SMALL) for music in (whole, cut)
    )

    assert complete.warnings == ()
    assert re.search(r"not complete: cut has 0:0[34] of the 0:08", " ".join(result.warnings))


@pytest.mark.parametrize("kind", ["opus in webm", "alac in caf", "au", "wavpack"])
def test_tags_of_rare_formats_are_read(tools, tmp_path, kind):
    """They are libavformat's; mutagen reads those of the common formats."""
    tags = {"title": "Tone", "artist": "Oscillator"}
    music = tools.encode(tmp_path / "song", tools.tone(0.6, 48000), 48000, kind=kind, tags=tags)

    info = probe(music)

    assert (info.title, info.artist) == ("Tone", "Oscillator")


def test_other_codecs_in_known_containers_are_refused(tools, tmp_path):
    """The decoders are as few as the containers; the error names those that are used."""
    music = tools.encode(tmp_path / "song.mka", tools.tone(0.6), kind="tta in matroska")

    with pytest.raises(RenderError, match=r"Unsupported audio codec in song\.mka: tta\. Use mp3, "):
        probe(music)


def test_every_text_names_the_same_formats(tmp_path):
    """The error, the option's help and the documentation have one list."""
    text = tmp_path / "text.mp3"
    text.write_text("no audio " * 200)

    with pytest.raises(RenderError) as refusal:
        probe(text)

    help_text = str(inspect.signature(render_command.render).parameters["audio"].annotation)
    pages = Path(__file__).parents[2] / ".docs/pages/how-to/rendering.md"
    names = FORMAT_NAMES.replace(" or ", " and ")
    assert FORMAT_NAMES in str(refusal.value)
    assert FORMAT_NAMES in help_text
    assert FORMAT_NAMES in " ".join((render_video.__doc__ or "").split())
    assert names in " ".join(pages.read_text().split())


def test_every_ending_belongs_to_one_format():
    """Endings are lower case with a dot, and have a typical size."""
    assert len(set(SUFFIXES)) == len(SUFFIXES) == len(BYTES_PER_SECOND)
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in SUFFIXES)
    assert {each.demuxer for each in FORMATS} & {"concat", "hls", "dash", "image2"} == set()

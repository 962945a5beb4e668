"""`mp4gen render`, on the real renderer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from mp4gen.render.presets import PRESETS, Preset


def test_render_follows_its_options(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """The video has the size, frame rate and audio of the options, and the record states them."""
    options = ("--to", tmp_path / "x.mp4", "--audio", "copy", "--title", "Tone", "--author", "Ann")
    look = ("--size", "256x256", "--fps", "23.976")

    ended = mp4gen("render", tone, *options, *look, "--json")

    (record,) = ended.records
    assert ended.code == 0
    assert (record["width"], record["height"], record["fps"]) == (256, 256, 24000 / 1001)
    assert record["audio_codec"] == "flac"
    with av.open(str(tmp_path / "x.mp4")) as made:
        assert (made.metadata["title"], made.metadata["artist"]) == ("Tone", "Ann")


def test_render_makes_a_clip(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """The options are those of `render_video`, with units."""
    options = ("--start", "0:00.25", "--length", "0.5", "--audio-bitrate", "64k")

    ended = mp4gen(
        "render", tone, "--to", tmp_path / "x.mp4", "--size", "144x144", *options, "--json"
    )

    assert ended.records[0]["duration"] == 0.5
    with av.open(str(tmp_path / "x.mp4")) as made:
        assert made.streams.audio[0].bit_rate < 100_000


@pytest.mark.parametrize("lyrics", ["auto", "none"])
def test_render_takes_lyrics(mp4gen: Any, tone: Path, tmp_path: Path, lyrics: str) -> None:
    """Those beside the music are read unless there are to be none; a given file must exist."""
    tone.with_suffix(".lrc").write_text("[00:99.00]La")
    small = ("--to", tmp_path / "x.mp4", "--size", "144x144")

    ended = mp4gen("render", tone, *small, "--lyrics", lyrics)
    missing = mp4gen("render", tone, *small, "--overwrite", "--lyrics", "none.lrc")

    assert ended.code == 0
    assert ("tone.lrc, line 1" in ended.err) == (lyrics == "auto")
    assert missing.code == 2
    assert "The lyrics file does not exist: none.lrc. Check the path." in missing.err


def test_render_keeps_to_the_limits_of_a_preset(
    mp4gen: Any, tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it changed is reported, and an option wins."""
    monkeypatch.setitem(PRESETS, "reel", Preset(label="Reels", max_length=0.5))
    video = tmp_path / "x.mp4"

    ended = mp4gen("render", tone, "--to", video, "--preset", "reel", "--size", "144x144", "--json")

    assert ended.records[0]["duration"] == 0.5
    assert ended.records[0]["width"] == 144
    assert "Cut to 0.5 s, the limit of Reels. Choose the part with start and length." in ended.err


@pytest.mark.slow
def test_render_makes_a_video_for_each_preset(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """One line makes all shapes of a song, and the same line again makes those that are missing."""
    presets = ("--preset", "x", "--preset", "discord", "--size", "144x144")
    command = ("render", tone, "--to", tmp_path / "v", "--title", "One", *presets)

    ended = mp4gen(*command)
    (tmp_path / "v" / "tone.x.mp4").unlink()
    again = mp4gen(*command)

    assert ended.code == again.code == 0
    assert sorted(path.name for path in (tmp_path / "v").iterdir()) == [
        "tone.discord.mp4", "tone.x.mp4"
    ]  # fmt: skip
    assert "2 videos rendered" in ended.out
    assert "1 videos rendered, 1 skipped" in again.out


@pytest.mark.slow
def test_render_keeps_to_a_maximum_size(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """K is 1000 bytes, so that the file also fits where a platform counts like that."""
    video = tmp_path / "x.mp4"

    ended = mp4gen("render", tone, "--to", video, "--size", "144x144", "--max-size", "40kB")

    assert ended.code == 0
    assert video.stat().st_size <= 40_000


def test_render_stops_at_its_timeout(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """The error names the option."""
    ended = mp4gen("render", tone, "--to", tmp_path / "x.mp4", "--timeout", "1e-9")

    assert ended.code == 2
    assert "Raise timeout or choose a smaller size." in ended.err
    assert not (tmp_path / "x.mp4").exists()


def test_render_prints_the_path_of_the_video(
    mp4gen: Any, tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to the current folder."""
    monkeypatch.chdir(tmp_path)

    ended = mp4gen("render", tone, "--to", "x.mp4", "--size", "256x144")

    assert ended.out.startswith("x.mp4  (1 s, 256x144, ")
    assert "tone.wav: rendering" in ended.err


def test_render_rejects_a_file_without_audio(mp4gen: Any, tmp_path: Path) -> None:
    """The exit code is 2, and no file is created."""
    (tmp_path / "x.mp3").write_text("no music")

    ended = mp4gen("render", tmp_path / "x.mp3", "--to", tmp_path / "x.mp4")

    assert ended.code == 2
    assert "Not a readable audio file: x.mp3." in ended.err
    assert not (tmp_path / "x.mp4").exists()


@pytest.mark.slow
def test_render_skips_an_existing_video(mp4gen: Any, tone: Path, tmp_path: Path) -> None:
    """An existing video is skipped, or rendered again with --overwrite; other files are kept."""
    line = ("render", tone, "--to", tmp_path / "v/", "--size", "144x144")
    mp4gen(*line)
    video = tmp_path / "v" / "tone.mp4"
    before = video.stat()

    kept = mp4gen(*line, "--json")
    replaced = mp4gen(*line, "--overwrite")
    after = video.stat()
    video.write_bytes(b"not a video of ours")
    refused = mp4gen(*line)

    assert kept.code == replaced.code == 0
    assert kept.records == [{"audio": str(tone), "status": "skipped", "path": str(video)}]
    assert f"{video} exists already. Use --overwrite to replace it." in kept.err
    assert before.st_ino != after.st_ino
    assert refused.code == 2
    assert f"Not replaced: {video}, which exists" in refused.err
    assert video.read_bytes() == b"not a video of ours"


@pytest.mark.parametrize("title", ["song", "Own"])
def test_render_reads_standard_input(
    mp4gen: Any, tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    """Without a title, the name of the video is the title."""
    video = tmp_path / "song.mp4"
    options = () if title == "song" else ("--title", title)
    with tone.open("rb") as file:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=file, isatty=lambda: False))
        ended = mp4gen("render", "-", "--to", video, "--size", "144x144", "--json", *options)

    (record,) = ended.records
    assert (ended.code, record["audio"], record["path"]) == (0, "standard input", str(video))
    assert "standard input: rendering" in ended.err
    with av.open(str(video)) as made:
        assert made.metadata["title"] == title


def test_render_names_standard_input_in_errors(
    mp4gen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary file has a name that means something to the user."""
    (tmp_path / "x").write_text("no music")
    with (tmp_path / "x").open("rb") as file:
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=file, isatty=lambda: False))
        ended = mp4gen("render", "-", "--to", tmp_path / "x.mp4")

    assert ended.code == 2
    assert "Not a readable audio file: standard input." in ended.err


def test_render_expands_the_home_folder(
    mp4gen: Any, tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell keeps the `~` of `--to=~/x`."""
    monkeypatch.setenv("HOME", str(tmp_path))

    ended = mp4gen("render", "~/tone.wav", "--to=~/v/", "--size", "144x144", "--json")

    assert ended.records[0]["path"] == str(tmp_path / "v" / "tone.mp4")

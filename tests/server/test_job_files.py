"""The files of a job on another machine."""

from pathlib import Path, PurePosixPath

import attrs
import pytest

from mp4gen.errors import RenderError
from mp4gen.server.rendering.job_files import files_of, relocated
from mp4gen.server.rendering.worker import RenderJob, check_inside


def make_job(folder: Path, **style: object) -> RenderJob:
    """Return a job whose music lies in `folder`."""
    return RenderJob(
        audio=folder / "song.mp3",
        root=folder,
        folder=folder / "work",
        author=str(folder / "song.mp3"),
        domain_name=None,
        style={"width": 256, "look": "bars", **style},
        audio_mode="compatible",
        max_duration=60.0,
        cpu_seconds=60.0,
    )


def test_files_of_one_folder_stay_together(tmp_path: Path) -> None:
    """A render looks for lyrics beside the music, and shows the name of the file as a title."""
    (tmp_path / "song.lrc").touch()
    fonts = (str(tmp_path / "fonts" / "song.mp3"),)

    found = files_of(make_job(tmp_path, fonts=fonts, background="auto", logo=None))

    assert found == {
        tmp_path / "song.mp3": PurePosixPath("0/song.mp3"),
        tmp_path / "song.lrc": PurePosixPath("0/song.lrc"),
        Path(fonts[0]): PurePosixPath("1/song.mp3"),
    }


def test_job_names_its_files_where_they_are_now(tmp_path: Path) -> None:
    """Texts stay as they are, even those that look like a path."""
    job = make_job(
        tmp_path, fonts=[tmp_path / "a.ttf"], background="/pictures/b.png", logo="/c.png"
    )
    there = Path("/there")

    moved = relocated(job, there, files_of(job))

    assert (moved.audio, moved.root) == (there / "files/0/song.mp3", there / "files")
    assert moved.video == there / "video.mp4"
    assert moved.author == job.author
    assert moved.style == {
        "width": 256,
        "look": "bars",
        "fonts": [there / "files/0/a.ttf"],
        "background": there / "files/1/b.png",
        "logo": there / "files/2/c.png",
    }


@pytest.mark.parametrize("background", ["auto", "blur", "#1d2b53"])
def test_word_of_a_style_is_no_file(tmp_path: Path, background: str) -> None:
    """Backgrounds may be words and colours."""
    job = make_job(tmp_path, background=background)

    assert list(files_of(job)) == [job.audio]
    assert relocated(job, Path("/there"), files_of(job)).style == job.style


def test_music_outside_of_its_folder_is_refused(tmp_path: Path) -> None:
    """A link may have been replaced since the task was accepted; such a file is not sent."""
    (tmp_path / "music").mkdir()
    outside = tmp_path / "secret.mp3"
    outside.touch()
    link = tmp_path / "music" / "song.mp3"
    link.symlink_to(outside)

    with pytest.raises(RenderError, match="outside the music folder"):
        check_inside(attrs.evolve(make_job(tmp_path / "music"), audio=link))

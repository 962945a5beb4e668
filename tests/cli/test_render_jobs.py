"""Which files `mp4gen render` renders, and where each video goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mp4gen.cli.exit_codes import UsageError
from mp4gen.cli.render_jobs import RenderJob, check_target, find_jobs
from mp4gen.errors import RenderError, RenderIOError
from mp4gen.render import RenderStyle

Touch = Callable[..., None]


@pytest.fixture
def touch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Touch:
    """Return a function that creates empty files in the current folder."""
    monkeypatch.chdir(tmp_path)

    def create(*names: str) -> None:
        for name in names:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()

    return create


def videos(*sources: str, to: str = "videos") -> dict[str, str]:
    """Return the video of each audio file."""
    jobs = find_jobs([*map(Path, sources)], to, pytest.fail)
    return {str(job.audio): str(job.video) for job in jobs}


def test_files_become_videos_in_the_folder(touch: Touch) -> None:
    """The folder of the audio file is dropped; a file that is named twice is rendered once."""
    touch("a.mp3", "x/b.v2.flac", "noending")

    found = videos("a.mp3", "x/b.v2.flac", "./a.mp3", "noending")

    assert found == {
        "a.mp3": "videos/a.mp4",
        "x/b.v2.flac": "videos/b.v2.mp4",
        "noending": "videos/noending.mp4",
    }


def test_folders_are_searched_and_keep_their_names(touch: Touch) -> None:
    """As with `cp -r`; hidden files, other files and linked folders are left out."""
    touch("Album/1.mp3", "Album/disc 2/1.FLAC", "Album/.x.mp3", "Album/.git/y.mp3", "Album/z.txt")
    Path("Album/loop").symlink_to(Path("Album").absolute())
    Path("Album/linked.wav").symlink_to(Path("Album/1.mp3").absolute())
    Path("Album/away.wav").symlink_to("/nowhere/1.mp3")

    found = videos("Album/")

    assert found == {
        "Album/1.mp3": "videos/Album/1.mp4",
        "Album/linked.wav": "videos/Album/linked.mp4",
        # It fails in its turn.
        "Album/away.wav": "videos/Album/away.mp4",
        "Album/disc 2/1.FLAC": "videos/Album/disc 2/1.mp4",
    }


@pytest.mark.parametrize(
    ("place", "folder", "video"),
    [("b", ".", "c/x.mp4"), ("b/c", "..", "c/x.mp4"), ("b", "../b", "b/c/x.mp4")],
)
def test_content_of_the_current_folder_has_no_folder_of_its_own(
    touch: Touch, monkeypatch: pytest.MonkeyPatch, place: str, folder: str, video: str
) -> None:
    """As with `cp -r . videos`, the content goes directly into the folder."""
    touch("b/c/x.mp3")
    monkeypatch.chdir(place)

    assert [*videos(folder).values()] == [f"videos/{video}"]


def test_single_file_can_have_a_name(touch: Touch) -> None:
    """The name ends in .mp4, and is not that of a folder."""
    touch("a.mp3")
    Path("folder.mp4").mkdir()

    assert videos("a.mp3", to="song.MP4") == {"a.mp3": "song.MP4"}
    assert videos("a.mp3", to="new.mp4/") == {"a.mp3": "new.mp4/a.mp4"}
    assert videos("a.mp3", to="folder.mp4") == {"a.mp3": "folder.mp4/a.mp4"}


@pytest.mark.parametrize(
    ("sources", "to", "text"),
    [
        (["a.mp3", "no.mp3"], "v", "The audio file does not exist: no.mp3. Check the path."),
        (["a.mp3", "--lok"], "v", "Unknown option: --lok. See 'mp4gen render --help'."),
        ([], "v", "No audio to render. Pass audio files or folders, or - for standard input."),
        (["empty"], "v", "No audio files in empty. Choose another folder, or pass"),
        (["a.mp3", "d"], "o.mp4", "The target o.mp4 is one file, but there are 3 audio files."),
        (
            ["a.mp3", "e/a.wav", "d/b.wav", "d/b.ogg"],
            "v",
            "Both a.mp3 and e/a.wav would become v/a.mp4 (and 1 more like this). Rename one",
        ),
    ],
)  # fmt: skip
def test_invalid_sources_are_refused(touch: Touch, sources: list[str], to: str, text: str) -> None:
    """Invalid sources are refused before anything is rendered."""
    touch("a.mp3", "d/b.wav", "d/b.ogg", "e/a.wav", "empty/readme.txt")

    with pytest.raises(UsageError) as refused:
        videos(*sources, to=to)

    assert text in str(refused.value)


def test_unreadable_folder_is_reported(touch: Touch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of other folders are found."""
    touch("m/a/1.mp3", "m/b/2.mp3")
    scandir, errors = os.scandir, list[OSError]()

    def refuse(path: str) -> object:
        if str(path).endswith("a"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    jobs = find_jobs([Path("m")], "v", errors.append)

    assert [job.audio for job in jobs] == [Path("m/b/2.mp3")]
    assert [error.filename for error in errors] == ["m/a"]


@pytest.mark.parametrize("system", ["darwin", "linux"])
def test_names_that_differ_in_capitals_only(
    touch: Touch, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    """They are one file on macOS, also if they differ in the normal form."""
    touch("a/é.mp3", "b/E\u0301.mp3")
    monkeypatch.setattr("sys.platform", system)

    if system == "darwin":
        with pytest.raises(UsageError, match="would become"):
            videos("a/é.mp3", "b/E\u0301.mp3")
    else:
        assert len(videos("a/é.mp3", "b/E\u0301.mp3")) == 2


@pytest.mark.parametrize("to", ["song.mp3", "song.mov", "a/b.AVI", "x.wav"])
def test_target_of_another_format_is_refused(touch: Touch, to: str) -> None:
    """Otherwise the video would replace a master, or a folder would get that name."""
    touch("x.wav")

    with pytest.raises(UsageError, match=r"The video is an MP4: use a name that ends in \.mp4"):
        check_target(to)


@pytest.mark.parametrize("to", ["", "-"])
def test_empty_target_and_standard_output_are_refused(to: str) -> None:
    """An unset variable of a shell is not the current folder."""
    with pytest.raises(UsageError, match=r"^Invalid --to: '-?'\. Use a folder, or a file name"):
        check_target(to)


def test_target_is_an_mp4_or_a_folder(touch: Touch) -> None:
    """A folder may have any name."""
    Path("live.mov").mkdir()

    for to in ("song.mp4", "videos", "videos/", "vol. 1", "live.mov"):
        check_target(to)


def test_several_styles_are_several_videos(touch: Touch) -> None:
    """Each has the key of its style at the end of its name; one style adds nothing."""
    touch("vol. 1.mp3", "b/c.flac")
    styles = {name: RenderStyle.preset(name) for name in ("x", "reel")}
    sources = [Path("vol. 1.mp3"), Path("b")]

    several = find_jobs(sources, "v", print, styles)
    one = find_jobs(sources, "v", print, {"x": styles["x"]})

    assert [(str(job.video), job.style) for job in several] == [
        (str(Path("v") / "vol. 1.x.mp4"), styles["x"]),
        (str(Path("v") / "vol. 1.reel.mp4"), styles["reel"]),
        (str(Path("v") / "b" / "c.x.mp4"), styles["x"]),
        (str(Path("v") / "b" / "c.reel.mp4"), styles["reel"]),
    ]
    assert [(job.video.name, job.style) for job in one] == [("vol. 1.mp4", None), ("c.mp4", None)]
    with pytest.raises(UsageError, match=r"The target v\.mp4 is one file, but there are 2 presets"):
        find_jobs(sources[:1], "v.mp4", print, styles)


def test_other_file_is_not_replaced(touch: Touch, tmp_path: Path) -> None:
    """A video of another program and an incomplete video are not replaced."""
    touch("a.mp3")
    Path("a.mp4").write_bytes(b"\0\0\0\x08ftyp\0\0\0\x08moov\0\0\0\x08mdat")

    with pytest.raises(RenderError, match=r"^Not replaced: a\.mp4, which exists and is not"):
        RenderJob(Path("a.mp3"), Path("a.mp4")).is_done()


def test_unreadable_video_is_not_replaced(touch: Touch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file and the reason."""
    touch("a.mp3", "a.mp4")

    def refuse(_: object) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mp4gen.cli.render_jobs.is_own_video", refuse)

    with pytest.raises(RenderIOError, match=r"^Cannot read a\.mp4: Permission denied\. Use --over"):
        RenderJob(Path("a.mp3"), Path("a.mp4")).is_done()


def test_target_that_the_renderer_refuses_is_not_done(touch: Touch) -> None:
    """A folder and the audio file itself are not taken for finished videos."""
    touch("a.mp4")
    Path("b.mp4").mkdir()

    assert not RenderJob(Path("a.mp4"), Path("a.mp4")).is_done()
    assert not RenderJob(Path("a.mp4"), Path("b.mp4")).is_done()
    assert not RenderJob(Path("a.mp4"), Path("c.mp4")).is_done()

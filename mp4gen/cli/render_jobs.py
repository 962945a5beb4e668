"""Find the audio files of `mp4gen render`, and choose the video of each; renders nothing."""

import mimetypes
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import attrs

from mp4gen.errors import RenderError, RenderIOError
from mp4gen.filesystem import names_folder
from mp4gen.render import RenderStyle
from mp4gen.render.formats import SUFFIXES
from mp4gen.render.own_video import is_own_video

from .exit_codes import UsageError

_NO_AUDIO = "No audio to render. Pass audio files or folders, or - for standard input."


@attrs.frozen
class RenderJob:
    """An audio file and the MP4 that it becomes.

    Attributes:
        audio: The audio file.
        video: The MP4.
        style: How the video looks; None for the style of all jobs.
        name: What the audio file is called in messages and records.
    """

    audio: Path
    video: Path
    style: RenderStyle | None = attrs.field(default=None, kw_only=True)
    name: str = attrs.field(default=attrs.Factory(lambda job: str(job.audio), takes_self=True))

    def is_done(self) -> bool:
        """Return whether the video exists.

        Raises:
            RenderError: Another file has its name, or it cannot be read.
        """
        try:
            # The renderer refuses its own audio file and what is not a regular file.
            if not self.video.is_file() or _is_same_file(self.video, self.audio):
                return False
            if is_own_video(self.video):
                return True
        except OSError as error:
            raise RenderIOError(
                f"Cannot read {self.video}: {error.strerror}. Use --overwrite or another folder."
            ) from error
        raise RenderError(
            f"Not replaced: {self.video}, which exists and is not a complete video of mp4gen. Use "
            "--overwrite or another folder."
        )


def check_target(to: str) -> None:
    """Refuse a target that is certainly not meant as a folder or an MP4.

    Raises:
        UsageError: It is empty, standard output, or an audio or video file that is not an MP4.
    """
    if to in ("", "-"):
        raise UsageError(
            f"Invalid --to: {to!r}. Use a folder, or a file name that ends in .mp4: the video "
            "cannot be written to standard output."
        )
    kind = (mimetypes.guess_type(to)[0] or "").partition("/")[0]
    if kind in ("audio", "video") and names_folder(to) and not Path(to).is_dir():
        raise UsageError(
            f"Invalid --to: {to}. The video is an MP4: use a name that ends in .mp4, or a folder."
        )


def find_jobs(
    sources: Sequence[Path],
    to: str,
    on_error: Callable[[OSError], object],
    styles: Mapping[str, RenderStyle] = MappingProxyType({}),
) -> list[RenderJob]:
    """Return a job for each file of `sources`, and for each audio file below a folder of them.

    The videos of a folder keep its name and its subfolders.

    Args:
        sources: Audio files and folders.
        to: The MP4 of a single file, or the folder for the videos.
        on_error: Called for each subfolder that cannot be read.
        styles: If there are several, each file becomes a video of each, with the style's key at
            the end of its name.

    Raises:
        UsageError: A source is missing, there is no audio, or two files would become one video.
    """
    found = [pair for source in sources for pair in _found(source, on_error)]
    if not found:
        raise UsageError(_NO_AUDIO if not sources else _nothing_in(sources))
    if names_folder(to):
        jobs = [RenderJob(audio, Path(to) / name.with_suffix(".mp4")) for audio, name in found]
        return _without_conflicts([each for job in jobs for each in _in_styles(job, styles)])
    if len(styles) > 1:
        raise UsageError(
            f"The target {to} is one file, but there are {len(styles)} presets. Use a folder."
        )
    if len(found) > 1:
        raise UsageError(
            f"The target {to} is one file, but there are {len(found)} audio files. Use a folder."
        )
    return [RenderJob(found[0][0], Path(to))]


def _in_styles(job: RenderJob, styles: Mapping[str, RenderStyle]) -> list[RenderJob]:
    if len(styles) <= 1:
        return [job]
    return [
        attrs.evolve(job, video=job.video.with_suffix(f".{key}.mp4"), style=style)
        for key, style in styles.items()
    ]


def _found(source: Path, on_error: Callable[[OSError], object]) -> Iterator[tuple[Path, Path]]:
    """Yield each audio file with its path below the target folder."""
    if str(source).startswith("-"):
        raise UsageError(f"Unknown option: {source}. See 'mp4gen render --help'.")
    if not source.exists():
        raise UsageError(f"The audio file does not exist: {source}. Check the path.")
    if not source.is_dir():
        yield source, Path(source.name)
        return
    # As with `cp -r`, the content of . and .. has no folder of its own.
    base = Path() if source.name in ("", "..") else Path(source.name)
    for audio in _audio_files(source, on_error):
        yield audio, base / audio.relative_to(source)


def _audio_files(folder: Path, on_error: Callable[[OSError], object]) -> Iterator[Path]:
    """Yield the audio files of a folder and its subfolders, except hidden ones."""
    for parent, folders, names in os.walk(folder, onerror=on_error):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)


def _nothing_in(folders: Iterable[Path]) -> str:
    names = ", ".join(map(str, folders))
    return f"No audio files in {names}. Choose another folder, or pass the files themselves."


def _without_conflicts(jobs: Sequence[RenderJob]) -> list[RenderJob]:
    """Return the jobs without repeated ones.

    Raises:
        UsageError: Several files would become one video.
    """
    by_video: dict[str, RenderJob] = {}
    conflicts = []
    for job in jobs:
        first = by_video.setdefault(_key(job.video), job)
        if not _is_same_file(first.audio, job.audio):
            conflicts.append((first, job))
    if conflicts:
        (first, second), others = conflicts[0], len(conflicts) - 1
        more = f" (and {others} more like this)" if others else ""
        raise UsageError(
            f"Both {first.audio} and {second.audio} would become {first.video}{more}. "
            "Rename one of them, or use different folders."
        )
    return list(by_video.values())


def _is_same_file(first: Path, second: Path) -> bool:
    # A symbolic link in a folder may be broken.
    with suppress(FileNotFoundError):
        return first.samefile(second)
    return first == second


def _key(video: Path) -> str:
    """Return a key that is equal for names that the system treats as one file."""
    folds = sys.platform in ("darwin", "win32")
    return unicodedata.normalize("NFC", str(video)).casefold() if folds else str(video)

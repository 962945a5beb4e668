"""Takes the files of a job along to another machine; opens none.

Every `Path` in a job is a file that the render reads, apart from the two folders. So are the texts
of a style that name files. Files keep their names, and those of one folder stay together: a render
looks for lyrics beside the music.
"""

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from mp4gen.lyrics.beside import lyrics_beside
from mp4gen.render.options import is_picture

from .worker import STYLE_FILES, RenderJob

_FOLDERS = {"root", "folder"}


def files_of(job: RenderJob) -> dict[Path, PurePosixPath]:
    """Return the files of a job, each with its path below a folder on another machine."""
    found: dict[Path, None] = {}

    def note(path: Path) -> Path:
        found[path] = None
        return path

    _replaced(job, note)
    for lyrics in lyrics_beside(job.audio):
        found[lyrics] = None
    folders = list(dict.fromkeys(path.parent for path in found))
    return {path: PurePosixPath(str(folders.index(path.parent)), path.name) for path in found}


def relocated(job: RenderJob, folder: Path, paths: dict[Path, PurePosixPath]) -> RenderJob:
    """Return the job for a machine on which the files lie below `folder`, which gets the video."""
    root = folder / "files"
    return attrs.evolve(_replaced(job, lambda path: root / paths[path]), root=root, folder=folder)


def _replaced(job: RenderJob, change: Callable[[Path], Path]) -> RenderJob:
    """Return the job with another path for each of its files."""
    values = {
        field.name: _change(getattr(job, field.name), change)
        for field in attrs.fields(RenderJob)
        if field.name not in _FOLDERS | {"style"}
    }
    style = {
        name: _change(_as_path(value) if name in STYLE_FILES else value, change)
        for name, value in job.style.items()
    }
    return attrs.evolve(job, **values, style=style)


def _change(value: Any, change: Callable[[Path], Path]) -> Any:
    if isinstance(value, Path):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_change(one, change) for one in value)
    if isinstance(value, dict):
        return {name: _change(one, change) for name, one in value.items()}
    if attrs.has(type(value)):
        fields = attrs.fields(type(value))
        return attrs.evolve(
            value, **{one.name: _change(getattr(value, one.name), change) for one in fields}
        )
    return value


def _as_path(value: Any) -> Any:
    """Return the path that a text of a style names, or the value itself."""
    if isinstance(value, list | tuple):
        return type(value)(_as_path(one) for one in value)
    return Path(value) if isinstance(value, str) and is_picture(value) else value

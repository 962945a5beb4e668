"""Computes what a video is made of, as a short text: equal texts mean the same video.

The text covers the content of the music file and of the lyrics beside it, the texts that are shown,
and all options, those of the server's style included. Names and times of files do not count, and
neither does the callback. Of a large file only the ends are read, so its time counts, too: a submit
must not wait until hundreds of megabytes came over a slow network.
"""

import functools
import hashlib
import json
import os
import unicodedata
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs

from mp4gen.lyrics.beside import lyrics_beside
from mp4gen.lyrics.files import EXTENSIONS
from mp4gen.render.options import RenderStyle, is_picture
from mp4gen.server.rendering.video_options import VideoOptions, style_for
from mp4gen.server.rendering.worker import STYLE_FILES

from .task import Task

# The first part of a fingerprint is that of the texts and options, the rest that of the files.
REQUEST_CHARS = 32
# Larger files are lossless; nearly every edit changes their size or one of their ends.
MAX_READ_BYTES = 16 << 20
_END_BYTES = 1 << 20
# Of files that are remembered: a server may run for years, and get new music every day.
MAX_DIGESTS = 10_000
_STYLE_OPTIONS = {"look", "background", "accent", "preset"}


class Fingerprints:
    """The fingerprints of one server's tasks. They read files: compute them off the event loop.

    Args:
        style: The server's style.
        pictures: The folder of the pictures that tasks name.
    """

    def __init__(self, style: RenderStyle, pictures: Path | None = None) -> None:
        self._style, self._pictures = style, pictures
        # A file is read again only if it changed.
        self._read_digest = functools.lru_cache(MAX_DIGESTS)(_read_digest)

    def of(self, task: Task, audio: Path) -> str:
        """Return the fingerprint of the video that `task` would become now."""
        request = {
            "words": [_normalize(text) for text in (task.author, task.domain_name)],
            "audio_mode": task.audio_mode,
            "style": self._style_of(task),
            **self._content_of(task.options),
        }
        beside = {path.suffix.lower(): self._digest(path) for path in lyrics_beside(audio)}
        files = [self._digest(audio), *(beside.get(extension) for extension in EXTENSIONS)]
        return f"{_hash(request)}.{_hash(files)}"

    def _style_of(self, task: Task) -> dict[str, Any]:
        """Return the size and the other values that are not the renderer's defaults."""
        values = style_for(self._style, task.aspect_ratio, task.options, self._pictures)
        # A default of a later version must not turn every earlier video into another one.
        defaults = {field.name: field.default for field in attrs.fields(type(self._style))}
        return {"width": values["width"], "height": values["height"]} | {
            name: self._content(name, value)
            for name, value in values.items()
            if value != defaults.get(name)
        }

    def _content_of(self, options: VideoOptions) -> dict[str, Any]:
        """Return the chosen options that are not part of the style."""
        chosen = {
            name: value for name, value in options.chosen().items() if name not in _STYLE_OPTIONS
        }
        if options.cover is not None and self._pictures is not None:
            chosen["cover"] = self._digest(self._pictures / options.cover) or options.cover
        if isinstance(options.title, str):
            chosen["title"] = _normalize(options.title)
        return chosen

    def _content(self, name: str, value: Any) -> Any:
        """Return the value of a style's field, or for the path of a file what is in the file."""
        if isinstance(value, tuple):
            return [self._content(name, one) for one in value]
        if isinstance(value, Fraction):
            return str(value)
        is_path = name in STYLE_FILES and is_picture(value)
        return (is_path and self._digest(Path(value))) or value

    def _digest(self, path: Path) -> str | None:
        """Return the digest of a file; None if it is unreadable."""
        try:
            stat = path.stat()
            version = stat.st_dev, stat.st_ino, stat.st_ctime_ns
            return self._read_digest(path, stat.st_size, stat.st_mtime_ns, version)
        except OSError:
            return None


def _read_digest(path: Path, size: int, modified_ns: int, _version: tuple[int, ...]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        if size <= MAX_READ_BYTES:
            return hashlib.file_digest(file, lambda: digest).hexdigest()
        digest.update(f"{size} {modified_ns} ".encode())
        digest.update(file.read(_END_BYTES))
        file.seek(-_END_BYTES, os.SEEK_END)
        digest.update(file.read(_END_BYTES))
    return digest.hexdigest()


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=REQUEST_CHARS // 2).hexdigest()


def _normalize(text: str | None) -> str:
    return unicodedata.normalize("NFC", text or "")

"""Adds an uploaded file to the library: complete or not at all, and under a safe name."""

import asyncio
import contextlib
import os
import shutil
import time
import unicodedata
from functools import partial
from pathlib import Path

from aiohttp import web

from mp4gen import filesystem
from mp4gen.errors import InvalidRequestError, RenderError
from mp4gen.render.formats import SUFFIXES
from mp4gen.server.data_dir import random_token

from .library import MusicUnavailableError
from .reader import LibraryReader

FOLDER = "Uploads"
_MAX_STEM_BYTES = 120
_PART_PREFIX = ".mp4gen-upload-"
_CHUNK = 1 << 20
# An idle client must not keep a connection and a file open.
_READ_TIMEOUT = 30.0
_MAX_PART_AGE = 3600.0


def safe_name(name: str) -> str:
    """Return a safe file name: without folders and control characters, and not too long.

    Raises:
        InvalidRequestError: It is not the name of an audio file.
    """
    stem, suffix = os.path.splitext(_printable(name).strip())  # noqa: PTH122 - of a name, not of a path
    stem = filesystem.portable_name(stem.strip(". "))
    stem = _shorten(stem)
    if suffix.lower() not in SUFFIXES or not stem:
        raise InvalidRequestError(f"Only audio can be added: {', '.join(SUFFIXES)}.", code=400)
    return stem + suffix.lower()


def _printable(name: str) -> str:
    plain = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in plain if unicodedata.category(char)[0] != "C")


def _shorten(name: str) -> str:
    return name.encode()[:_MAX_STEM_BYTES].decode(errors="ignore")


async def receive(
    request: web.Request, library: LibraryReader, max_bytes: int, *, min_free_bytes: int
) -> Path:
    """Save the request's body as a hidden file in `FOLDER`, which the caller renames or deletes.

    Args:
        request: The request.
        library: The library, in which the folder is created if it is missing.
        max_bytes: Maximum size in bytes.
        min_free_bytes: Bytes that must stay free on the disk.

    Raises:
        InvalidRequestError: The body is too large (code 413), does not fit on the disk (507),
            stalls or is incomplete (400); or the folder cannot be written (400).
        MusicUnavailableError: The music folder does not answer.
    """
    folder = library.root / FOLDER
    part = folder / f"{_PART_PREFIX}{random_token()}"
    try:
        await library.run(partial(folder.mkdir, exist_ok=True))
        await _write(request, library, part, max_bytes, min_free_bytes)
    except BaseException as error:
        await remove_part(library, part)
        if isinstance(error, web.RequestPayloadError):
            raise InvalidRequestError("The upload is incomplete.", code=400) from None
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            message = f"The music folder cannot be written: {error.strerror or error}."
            raise InvalidRequestError(message, code=400) from error
        raise
    return part


async def remove_part(library: LibraryReader, part: Path) -> None:
    """Delete a partial upload, if it exists and can be deleted; later if the folder hangs."""
    delete = partial(part.unlink, missing_ok=True)
    try:
        await library.run(delete)
    except MusicUnavailableError:
        library.run_later(delete)
    except OSError:
        pass


async def _write(
    request: web.Request, library: LibraryReader, part: Path, max_bytes: int, min_free_bytes: int
) -> None:
    size = 0
    file = await library.run(part.open, "wb")
    try:
        while chunk := await _next_chunk(request):
            size += len(chunk)
            if size > max_bytes:
                raise InvalidRequestError(
                    f"The file is larger than {max_bytes >> 20} MB.", code=413
                )
            disk = await library.run(shutil.disk_usage, part.parent)
            if disk.free < min_free_bytes + len(chunk):
                raise InvalidRequestError("The server's disk is full.", code=507)
            await library.run(file.write, chunk)
    finally:
        try:
            # It writes what is buffered, and may hang.
            await library.run(file.close)
        except MusicUnavailableError:
            # Otherwise the garbage collection closes it, and the whole server hangs.
            library.run_later(file.close)
            raise


async def _next_chunk(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_READ_TIMEOUT):
            return await request.content.read(_CHUNK)
    except TimeoutError:
        message = f"The upload stalled for {_READ_TIMEOUT:.0f} s."
        raise InvalidRequestError(message, code=400) from None


def folder_for(name: str) -> str:
    """Return the music task of the songs of an uploaded folder: `FOLDER`, or a folder in it."""
    safe = _shorten(filesystem.portable_name(_printable(name).strip(". ")))
    return f"{FOLDER}/{safe}" if safe else FOLDER


def commit_upload(part: Path, folder: str, name: str) -> Path:
    """Move a saved file to `name` in a music task, or to the next free name; overwrite nothing."""
    target_folder = part.parent.parent / folder
    target_folder.mkdir(exist_ok=True)
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - as above
    for number in range(1, 1000):
        target = target_folder / (name if number == 1 else f"{stem} ({number}){suffix}")
        try:
            filesystem.move_to_new(part, target)
        except FileExistsError:
            continue
        return target
    part.unlink()
    raise RenderError(f"Too many files have this name: {name}. Choose another name.")


def remove_partial_uploads(folder: Path) -> None:
    """Delete the partial uploads of a killed server, but none that another server receives."""
    # The music folder may be read-only.
    with contextlib.suppress(OSError):
        for part in folder.glob(f"{_PART_PREFIX}*"):
            if time.time() - part.stat().st_mtime > _MAX_PART_AGE:
                part.unlink()

"""Takes a music file into the library: whole or not at all, under a name that harms nobody."""

from __future__ import annotations

import asyncio
import os
import shutil
import unicodedata
from pathlib import Path

from aiohttp import web

from mp4gen.errors import InvalidRequestError, RenderError
from mp4gen.server.data_dir import random_token

from .library import SUFFIXES

FOLDER = "Uploads"
_MAX_STEM_BYTES = 120
_PART_PREFIX = ".mp4gen-upload-"
_CHUNK = 1 << 20
# Nobody may hold a connection and a file without sending anything.
_READ_TIMEOUT = 30.0


def safe_name(name: str) -> str:
    """A file name made of what somebody sent: no folder, no control characters, not too long.

    Raises:
        InvalidRequestError: it is not the name of a music file.
    """
    plain = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    printable = "".join(char for char in plain if unicodedata.category(char)[0] != "C")
    stem, suffix = os.path.splitext(printable.strip())  # noqa: PTH122 - of a name, not of a path
    stem = stem.lstrip(". ").rstrip(". ")
    while len(stem.encode()) > _MAX_STEM_BYTES:
        stem = stem[:-1]
    if suffix.lower() not in SUFFIXES or not stem:
        raise InvalidRequestError(f"only music can be added: {', '.join(SUFFIXES)}", code=400)
    return stem + suffix.lower()


async def receive(
    request: web.Request, folder: Path, max_bytes: int, *, min_free_bytes: int
) -> Path:
    """The request's body as a hidden file in `folder`, which the caller names or removes.

    Args:
        request: whose body it is.
        folder: made where there is none.
        max_bytes: bytes at most.
        min_free_bytes: bytes of room that the disk must keep.

    Raises:
        InvalidRequestError: it is too large (code 413), has no room (507), comes too slowly or is
            cut off (400), or the folder cannot be written.
    """
    part = folder / f"{_PART_PREFIX}{random_token()}"
    try:
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        await _write(request, part, max_bytes, min_free_bytes)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, web.RequestPayloadError):
            raise InvalidRequestError("the upload was cut off", code=400) from None
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            message = f"the music folder cannot be written: {error.strerror or error}"
            raise InvalidRequestError(message, code=400) from error
        raise
    return part


async def _write(request: web.Request, part: Path, max_bytes: int, min_free_bytes: int) -> None:
    size = 0
    with part.open("wb") as file:
        while chunk := await _next_chunk(request):
            size += len(chunk)
            if size > max_bytes:
                raise InvalidRequestError(f"the file has more than {max_bytes >> 20} MB", code=413)
            if (
                await asyncio.to_thread(shutil.disk_usage, part.parent)
            ).free < min_free_bytes + len(chunk):
                raise InvalidRequestError("The server's disk is full.", code=507)
            await asyncio.to_thread(file.write, chunk)


async def _next_chunk(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(_READ_TIMEOUT):
            return await request.content.read(_CHUNK)
    except TimeoutError:
        message = f"the upload stood still for {_READ_TIMEOUT:.0f} s"
        raise InvalidRequestError(message, code=400) from None


def commit_upload(part: Path, name: str) -> Path:
    """Give a received file its name, or the next one that is free; nothing is overwritten."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - as above
    for number in range(1, 1000):
        target = part.with_name(name if number == 1 else f"{stem} ({number}){suffix}")
        try:
            os.link(part, target)
        except FileExistsError:
            continue
        part.unlink()
        return target
    part.unlink()
    raise RenderError(f"there are too many files named {name}")


def remove_partial_uploads(folder: Path) -> None:
    """Remove what uploads left that were cut off by a kill."""
    for part in folder.glob(f"{_PART_PREFIX}*"):
        part.unlink(missing_ok=True)

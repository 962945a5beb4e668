"""Finished videos in a bucket; the data directory keeps those that are not stored there yet.

The prefix must be empty, or the server's own: an object in it says so. Only objects whose names the
server has made are ever deleted.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

import attrs

from mp4gen.errors import ConfigurationError
from mp4gen.server.data_dir import RECORD_NAME, VIDEO_NAME, DataDirectory, record_name

from .bucket import Bucket, StorageError
from .folder import FolderVideos
from .video_store import LocalVideo, RemoteVideo

log = logging.getLogger("mp4gen.server")

MARKER = "mp4gen-videos.txt"
_MARKER_TEXT = """This prefix belongs to an mp4gen server. It deletes expired videos here.
owner: {owner}
"""
# Seconds for which a link to the bucket is valid.
LINK_SECONDS = 3600.0
_MAX_MISSING = 10_000
_NOT_KEPT = "it does not return what was stored"


@attrs.frozen
class BucketVideo:
    """A video in the bucket: the `RemoteVideo` of `BucketVideos`."""

    _bucket: Bucket
    _key: str
    size: int
    modified: datetime
    _version: str | None

    @property
    def etag(self) -> str:
        """Its entity tag, quoted."""
        return self._version or f'"{self.size:x}-{self.modified.timestamp():.0f}"'

    async def read(self, start: int, stop: int) -> bytes:
        """Return its bytes from `start` up to `stop`."""
        return await self._bucket.read(self._key, start, stop, self._version)

    async def link(self, method: Literal["GET", "HEAD"]) -> str:
        """Return a URL with which anyone may send this request to the bucket, for an hour."""
        return await self._bucket.sign(method, self._key, LINK_SECONDS)


class BucketVideos:
    """The `VideoStore` of a server with an object storage.

    A finished video is moved into the data directory first, then stored in the bucket. So it is
    not rendered again if the bucket cannot be used, or if the server is killed meanwhile. Videos
    that the server made without a bucket stay in the data directory until they expire.

    Args:
        bucket: The prefix of the videos.
        data: The data directory.
    """

    def __init__(self, bucket: Bucket, data: DataDirectory) -> None:
        self._bucket, self._data = bucket, data
        self._local = FolderVideos(data)
        self._missing: set[str] = set()
        self.in_use: set[str] = set()

    async def open(self) -> None:
        """Check that the prefix is the server's own, and make it so if it is empty."""
        owner = owner_of(self._data.secret())
        try:
            if not await check_owner(self._bucket, owner):
                text = _MARKER_TEXT.format(owner=owner).encode()
                await self._bucket.put(MARKER, text, only_new=True)
                # Another server may have been first.
                await check_owner(self._bucket, owner)
        except StorageError as error:
            raise unusable(error) from error

    async def publish(self, rendered: Path | None, name: str, record: bytes) -> int | None:
        """Move a finished video into the data directory, then store it in the bucket."""
        if rendered is not None:
            await self._local.publish(rendered, name, record)
        waiting = await self._local.find(name)
        if waiting is None:
            found = await self._find_remote(name)
            return found.size if found else None
        record = await self._local.read_record(name) or record
        await self._bucket.put(record_name(name), record)
        await self._bucket.put_file(name, waiting.path, content_type="video/mp4")
        self._missing.discard(name)
        await asyncio.to_thread(self._data.remove_video_files, name)
        return waiting.size

    async def find(self, name: str) -> LocalVideo | RemoteVideo | None:
        """Return a video, wherever it is."""
        found = await self._local.find(name) or await self._find_remote(name)
        if found is not None:
            self._missing.discard(name)
        elif await self._bucket.head(MARKER) is not None:
            # Otherwise the whole bucket is gone.
            self._note_missing(name)
        return found

    def _note_missing(self, name: str) -> None:
        if len(self._missing) >= _MAX_MISSING:
            # Anyone can ask for unknown names.
            self._missing.clear()
        self._missing.add(name)

    async def _find_remote(self, name: str) -> BucketVideo | None:
        found = await self._bucket.head(name)
        if found is None:
            return None
        return BucketVideo(
            self._bucket, name, found["size"], found["last_modified"], found["e_tag"]
        )

    def is_lost(self, name: str) -> bool:
        """Return whether a request for a finished video has found it gone."""
        return name in self._missing

    async def names(self) -> set[str]:
        """Return the names of all videos in the bucket and in the data directory."""
        found = {one["path"] async for one in self._bucket.objects()}
        return set(filter(VIDEO_NAME.fullmatch, found)) | await self._local.names()

    async def write_record(self, name: str, record: bytes) -> None:
        """Replace the record of a finished video where the video is."""
        if isinstance(await self._local.find(name), LocalVideo):
            await self._local.write_record(name, record)
        else:
            await self._bucket.put(record_name(name), record)

    async def read_record(self, name: str) -> bytes | None:
        """Return the record of a video; None if it has none."""
        return await self._local.read_record(name) or await self._bucket.get(record_name(name))

    async def remove(self, names: Iterable[str]) -> list[str]:
        """Delete videos from both places; none counts as gone if the bucket cannot be used."""
        names = list(names)
        own = [name for name in names if VIDEO_NAME.fullmatch(name)]
        gone = await self._local.remove(names)
        try:
            await self._bucket.delete([*own, *map(record_name, own)])
        except StorageError as error:
            log.warning("videos are deleted from the bucket later: %d (%s)", len(own), error)
            return []
        self._missing.difference_update(own)
        return gone

    async def remove_leftovers(self, known: set[str]) -> None:
        """Delete what a killed server left in the data directory, and records of no video."""
        await self._local.remove_leftovers(known)
        found = {one["path"] async for one in self._bucket.objects()}
        needed = set(map(record_name, known | set(filter(VIDEO_NAME.fullmatch, found))))
        orphans = [key for key in found - needed if RECORD_NAME.fullmatch(key)]
        if orphans:
            await self._bucket.delete(orphans)


async def check_owner(bucket: Bucket, owner: str | None) -> bool:
    """Check that a prefix is empty or belongs to a server; return whether it is marked.

    Args:
        bucket: The prefix.
        owner: The server; None for a server that has not started yet.

    Raises:
        ConfigurationError: It belongs to another one, or contains other objects.
        StorageError: It cannot be read now.
    """
    marker = await bucket.get(MARKER)
    if marker is not None:
        if owner is None or owner.encode() not in marker.split():
            hint = f"; if it is gone, write `owner: {owner}` into that object" if owner else ""
            raise ConfigurationError(
                f"The prefix of --files belongs to another server, as {MARKER} in it says. Choose "
                f"another prefix for this server{hint}."
            )
        return True
    async for one in bucket.objects():
        raise ConfigurationError(
            "The prefix of --files contains objects that are not the server's: "
            f"{one['path']}. Choose an empty prefix, such as s3://BUCKET/mp4gen."
        )
    return False


async def check_bucket(bucket: Bucket, secret: bytes | None) -> None:
    """Check that a server with this secret can use a prefix: store, read and delete an object.

    Raises:
        ConfigurationError: It belongs to another server, or contains other objects.
        StorageError: It cannot be used.
    """
    await check_owner(bucket, owner_of(secret) if secret else None)
    key, content = f"mp4gen-check-{secrets.token_hex(12)}.txt", b"mp4gen"
    await bucket.put(key, content)
    try:
        if await bucket.get(key) != content:
            raise StorageError(_NOT_KEPT)
    finally:
        await bucket.delete([key])


def unusable(error: StorageError) -> ConfigurationError:
    """Return the error for a bucket that cannot be used when the server starts."""
    return ConfigurationError(
        f"The bucket of --files cannot be used: {error.reason}. Check its name, and the variables "
        "AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )


def owner_of(secret: bytes) -> str:
    """Return the name of the server with this secret, which may be public."""
    return hashlib.sha256(b"mp4gen videos " + secret).hexdigest()[:32]

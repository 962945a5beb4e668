"""One prefix of a bucket in an S3-compatible object storage; knows no video. Needs the `s3` extra.

The endpoint, the region and the credentials come from the variables of AWS, which obstore reads.
No error and no log line contains one of them.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from mp4gen.server.troubles import TransientError

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

# Of an upload, at most these parts and the next one are in memory.
_PART_BYTES, _PARTS_AT_ONCE = 8 << 20, 2
# Seconds for one request, of which an upload has one for each part, and for all its retries.
_CONNECT_TIMEOUT, _REQUEST_TIMEOUT, _RETRY_TIMEOUT = 5, 120, 30
_MAX_RETRIES = 3
# Seconds that a cancelled upload has to delete what was sent of it.
_ABORT_TIMEOUT = 2.0
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_S3_CODE = re.compile(r"<Code>(\w+)</Code>")
_HTTP_STATUS = re.compile(r"status code: (\d{3})")


class StorageError(TransientError):
    """The object storage cannot be used now.

    Attributes:
        reason: Why, in a few words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"The object storage cannot be used: {reason}.")
        self.reason = reason

    def __reduce__(self) -> tuple[type[StorageError], tuple[str]]:
        return type(self), (self.reason,)


class Bucket:
    """The objects below one prefix; keys are relative to it.

    Args:
        name: The name of the bucket.
        prefix: The prefix; may be empty.
    """

    def __init__(self, name: str, prefix: str) -> None:
        endpoint = next(filter(None, map(os.environ.get, _ENDPOINTS)), "")
        self._store = S3Store(
            name,
            prefix=prefix or None,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT),
                "timeout": timedelta(seconds=_REQUEST_TIMEOUT),
            },
            retry_config={
                "max_retries": _MAX_RETRIES,
                "retry_timeout": timedelta(seconds=_RETRY_TIMEOUT),
            },
        )

    async def put(self, key: str, content: bytes, *, only_new: bool = False) -> bool:
        """Store a small object; return False if `only_new` is set and there is one."""
        mode: Literal["create", "overwrite"] = "create" if only_new else "overwrite"
        with _translated():
            try:
                await obstore.put_async(self._store, key, content, mode=mode)
            except AlreadyExistsError:
                return False
        return True

    async def put_file(self, key: str, path: Path, *, content_type: str) -> None:
        """Store a file, in parts; the object appears complete.

        A failed or cancelled upload stores nothing, and deletes what was sent of it. After a kill,
        its parts stay in the bucket, invisible, until a rule of the bucket deletes them.
        """
        stopped = threading.Event()
        headers = {"Content-Type": content_type, "Content-Disposition": "attachment"}
        upload = asyncio.ensure_future(
            obstore.put_async(
                self._store,
                key,
                _parts(path, stopped),
                attributes=headers,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        )
        try:
            with _translated():
                await asyncio.shield(upload)
        except asyncio.CancelledError:
            # The next part fails, and with it the upload, which obstore then aborts.
            stopped.set()
            await asyncio.wait({upload}, timeout=_ABORT_TIMEOUT)
            upload.cancel()
            await asyncio.gather(upload, return_exceptions=True)
            raise

    async def head(self, key: str) -> ObjectMeta | None:
        """Return the size, the tag and the time of an object; None if there is none."""
        with _translated():
            try:
                return await obstore.head_async(self._store, key)
            except FileNotFoundError:
                return None

    async def get(self, key: str) -> bytes | None:
        """Return the content of a small object; None if there is none."""
        with _translated():
            try:
                found = await obstore.get_async(self._store, key)
                return bytes(await found.bytes_async())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    async def read(self, key: str, start: int, stop: int, etag: str | None) -> bytes:
        """Return the bytes of an object from `start` up to `stop`, if it has this tag still."""
        with _translated():
            options: GetOptions = {"range": (start, stop), "if_match": etag}
            found = await obstore.get_async(self._store, key, options=options)
            return bytes(await found.bytes_async())

    async def objects(self) -> AsyncIterator[ObjectMeta]:
        """Yield all objects."""
        with _translated():
            async for some in obstore.list(self._store):
                for one in some:
                    yield one

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, if they exist."""
        with _translated():
            try:
                await obstore.delete_async(self._store, keys)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise

    async def sign(self, method: Literal["GET", "HEAD"], key: str, seconds: float) -> str:
        """Return a URL with which anyone may send this request for that time."""
        with _translated():
            expires_in = timedelta(seconds=seconds)
            return await obstore.sign_async(self._store, method, key, expires_in)


def _parts(path: Path, stopped: threading.Event) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_PART_BYTES):
            if stopped.is_set():
                raise InterruptedError
            yield part


@contextmanager
def _translated() -> Iterator[None]:
    """Translate all errors of obstore; their texts contain URLs and pages of details."""
    try:
        yield
    except (BaseError, OSError) as error:
        raise StorageError(_reason(str(error))) from None


def _reason(text: str) -> str:
    if found := _S3_CODE.search(text):
        return found[1]
    if found := _HTTP_STATUS.search(text):
        return f"it answers with HTTP status {found[1]}"
    # Without any, the address that gives them to machines of AWS is asked.
    if "redential" in text or "169.254." in text:
        return "there are no valid credentials"
    if "TimedOut" in text or "timed out" in text:
        return "it does not answer in time"
    if "not found" in text:
        return "an object is missing"
    return "there is no connection to it"

"""Download one file completely or not at all: resume, check, then rename it to its target.

It knows neither the API nor its key.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import Random
from typing import Final

import attrs

from mp4gen.api.responses import HttpResponse
from mp4gen.errors import DownloadError, Mp4GenError
from mp4gen.options import Retry
from mp4gen.transport.retry import backoff_delays

from .fetch import (
    DownloadLimits,
    FileResponse,
    FileSessions,
    RetryableError,
    open_response,
    validate_url,
)
from .partial_file import PartialFile, open_partial_file

OnProgress = Callable[[int, int | None], object]
RefreshUrl = Callable[[], Awaitable[str | None]]
OnRetry = Callable[[DownloadError, float], object]

_MAX_CORRUPT_ATTEMPTS: Final = 3
# An attempt that received this much is progress, however it ended.
_MIN_PROGRESS_BYTES: Final = 1 << 16
_RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d{1,19})-\d{1,19}|\*)/(\d{1,19}|\*)")


class ExpiredLinkError(DownloadError):
    """The host does not have the file under this link; a newer link may work."""


class _CorruptFileError(Exception):
    """The host sent something else than the file; no byte of it is kept."""


@attrs.define
class Download:
    """The download of one file.

    Attributes:
        sessions: The connections to file hosts.
        url: The http(s) URL of the file.
        limits: What the download may do.
        random: The jitter of the delays between attempts.
        on_progress: Called with the bytes received and the total (None if unknown). An exception
            aborts the download.
        refresh_url: Returns one fresh link, or None, after the first link has expired.
        on_retry: Called with the reason of a failed attempt and the seconds until the next.
    """

    sessions: FileSessions
    url: str
    limits: DownloadLimits
    random: Random
    on_progress: OnProgress | None = None
    refresh_url: RefreshUrl | None = None
    on_retry: OnRetry | None = None

    async def save(self, path: Path) -> Path:
        """Fetch the file into `path`, which is replaced only by a complete MP4.

        Raises:
            DownloadError: The file could not be fetched; `path` stays as it was.
            ConfigurationError: The client is closed, or belongs to another loop.
        """
        validate_url(self.url, allow_private=self.limits.allow_private)
        with open_partial_file(path) as part:
            async with self.sessions.opened():
                await self._download(part)
            await part.commit()
        return path

    async def _download(self, part: PartialFile) -> None:
        budget = _RetryBudget(self.limits.retry, self.random)
        while True:
            received_before = part.received
            try:
                return await self._attempt(part)
            except ExpiredLinkError as error:
                await self._refresh_url(error)
            except _CorruptFileError as error:
                part.restart()
                budget.corrupt_attempts += 1
                await self._wait_or_give_up(budget, str(error), None)
            except RetryableError as error:
                if part.received - received_before >= _MIN_PROGRESS_BYTES:
                    budget.attempts = 0
                await self._wait_or_give_up(budget, str(error), error.retry_after)

    async def _wait_or_give_up(
        self, budget: _RetryBudget, reason: str, retry_after: float | None
    ) -> None:
        host = validate_url(self.url, allow_private=True)
        message = f"Cannot download from {host}: {reason}"
        delay = budget.next_delay(retry_after)
        if delay is None:
            attempts = f" after {budget.attempts} attempts in a row" if budget.attempts > 1 else ""
            raise DownloadError(f"{message} Gave up{attempts}.")
        if self.on_retry:
            self.on_retry(DownloadError(message), delay)
        await asyncio.sleep(delay)

    async def _refresh_url(self, expired: ExpiredLinkError) -> None:
        refresh_url, self.refresh_url = self.refresh_url, None
        try:
            new_url = await refresh_url() if refresh_url else None
        except Mp4GenError as error:
            raise DownloadError(f"{expired} No new link was found: {error}") from error
        if not new_url:
            raise expired
        self.url = new_url

    async def _attempt(self, part: PartialFile) -> None:
        if not part.validator:
            # Nothing shows that the rest belongs to the same file.
            part.restart()
        headers = {}
        if part.validator and part.received:
            headers = {"Range": f"bytes={part.received}-", "If-Range": part.validator}
        async with open_response(self.sessions, self.url, headers, self.limits) as response:
            if _begin(response, part):
                await self._write_body(response, part)
        if part.total is not None and part.received < part.total:
            raise RetryableError(f"Received {part.received} bytes instead of {part.total}.")
        if reason := part.validation_error():
            raise _CorruptFileError(reason)

    async def _write_body(self, response: FileResponse, part: PartialFile) -> None:
        max_bytes = self.limits.max_bytes
        if (part.total or 0) > max_bytes:
            raise DownloadError(
                f"The file is too large: {part.total} bytes, more than the {max_bytes} allowed."
            )
        while chunk := await response.read():
            if part.received + len(chunk) > max_bytes:
                raise DownloadError(
                    f"The file is too large: more than the {max_bytes} bytes allowed."
                )
            signature_checked = part.received >= 8
            part.write(chunk)
            if part.received >= 8 and not signature_checked and not part.has_mp4_signature:
                content_type = _first_value(response, "Content-Type") or "an unknown format"
                raise _CorruptFileError(f"The host sent {content_type} instead of an MP4.")
            if part.total is not None and part.received > part.total:
                raise _CorruptFileError(f"Received more than the announced {part.total} bytes.")
            if self.on_progress:
                self.on_progress(part.received, part.total)


@attrs.define
class _RetryBudget:
    """The retries of one download: limited in time, and in number for corrupt files.

    Attributes:
        attempts: Failed attempts in a row; 0 after progress, which starts the time anew.
    """

    retry: Retry
    random: Random
    corrupt_attempts: int = 0
    attempts: int = 0
    _failing_since: float = 0.0
    _delays: Iterator[float] = attrs.field(factory=lambda: iter(()))

    def next_delay(self, retry_after: float | None) -> float | None:
        """Return the seconds until the next attempt, at least `retry_after`; None to give up."""
        now = asyncio.get_running_loop().time()
        if not self.attempts:
            self._failing_since, self._delays = now, backoff_delays(self.retry, self.random)
        self.attempts += 1
        delay = max(next(self._delays), retry_after or 0.0)
        exhausted = now - self._failing_since + delay > self.retry.timeout
        return None if exhausted or self.corrupt_attempts > _MAX_CORRUPT_ATTEMPTS else delay


def _begin(response: FileResponse, part: PartialFile) -> bool:
    """Prepare `part` for the body of `response`; return False if `part` is complete already.

    Raises:
        DownloadError: The host refuses the file.
        RetryableError: The host refuses it for now.
        _CorruptFileError: The host sends another file, or one in a content encoding.
    """
    match response.status:
        case 200 | 206 if (encoding := _content_encoding(response)) != "identity":
            raise _CorruptFileError(f"The host sent the file in an encoding: {encoding}.")
        case 200:
            part.restart()
            length = response.headers.get("Content-Length", "")
            part.total = int(length) if length.isdecimal() else None
            part.validator = _validator(response)
            return True
        case 206 if _is_valid_continuation(response, part):
            return True
        case 416 if part.received and part.received == (_content_range(response)[1] or part.total):
            part.total = part.received
            return False
        case 206 | 416:
            raise _CorruptFileError("The file changed during the download.")
        case 401 | 403 | 404 | 410:
            raise ExpiredLinkError(
                f"The link has expired or is wrong, or a firewall refuses it: {response.host} "
                f"answered {response.status}. Get a new link."
            )
        case status if status in _RETRYABLE_STATUSES:
            headers = {name.lower(): value for name, value in response.headers.items()}
            retry_after = HttpResponse(status, headers, b"").retry_after
            raise RetryableError(f"The host answered {status}.", retry_after)
        case status:
            raise DownloadError(f"The host refused the file: {response.host} answered {status}.")


def _is_valid_continuation(response: FileResponse, part: PartialFile) -> bool:
    """Whether the body continues exactly at the end of `part`, and of the same file."""
    start, total = _content_range(response)
    if not part.received or start != part.received:
        return False
    if _validator(response) not in (None, part.validator):
        return False
    part.total = part.total or total
    return total in (None, part.total)


def _content_range(response: FileResponse) -> tuple[int | None, int | None]:
    """Return the first byte and the total size of `Content-Range`, each None if unknown."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    start, total = found.groups() if found else (None, "*")
    return int(start) if start else None, None if total == "*" else int(total)


def _validator(response: FileResponse) -> str | None:
    """Return what `If-Range` may name: a strong ETag, else a strong date (RFC 9110, 13.1.5).

    A date is strong if the response is at least a second younger: two versions of one second have
    the same date.
    """
    etag = response.headers.get("ETag")
    if etag is not None:
        return etag if etag.startswith('"') and etag.isascii() and etag.isprintable() else None
    last_modified, date = (response.headers.get(name, "") for name in ("Last-Modified", "Date"))
    try:
        age = parsedate_to_datetime(date) - parsedate_to_datetime(last_modified)
    except (ValueError, TypeError):
        return None
    return last_modified if age.total_seconds() >= 1 else None


def _content_encoding(response: FileResponse) -> str:
    return _first_value(response, "Content-Encoding").strip().lower() or "identity"


def _first_value(response: FileResponse, name: str) -> str:
    """Return the start of a header, safe to print on a terminal."""
    text = response.headers.get(name, "").partition(";")[0][:60]
    return "".join(c for c in text if c.isascii() and c.isprintable())

"""One file, whole or not at all: fetched with resumed tries, checked, then put in its place.

It neither knows the API nor its key: the sessions that it is given carry neither key nor cookies.
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
# A try that brought this much is no reason to lose heart, however it ended.
_MIN_PROGRESS_BYTES: Final = 1 << 16
_RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d{1,19})-\d{1,19}|\*)/(\d{1,19}|\*)")


class ExpiredLinkError(DownloadError):
    """The host does not have the file under this link (any more); a newer link may work."""


class _CorruptFileError(Exception):
    """The host sent something else than the file; all of it is of no use."""


@attrs.define
class Download:
    """One file on its way.

    Attributes:
        sessions: the connections to file hosts.
        url: where it is; http or https.
        limits: what is allowed.
        random: jitter of the waits between tries.
        on_progress: told the bytes so far and the bytes in all, or None where unknown; what it
            raises ends the download.
        refresh_url: gives one fresh link, or None, when the first has expired.
        on_retry: told why a try failed, and the seconds until the next.
    """

    sessions: FileSessions
    url: str
    limits: DownloadLimits
    random: Random
    on_progress: OnProgress | None = None
    refresh_url: RefreshUrl | None = None
    on_retry: OnRetry | None = None

    async def save(self, path: Path) -> Path:
        """Fetch the file into `path`, which is replaced only by a whole MP4.

        Raises:
            DownloadError: nothing was written to `path`; says why.
            ConfigurationError: the client is closed, or belongs to another loop.
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
                    budget.reset()
                await self._wait_or_give_up(budget, str(error), error.retry_after)

    async def _wait_or_give_up(
        self, budget: _RetryBudget, reason: str, retry_after: float | None
    ) -> None:
        message = f"{validate_url(self.url, allow_private=True)}: {reason}"
        delay = budget.next_delay(retry_after)
        if delay is None:
            attempts = f" after {budget.attempts} tries in a row" if budget.attempts > 1 else ""
            raise DownloadError(f"{message}; gave up{attempts}")
        if self.on_retry:
            self.on_retry(DownloadError(message), delay)
        await asyncio.sleep(delay)

    async def _refresh_url(self, expired: ExpiredLinkError) -> None:
        refresh_url, self.refresh_url = self.refresh_url, None
        try:
            new_url = await refresh_url() if refresh_url else None
        except Mp4GenError as error:
            raise DownloadError(f"{expired}; no new link could be had: {error}") from error
        if not new_url:
            raise expired
        self.url = new_url

    async def _attempt(self, part: PartialFile) -> None:
        if not part.validator:
            # Nobody could say that the rest belongs to the same file.
            part.restart()
        async with open_response(
            self.sessions, self.url, _range_headers(part), self.limits
        ) as response:
            if _begin(response, part):
                await self._write_body(response, part)
        if part.total is not None and part.received < part.total:
            raise RetryableError(f"{part.received} bytes instead of {part.total}")
        if reason := part.validation_error():
            raise _CorruptFileError(reason)

    async def _write_body(self, response: FileResponse, part: PartialFile) -> None:
        max_bytes = self.limits.max_bytes
        if (part.total or 0) > max_bytes:
            raise DownloadError(
                f"the file has {part.total} bytes, more than the {max_bytes} allowed"
            )
        while chunk := await response.read():
            if part.received + len(chunk) > max_bytes:
                raise DownloadError(f"the file has more than the {max_bytes} bytes allowed")
            signature_checked = part.received >= 8
            part.write(chunk)
            if part.received >= 8 and not signature_checked and not part.has_mp4_signature:
                raise _CorruptFileError(
                    f"the host sent {_content_type(response)} instead of an MP4"
                )
            if part.total is not None and part.received > part.total:
                raise _CorruptFileError(f"more than the announced {part.total} bytes")
            if self.on_progress:
                self.on_progress(part.received, part.total)


@attrs.define
class _RetryBudget:
    """How much longer failures are borne: by time those that may pass, by number those that lie."""

    retry: Retry
    random: Random
    corrupt_attempts: int = 0
    attempts: int = 0
    _failing_since: float | None = None
    _delays: Iterator[float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The file has grown: what failed before is forgotten."""
        self.attempts, self._failing_since, self._delays = (
            0,
            None,
            backoff_delays(self.retry, self.random),
        )

    def next_delay(self, retry_after: float | None) -> float | None:
        """Seconds until the next try, at least `retry_after`; None to give up."""
        now = asyncio.get_running_loop().time()
        self.attempts += 1
        self._failing_since = now if self._failing_since is None else self._failing_since
        delay = max(next(self._delays), retry_after or 0.0)
        exhausted = now - self._failing_since + delay > self.retry.timeout
        return None if exhausted or self.corrupt_attempts > _MAX_CORRUPT_ATTEMPTS else delay


def _range_headers(part: PartialFile) -> dict[str, str]:
    if part.validator is None or not part.received:
        return {}
    return {"Range": f"bytes={part.received}-", "If-Range": part.validator}


def _begin(response: FileResponse, part: PartialFile) -> bool:
    """Set `part` up for the bytes to come; False where it is complete already.

    Raises:
        DownloadError: the host does not give the file.
        TryAgainError: not this time.
        _WrongFileError: it gives another file, or an unusable form of it.
    """
    match response.status:
        case 200 | 206 if (encoding := _content_encoding(response)) != "identity":
            raise _CorruptFileError(f"the host packed the file ({encoding}), unasked")
        case 200:
            part.restart()
            part.total = _content_length(response)
            part.validator = _validator(response)
            return True
        case 206 if _is_valid_continuation(response, part):
            return True
        case 416 if part.received and (_total_size(response) or part.total) == part.received:
            part.total = part.received
            return False
        case 206 | 416:
            raise _CorruptFileError("the file changed while it was being fetched")
        case 401 | 403:
            raise ExpiredLinkError(
                f"{response.host} answered {response.status}: the link has expired, or its firewall "
                "turns this machine away"
            )
        case 404 | 410:
            raise ExpiredLinkError(
                f"{response.host} answered {response.status}: the link has expired, or was never right"
            )
        case status if status in _RETRYABLE_STATUSES:
            raise RetryableError(
                f"HTTP {status}", HttpResponse(status, _lowercase_keys(response), b"").retry_after
            )
        case status:
            raise DownloadError(f"{response.host} answered {status} instead of the file")


def _is_valid_continuation(response: FileResponse, part: PartialFile) -> bool:
    """Whether the bytes to come go on exactly where ours end, in the same file."""
    content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if (
        not part.received
        or content_range is None
        or content_range[1] is None
        or int(content_range[1]) != part.received
    ):
        return False
    if _validator(response) not in (None, part.validator):
        return False
    total_size = _total_size(response)
    part.total = part.total or total_size
    return total_size in (None, part.total)


def _total_size(response: FileResponse) -> int | None:
    """The size of the whole file as `Content-Range` tells it."""
    content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return int(content_range[2]) if content_range and content_range[2] != "*" else None


def _content_length(response: FileResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _validator(response: FileResponse) -> str | None:
    """What `If-Range` may name: a strong ETag, else a date that is strong (RFC 9110, 13.1.5).

    A date counts where the answer is at least a second younger, since two versions of one second
    would bear the same.
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


def _lowercase_keys(response: FileResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _content_encoding(response: FileResponse) -> str:
    return _printable(response.headers.get("Content-Encoding", "")).strip().lower() or "identity"


def _content_type(response: FileResponse) -> str:
    return _printable(response.headers.get("Content-Type", "")) or "something"


def _printable(header: str) -> str:
    """The first words of what a stranger wrote, fit for a terminal."""
    return "".join(c for c in header.partition(";")[0][:60] if c.isascii() and c.isprintable())

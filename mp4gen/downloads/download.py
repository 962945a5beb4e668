"""Download one file completely or not at all: resume, check, then rename it to its target.

It knows neither the API nor its key.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import Random
from typing import Final

import attrs

from mp4gen.api.responses import HttpResponse
from mp4gen.errors import DownloadError, Mp4GenError

from .fetch import DownloadLimits, FileResponse, FileSessions, open_response
from .links import validate_url
from .partial_file import PartialFile, ResumableFile
from .retry_budget import (
    CorruptFileError,
    HostDownError,
    NotThereYetError,
    RetryableError,
    RetryBudget,
)

OnProgress = Callable[[int, int | None], Awaitable[object] | object]
RefreshUrl = Callable[[], Awaitable[str | None]]
OnRetry = Callable[[DownloadError, float], object]

# Seconds for which the file of a new link may be missing before a newer link is looked up.
_REFRESH_AFTER: Final = 10.0
# A host that cuts thousands of files must not use up the descriptors of the program.
_MAX_KEPT_FILES: Final = 64
# Those of 500 and more are the codes of gateways (nginx, Cloudflare) for a host behind them.
_RETRYABLE_STATUSES: Final = frozenset(
    {202, 408, 423, 425, 429, 500, 502, 503, 504, 507, 509, *range(520, 531), 598, 599}
)
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)")


class ExpiredLinkError(DownloadError):
    """The host does not have the file under this link; a newer link may work."""


@attrs.define
class Download:
    """The download of one file.

    Attributes:
        sessions: The connections to file hosts.
        url: The http(s) URL of the file.
        limits: What the download may do.
        random: The jitter of the delays between attempts.
        on_progress: Plain or async function, called with the bytes received and the total (None
            if unknown). An exception aborts the download.
        refresh_url: Returns one fresh link, or None, after the first link has expired.
        on_retry: Called with the reason of a failed attempt and the seconds until the next.
        new_until: The time until which the host may not have the file yet; None if it must.
        replace: Whether to replace a file at the path.
    """

    sessions: FileSessions
    url: str
    limits: DownloadLimits
    random: Random
    on_progress: OnProgress | None = None
    refresh_url: RefreshUrl | None = None
    on_retry: OnRetry | None = None
    new_until: datetime | None = None
    replace: bool = True

    async def save(self, path: Path) -> Path:
        """Fetch the file into `path`, which is replaced only by a complete MP4.

        Raises:
            TargetTakenError: Another download has the same path, or has written it.
            DownloadError: The file could not be fetched; `path` stays as it was.
            ConfigurationError: The client is closed, or belongs to another loop.
        """
        validate_url(self.url, allow_private=self.limits.allow_private)
        with ResumableFile(path, replace=self.replace) as file:
            # Refuse an impossible target before a byte is fetched, but do not keep it open: many
            # downloads may wait for a host.
            file.open()
            file.close()
            try:
                async with self.sessions.opened():
                    await self._download(file)
            finally:
                self.sessions.kept_files.discard(file)
            await file.open().commit()
        return path

    async def _download(self, file: ResumableFile) -> None:
        budget = RetryBudget(self.limits.retry, self.random)
        while True:
            try:
                return await self._attempt(file, budget)
            except ExpiredLinkError as error:
                if not await self._refresh_url(error):
                    raise
            except HostDownError as error:
                is_missing = isinstance(error.__cause__, NotThereYetError)
                if is_missing and await self._refresh_url(None):
                    budget = RetryBudget(self.limits.retry, self.random)
                    continue
                state = "" if is_missing else ", which is down"
                raise DownloadError(
                    f"{self._failure()}{state}: {error} Download again later."
                ) from None
            except RetryableError as error:
                await self._wait_or_give_up(file, budget, error)

    async def _wait_or_give_up(
        self, file: ResumableFile, budget: RetryBudget, error: RetryableError
    ) -> None:
        budget.add_failure(error, file.received)
        if isinstance(error, CorruptFileError):
            file.restart()
        self._keep_or_close(file)
        delay = budget.next_delay(error)
        missing_long = delay is None or budget.elapsed >= _REFRESH_AFTER
        if isinstance(error, NotThereYetError) and missing_long and await self._refresh_url(None):
            return
        message = f"{self._failure()}: {error}"
        if delay is None:
            attempts = f" after {budget.attempts} attempts in a row" if budget.attempts > 1 else ""
            raise DownloadError(f"{message} Gave up{attempts}. Download again later.")
        if self.on_retry:
            self.on_retry(DownloadError(message), delay)
        await asyncio.sleep(delay)

    def _keep_or_close(self, file: ResumableFile) -> None:
        """Keep a file that the next attempt can continue, unless too many are open."""
        kept = self.sessions.kept_files
        if file.received and file.validator and len(kept) < _MAX_KEPT_FILES:
            kept.add(file)
        else:
            file.close()

    def _failure(self) -> str:
        return f"Cannot download from {validate_url(self.url, allow_private=True)}"

    async def _refresh_url(self, expired: ExpiredLinkError | None) -> bool:
        """Take the fresh link, once; return whether there is one."""
        refresh_url, self.refresh_url = self.refresh_url, None
        try:
            new_url = await refresh_url() if refresh_url else None
        except Mp4GenError as error:
            if expired is None:
                return False
            raise DownloadError(f"{expired} No new link was found: {error}") from error
        self.url = new_url or self.url
        return bool(new_url)

    async def _attempt(self, file: ResumableFile, budget: RetryBudget) -> None:
        headers = {}
        if file.received:
            headers = {"Range": f"bytes={file.received}-", "If-Range": file.validator}
        async with open_response(self.sessions, self.url, headers, self.limits, budget) as response:
            self.sessions.kept_files.discard(file)
            part = file.open()
            if _begin(response, part, self.new_until):
                await self._write_body(response, part)
            if part.total is not None and part.received < part.total:
                raise RetryableError(f"Received {part.received} bytes instead of {part.total}.")
            if reason := part.validation_error():
                raise CorruptFileError(reason)

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
                raise CorruptFileError(_describe_wrong_file(response))
            if part.total is not None and part.received > part.total:
                raise CorruptFileError(f"Received more than the announced {part.total} bytes.")
            if self.on_progress:
                result = self.on_progress(part.received, part.total)
                if inspect.isawaitable(result):
                    await result


def _begin(response: FileResponse, part: PartialFile, new_until: datetime | None) -> bool:
    """Prepare `part` for the body of `response`; return False if `part` is complete already.

    Raises:
        DownloadError: The host refuses the file.
        RetryableError: The host refuses it for now, or sends another file.
    """
    match response.status:
        case 200:
            _restart(response, part)
            return True
        case 206 if not part.received and _is_whole_range(response):
            _restart(response, part)
            return True
        case 206 if _is_valid_continuation(response, part):
            return True
        case 416 if part.received and part.received == (_content_range(response)[2] or part.total):
            part.total = part.received
            return False
        case 206 | 416:
            raise CorruptFileError("The file changed during the download.")
        case 403 | 404 if not part.received and _may_be_new(response, new_until):
            raise NotThereYetError(
                f"The file is not there yet: {response.host} answered {response.status}."
            )
        case 401 | 403 | 404 | 410:
            raise ExpiredLinkError(
                f"The link has expired or is wrong, or a firewall refuses it: {response.host} "
                f"answered {response.status}. Get a new link."
            )
        case status if status in _RETRYABLE_STATUSES:
            raise RetryableError(
                f"The host answered {status}.", _without_body(response).retry_after
            )
        case status:
            raise DownloadError(f"The host refused the file: {response.host} answered {status}.")


def _may_be_new(response: FileResponse, new_until: datetime | None) -> bool:
    """Return whether the file may not be there yet, by the host's clock: ours may be wrong."""
    return new_until is not None and (_without_body(response).date or datetime.now(UTC)) < new_until


def _without_body(response: FileResponse) -> HttpResponse:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return HttpResponse(response.status, headers, b"")


def _restart(response: FileResponse, part: PartialFile) -> None:
    """Prepare `part` for the whole file."""
    part.restart()
    length = response.headers.get("Content-Length", "")
    part.total = int(length) if length.isdecimal() else None
    part.validator = _validator(response)


def _is_whole_range(response: FileResponse) -> bool:
    """Return whether a range is the whole file, or as far as the host knows."""
    start, end, total = _content_range(response)
    return start == 0 and end is not None and total in (None, end + 1)


def _is_valid_continuation(response: FileResponse, part: PartialFile) -> bool:
    """Return whether the body continues at the end of `part`, and of the same file."""
    start, _, total = _content_range(response)
    if not part.received or start != part.received:
        return False
    if _validator(response) not in (None, part.validator):
        return False
    part.total = part.total or total
    return total in (None, part.total)


def _content_range(response: FileResponse) -> tuple[int | None, int | None, int | None]:
    """Return the first byte, the last byte and the size of `Content-Range`, None if unknown."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    start, end, total = (
        int(text) if text and text != "*" else None
        for text in (found.groups() if found else (None, None, None))
    )
    return start, end, total


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


def _describe_wrong_file(response: FileResponse) -> str:
    # Only here: some hosts name an encoding that means nothing, or that the file does not have.
    encoding = _first_value(response, "Content-Encoding").strip().lower()
    if encoding not in ("", "identity"):
        return f"The host sent the file in an encoding: {encoding}."
    content_type = _first_value(response, "Content-Type") or "an unknown format"
    return f"The host sent {content_type} instead of an MP4."


def _first_value(response: FileResponse, name: str) -> str:
    """Return the start of a header, safe to print on a terminal."""
    text = response.headers.get(name, "").partition(";")[0][:60]
    return "".join(c for c in text if c.isascii() and c.isprintable())

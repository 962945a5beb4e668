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

from .fetch import FileAnswer, FileSessions, Rules, TryAgainError, checked_host, opened
from .partial_file import PartFile, part_file

Progress = Callable[[int, int | None], object]
Renew = Callable[[], Awaitable[str | None]]
OnRetry = Callable[[DownloadError, float], object]

_MAX_WRONG: Final = 3
# A try that brought this much is no reason to lose heart, however it ended.
_WORTHWHILE: Final = 1 << 16
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d{1,19})-\d{1,19}|\*)/(\d{1,19}|\*)")


class ExpiredLinkError(DownloadError):
    """The host does not have the file under this link (any more); a newer link may work."""


class _WrongFileError(Exception):
    """The host sent something else than the file; all of it is of no use."""


@attrs.define
class Download:
    """One file on its way.

    Attributes:
        sessions: the connections to file hosts.
        url: where it is; http or https.
        rules: what is allowed.
        random: jitter of the waits between tries.
        on_progress: told the bytes so far and the bytes in all, or None where unknown; what it
            raises ends the download.
        renew: gives one fresh link, or None, when the first has expired.
        on_retry: told why a try failed, and the seconds until the next.
    """

    sessions: FileSessions
    url: str
    rules: Rules
    random: Random
    on_progress: Progress | None = None
    renew: Renew | None = None
    on_retry: OnRetry | None = None

    async def to(self, path: Path) -> Path:
        """Fetch the file into `path`, which is replaced only by a whole MP4.

        Raises:
            DownloadError: nothing was written to `path`; says why.
            ConfigurationError: the client is closed, or belongs to another loop.
        """
        checked_host(self.url, private=self.rules.private)
        with part_file(path) as part:
            async with self.sessions.in_use():
                await self._fill(part)
            await part.commit()
        return path

    async def _fill(self, part: PartFile) -> None:
        patience = _Patience(self.rules.retry, self.random)
        while True:
            before = part.done
            try:
                return await self._try(part)
            except ExpiredLinkError as error:
                await self._renew(error)
            except _WrongFileError as error:
                part.restart()
                patience.wrong += 1
                await self._pause(patience, str(error), None)
            except TryAgainError as error:
                if part.done - before >= _WORTHWHILE:
                    patience.regain()
                await self._pause(patience, str(error), error.after)

    async def _pause(self, patience: _Patience, problem: str, after: float | None) -> None:
        failed = f"{checked_host(self.url, private=True)}: {problem}"
        seconds = patience.pause(after)
        if seconds is None:
            tries = f" after {patience.tries} tries in a row" if patience.tries > 1 else ""
            raise DownloadError(f"{failed}; gave up{tries}")
        if self.on_retry:
            self.on_retry(DownloadError(failed), seconds)
        await asyncio.sleep(seconds)

    async def _renew(self, expired: ExpiredLinkError) -> None:
        renew, self.renew = self.renew, None
        try:
            fresh = await renew() if renew else None
        except Mp4GenError as error:
            raise DownloadError(f"{expired}; no new link could be had: {error}") from error
        if not fresh:
            raise expired
        self.url = fresh

    async def _try(self, part: PartFile) -> None:
        if not part.validator:
            # Nobody could say that the rest belongs to the same file.
            part.restart()
        async with opened(self.sessions, self.url, _range(part), self.rules) as answer:
            if _accept(answer, part):
                await self._receive(answer, part)
        if part.total is not None and part.done < part.total:
            raise TryAgainError(f"{part.done} bytes instead of {part.total}")
        if problem := part.problem():
            raise _WrongFileError(problem)

    async def _receive(self, answer: FileAnswer, part: PartFile) -> None:
        most = self.rules.max_bytes
        if (part.total or 0) > most:
            raise DownloadError(f"the file has {part.total} bytes, more than the {most} allowed")
        while chunk := await answer.read():
            if part.done + len(chunk) > most:
                raise DownloadError(f"the file has more than the {most} bytes allowed")
            known = part.done >= 8
            part.write(chunk)
            if part.done >= 8 and not known and not part.begins_as_mp4:
                raise _WrongFileError(f"the host sent {_kind(answer)} instead of an MP4")
            if part.total is not None and part.done > part.total:
                raise _WrongFileError(f"more than the announced {part.total} bytes")
            if self.on_progress:
                self.on_progress(part.done, part.total)


@attrs.define
class _Patience:
    """How much longer failures are borne: by time those that may pass, by number those that lie."""

    retry: Retry
    random: Random
    wrong: int = 0
    tries: int = 0
    _since: float | None = None
    _waits: Iterator[float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.regain()

    def regain(self) -> None:
        """The file has grown: what failed before is forgotten."""
        self.tries, self._since, self._waits = 0, None, backoff_delays(self.retry, self.random)

    def pause(self, after: float | None) -> float | None:
        """Seconds until the next try, at least `after`; None to give up."""
        now = asyncio.get_running_loop().time()
        self.tries += 1
        self._since = now if self._since is None else self._since
        seconds = max(next(self._waits), after or 0.0)
        late = now - self._since + seconds > self.retry.timeout
        return None if late or self.wrong > _MAX_WRONG else seconds


def _range(part: PartFile) -> dict[str, str]:
    if part.validator is None or not part.done:
        return {}
    return {"Range": f"bytes={part.done}-", "If-Range": part.validator}


def _accept(answer: FileAnswer, part: PartFile) -> bool:
    """Set `part` up for the bytes to come; False where it is complete already.

    Raises:
        DownloadError: the host does not give the file.
        TryAgainError: not this time.
        _WrongFileError: it gives another file, or an unusable form of it.
    """
    match answer.status:
        case 200 | 206 if (coding := _coding(answer)) != "identity":
            raise _WrongFileError(f"the host packed the file ({coding}), unasked")
        case 200:
            part.restart()
            part.total = _length(answer)
            part.validator = _validator(answer)
            return True
        case 206 if _continues(answer, part):
            return True
        case 416 if part.done and (_size(answer) or part.total) == part.done:
            part.total = part.done
            return False
        case 206 | 416:
            raise _WrongFileError("the file changed while it was being fetched")
        case 401 | 403:
            raise ExpiredLinkError(
                f"{answer.host} answered {answer.status}: the link has expired, or its firewall "
                "turns this machine away"
            )
        case 404 | 410:
            raise ExpiredLinkError(
                f"{answer.host} answered {answer.status}: the link has expired, or was never right"
            )
        case status if status in _PASSING:
            raise TryAgainError(
                f"HTTP {status}", HttpResponse(status, _lower(answer), b"").retry_after
            )
        case status:
            raise DownloadError(f"{answer.host} answered {status} instead of the file")


def _continues(answer: FileAnswer, part: PartFile) -> bool:
    """Whether the bytes to come go on exactly where ours end, in the same file."""
    span = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if not part.done or span is None or span[1] is None or int(span[1]) != part.done:
        return False
    if _validator(answer) not in (None, part.validator):
        return False
    size = _size(answer)
    part.total = part.total or size
    return size in (None, part.total)


def _size(answer: FileAnswer) -> int | None:
    """The size of the whole file as `Content-Range` tells it."""
    span = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    return int(span[2]) if span and span[2] != "*" else None


def _length(answer: FileAnswer) -> int | None:
    text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _validator(answer: FileAnswer) -> str | None:
    """What `If-Range` may name: a strong ETag, else a date that is strong (RFC 9110, 13.1.5).

    A date counts where the answer is at least a second younger, since two versions of one second
    would bear the same.
    """
    etag = answer.headers.get("ETag")
    if etag is not None:
        return etag if etag.startswith('"') and etag.isascii() and etag.isprintable() else None
    changed, now = (answer.headers.get(name, "") for name in ("Last-Modified", "Date"))
    try:
        age = parsedate_to_datetime(now) - parsedate_to_datetime(changed)
    except (ValueError, TypeError):
        return None
    return changed if age.total_seconds() >= 1 else None


def _lower(answer: FileAnswer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _coding(answer: FileAnswer) -> str:
    return _shown(answer.headers.get("Content-Encoding", "")).strip().lower() or "identity"


def _kind(answer: FileAnswer) -> str:
    return _shown(answer.headers.get("Content-Type", "")) or "something"


def _shown(header: str) -> str:
    """The first words of what a stranger wrote, fit for a terminal."""
    return "".join(c for c in header.partition(";")[0][:60] if c.isascii() and c.isprintable())

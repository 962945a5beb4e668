"""A client's downloads: where a file goes, whence it may come, what to do when its link is dead."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from mp4gen.addresses import is_public
from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.events import DownloadProgressEvent, RetryEvent
from mp4gen.models import Video
from mp4gen.transport.caller import ApiCaller, CallOptions
from mp4gen.transport.sleeper import client_closed_error

from .download import Download, OnProgress
from .fetch import DownloadLimits, FileSessions
from .filenames import filename_from_url, safe_stem

_MAX_CONCURRENT = 8


class Downloader:
    """Fetches finished videos for one client, a few at a time, over a session without its key.

    Args:
        caller: the client's calls, for looking up an expired link.
        dialect: the host's way of speaking.
        base_url: the API's address; only where it is private may its files be.
        call_options: how such a look-up waits.
        proxy: an http:// proxy, or None.
        trust_env: whether proxies are read from the environment.
    """

    def __init__(
        self,
        caller: ApiCaller,
        dialect: Dialect,
        base_url: str,
        *,
        call_options: CallOptions,
        proxy: str | None,
        trust_env: bool,
    ) -> None:
        self._caller = caller
        self._dialect = dialect
        self._base_url = base_url
        self._call_options = call_options
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        self._sessions = FileSessions(proxy=proxy, trust_env=trust_env)
        self._api_is_private: bool | None = None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._sessions.aclose()

    async def download(
        self, video_or_url: Video | str, to: str | os.PathLike[str], on_progress: OnProgress | None
    ) -> Path:
        """Fetch one video, as `Client.download` describes it.

        Raises:
            DownloadError: nothing was written.
        """
        url = video_or_url.url if isinstance(video_or_url, Video) else video_or_url
        path = _target_path(video_or_url, to)
        if self._caller.closed:
            raise client_closed_error()
        events = self._caller.events
        async with self._slots:
            return await Download(
                self._sessions,
                url,
                DownloadLimits(
                    allow_private=await self._allows_private(), retry=self._caller.retry
                ),
                self._caller.random,
                partial(self._report_progress, str(path), on_progress),
                partial(self._refresh_url, video_or_url),
                lambda error, wait: events.emit(RetryEvent(str(path), error, wait)),
            ).save(path)

    async def _refresh_url(self, video_or_url: Video | str) -> str | None:
        """A fresh link: what the record says now, else what the host makes of the old one."""
        url = video_or_url.url if isinstance(video_or_url, Video) else video_or_url
        if isinstance(video_or_url, Video):
            details_request = protocol.build_details_request(video_or_url.task_id, self._dialect)
            parse_details = partial(
                protocol.parse_details, dialect=self._dialect, task_id=video_or_url.task_id
            )
            details = await self._caller.send_with_retries(
                details_request, parse_details, self._call_options
            )
            if details.video_url not in (None, url):
                return details.video_url
        api_request = protocol.build_download_url_request(url, self._dialect)
        if api_request is None:
            return None
        parse = partial(protocol.parse_download_url, dialect=self._dialect)
        return await self._caller.send_with_retries(api_request, parse, self._call_options)

    def _report_progress(
        self,
        path: str,
        on_progress: Callable[[int, int | None], object] | None,
        received: int,
        total: int | None,
    ) -> None:
        self._caller.events.emit(DownloadProgressEvent(path, received, total))
        if on_progress is not None:
            on_progress(received, total)

    async def _allows_private(self) -> bool:
        """Whether the API itself is on a private address; only then may its files be."""
        if self._api_is_private is None:
            host = urlsplit(self._base_url).hostname or ""
            public = is_public(host)
            self._api_is_private = await _resolves_privately(host) if public is None else not public
        return bool(self._api_is_private)


def _target_path(video_or_url: Video | str, to: str | os.PathLike[str]) -> Path:
    path = Path(to)
    if not path.is_dir() and not os.fspath(to).endswith(os.sep):
        return path
    if isinstance(video_or_url, str):
        return path / filename_from_url(video_or_url)
    return path / f"{safe_stem(video_or_url.audio_id or video_or_url.task_id)}.mp4"


async def _resolves_privately(host: str) -> bool | None:
    """Whether DNS gives a private address for `host`; None where it gives nothing just now."""
    try:
        resolved = await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return None
    return any(not is_public(str(address[0])) for *_, address in resolved)

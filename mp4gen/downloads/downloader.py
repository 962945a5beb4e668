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

from .download import Download, Progress
from .fetch import FileSessions, Rules
from .filenames import name_in_url, safe_stem

_AT_ONCE = 8


class Files:
    """Fetches finished videos for one client, a few at a time, over a session without its key.

    Args:
        calls: the client's calls, for looking up an expired link.
        dialect: the host's way of speaking.
        base_url: the API's address; only where it is private may its files be.
        patience: how such a look-up waits.
        proxy: an http:// proxy, or None.
        trust_env: whether proxies are read from the environment.
    """

    def __init__(
        self,
        calls: ApiCaller,
        dialect: Dialect,
        base_url: str,
        *,
        patience: CallOptions,
        proxy: str | None,
        trust_env: bool,
    ) -> None:
        self._calls = calls
        self._dialect = dialect
        self._base_url = base_url
        self._patience = patience
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._sessions = FileSessions(proxy=proxy, trust_env=trust_env)
        self._private: bool | None = None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._sessions.aclose()

    async def fetch(
        self, video_or_url: Video | str, to: str | os.PathLike[str], hook: Progress | None
    ) -> Path:
        """Fetch one video, as `Client.download` describes it.

        Raises:
            DownloadError: nothing was written.
        """
        url = video_or_url.url if isinstance(video_or_url, Video) else video_or_url
        path = _target(video_or_url, to)
        if self._calls.closed:
            raise client_closed_error()
        observers = self._calls.events
        async with self._places:
            return await Download(
                self._sessions,
                url,
                Rules(private=await self._may_be_private(), retry=self._calls.retry),
                self._calls.random,
                partial(self._progress, str(path), hook),
                partial(self._renewed, video_or_url),
                lambda error, wait: observers.emit(RetryEvent(str(path), error, wait)),
            ).to(path)

    async def _renewed(self, of: Video | str) -> str | None:
        """A fresh link: what the record says now, else what the host makes of the old one."""
        url = of.url if isinstance(of, Video) else of
        if isinstance(of, Video):
            look = protocol.build_details_request(of.task_id, self._dialect)
            see = partial(protocol.parse_details, dialect=self._dialect, task_id=of.task_id)
            details = await self._calls.send_with_retries(look, see, self._patience)
            if details.video_url not in (None, url):
                return details.video_url
        call = protocol.build_download_url_request(url, self._dialect)
        if call is None:
            return None
        read = partial(protocol.parse_download_url, dialect=self._dialect)
        return await self._calls.send_with_retries(call, read, self._patience)

    def _progress(
        self,
        path: str,
        hook: Callable[[int, int | None], object] | None,
        done: int,
        total: int | None,
    ) -> None:
        self._calls.events.emit(DownloadProgressEvent(path, done, total))
        if hook is not None:
            hook(done, total)

    async def _may_be_private(self) -> bool:
        """Whether the API itself is on a private address; only then may its files be."""
        if self._private is None:
            host = urlsplit(self._base_url).hostname or ""
            public = is_public(host)
            self._private = await _resolves_privately(host) if public is None else not public
        return bool(self._private)


def _target(video_or_url: Video | str, to: str | os.PathLike[str]) -> Path:
    path = Path(to)
    if not path.is_dir() and not os.fspath(to).endswith(os.sep):
        return path
    if isinstance(video_or_url, str):
        return path / name_in_url(video_or_url)
    return path / f"{safe_stem(video_or_url.audio_id or video_or_url.task_id)}.mp4"


async def _resolves_privately(host: str) -> bool | None:
    """Whether DNS gives a private address for `host`; None where it gives nothing just now."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return None
    return any(not is_public(str(address[0])) for *_, address in found)

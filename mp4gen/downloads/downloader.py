"""Download the videos of one client, and refresh expired links; writes no file itself."""

import asyncio
import os
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mp4gen.addresses import is_public
from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.events import DownloadProgressEvent, RetryEvent
from mp4gen.models import Video
from mp4gen.transport.caller import ApiCaller, CallOptions
from mp4gen.transport.network import Network
from mp4gen.transport.sleeper import client_closed_error

from .download import Download, OnProgress
from .fetch import DownloadLimits, FileSessions
from .target_path import resolve_links, target_path

# A host can get a file minutes after the API has reported it.
_NEW_LINK: Final = timedelta(minutes=10)


class Downloader:
    """Fetches finished videos over sessions without the API key.

    Args:
        caller: The client's API calls, to refresh an expired link.
        dialect: The dialect of the API.
        base_url: The URL of the API. If it is private, files on private addresses are allowed.
        call_options: How the calls that refresh a link wait.
        network: The proxy and the TLS settings.
    """

    def __init__(
        self,
        caller: ApiCaller,
        dialect: Dialect,
        base_url: str,
        call_options: CallOptions,
        network: Network,
    ) -> None:
        self._caller = caller
        self._dialect = dialect
        self._base_url = base_url
        self._call_options = call_options
        self._sessions = FileSessions(network)
        self._api_is_private: bool | None = None

    @property
    def has_sent(self) -> bool:
        """Whether a file host has answered a request."""
        return self._sessions.has_sent

    async def aclose(self) -> None:
        """Close all connections."""
        await self._sessions.aclose()

    async def download(
        self,
        video_or_url: Video | str,
        to: str | os.PathLike[str],
        on_progress: OnProgress | None = None,
        call_options: CallOptions | None = None,
        *,
        replace: bool = True,
    ) -> Path:
        """Fetch one video, as `Client.download` describes it.

        Args:
            video_or_url: The video, or its URL.
            to: The file or folder.
            on_progress: Called with the bytes received and the total.
            call_options: Priority of the download, and how calls that refresh its link wait; by
                default those of single calls.
            replace: Whether to replace a file at that path.

        Raises:
            TargetTakenError: Another download has the same file, or has written it.
            DownloadError: The video could not be fetched.
        """
        url = video_or_url.url if isinstance(video_or_url, Video) else video_or_url
        if self._caller.closed:
            raise client_closed_error()
        path = target_path(video_or_url, to)
        events, options = self._caller.events, call_options or self._call_options
        limits = DownloadLimits(
            allow_private=await self._allows_private(),
            retry=self._caller.retry,
            priority=options.priority,
        )
        await Download(
            self._sessions,
            url,
            limits,
            self._caller.random,
            partial(self._report_progress, str(path), on_progress),
            partial(self._refresh_url, video_or_url, options),
            lambda error, wait: events.emit(RetryEvent(str(path), error, wait)),
            _new_until(video_or_url),
            replace,
        ).save(resolve_links(path))
        return path

    async def _refresh_url(self, video_or_url: Video | str, options: CallOptions) -> str | None:
        """Return a new link: from the task's details, else from "Get Download URL"."""
        send, dialect = self._caller.send_with_retries, self._dialect
        url = video_or_url.url if isinstance(video_or_url, Video) else video_or_url
        if isinstance(video_or_url, Video):
            task_id = video_or_url.task_id
            parse = partial(protocol.parse_details, dialect=dialect, task_id=task_id)
            details = await send(protocol.build_details_request(task_id, dialect), parse, options)
            if details.video_url not in (None, url):
                return details.video_url
        request = protocol.build_download_url_request(url, dialect)
        if request is None:
            return None
        return await send(request, partial(protocol.parse_download_url, dialect=dialect), options)

    def _report_progress(
        self, path: str, on_progress: OnProgress | None, received: int, total: int | None
    ) -> Awaitable[object] | object:
        self._caller.events.emit(DownloadProgressEvent(path, received, total))
        return None if on_progress is None else on_progress(received, total)

    async def _allows_private(self) -> bool:
        """Return whether the API is on a private address, so that its files may be, too."""
        if self._api_is_private is None:
            host = urlsplit(self._base_url).hostname or ""
            public = is_public(host)
            self._api_is_private = await _resolves_privately(host) if public is None else not public
        return bool(self._api_is_private)


def _new_until(video_or_url: Video | str) -> datetime | None:
    """Return until when the host may not have the file yet; always, if its age is unknown."""
    if isinstance(video_or_url, str):
        return None
    completed_at = video_or_url.completed_at or video_or_url.created_at
    try:
        return completed_at + _NEW_LINK if completed_at else datetime.max.replace(tzinfo=UTC)
    except OverflowError:
        return completed_at


async def _resolves_privately(host: str) -> bool | None:
    """Return whether `host` resolves to a private address; None if it does not resolve now."""
    try:
        resolved = await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return None
    return any(not is_public(str(address[0])) for *_, address in resolved)

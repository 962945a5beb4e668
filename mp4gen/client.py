"""The client: joins API calls, conversions, bulk runs and downloads; does none of their work."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from ssl import SSLContext
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit
from weakref import WeakSet

from .api.dialects import Dialect
from .calls.single_calls import SingleCalls
from .conversion.resubmit_policy import OnUncertainSubmit, ResubmitPolicy
from .conversion.service import DEFAULT_POLLING, ConversionService
from .events import OnEvent
from .models import Track, Video, VideoRequest, to_video_request
from .options import Polling, RateLimit, Retry
from .secret import Secret
from .settings.account import (
    KeySource,
    forget_client,
    is_in_use,
    resolve_api_key,
    resolve_base_url,
    warn_about_duplicate_client,
)
from .settings.arguments import checked
from .transport.caller import ApiCaller, CallOptions
from .transport.cleanup import run_clean_up
from .transport.event_emitter import EventEmitter
from .transport.http import Transport
from .transport.network import Network
from .transport.proxies import resolve_proxy
from .transport.rate_limit import RateLimiter

if TYPE_CHECKING:
    from .bulk.request_source import VideoRequests
    from .bulk.run import ConversionRun
    from .conversion.callbacks import CallbackReceiver
    from .downloads.downloader import Downloader

OnSubmitted = Callable[[str], Awaitable[object] | object]


class Client(SingleCalls):
    """A client of the "Create Music Video" API, for one event loop and any number of tasks.

    Create one and share it, because it keeps the account's rate limit for all its users. It can be
    made before the loop runs; the first call opens its connections and `aclose` closes them.

    Args:
        api_key: The key, or a callable that returns the current one; default `MP4GEN_API_KEY`.
            A server on this machine needs none.
        base_url: URL of the API; default `MP4GEN_BASE_URL`, else https://api.api.box.
        dialect: What differs between hosts; by default it follows from the host name.
        rate_limit: Calls in a window (a number: in 10 s), or a `RateLimiter` to share.
        concurrency: Maximum conversions between their submit and their end. Bulk runs have as many
            slots of their own, so that they never delay a single conversion.
        polling: When to poll a task; with callbacks, by default every minute, and every five
            minutes once one has arrived.
        retry: How long to retry after temporary failures; a number is `Retry.timeout`.
        callbacks: Receives the API's callbacks.
        on_uncertain_submit: "resubmit" or "raise" if the response to a submit was lost; default
            "resubmit" if the dialect or the host itself says that it rejects duplicates.
        proxy: URL of an http:// proxy for all calls and downloads.
        trust_env: Whether to use the proxies of the environment, as curl does.
        ssl_context: The TLS settings of all calls and downloads.
        allow_http: Whether the key and the videos may travel unencrypted in a private network.
        on_event: Plain or async function, called with each `Event` in order. A plain one must not
            block; an async one is awaited beside the calls, which it does not delay.

    Raises:
        ConfigurationError: A setting is invalid.
    """

    def __init__(
        self,
        api_key: KeySource | None = None,
        *,
        base_url: str | None = None,
        dialect: Dialect | Literal["suno", "kie"] | None = None,
        rate_limit: RateLimit | RateLimiter | int = RateLimit(20, per=10.0),
        concurrency: int = 300,
        polling: Polling = DEFAULT_POLLING,
        retry: Retry | float = Retry(),
        callbacks: CallbackReceiver | None = None,
        on_uncertain_submit: OnUncertainSubmit | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        ssl_context: SSLContext | None = None,
        allow_http: bool = False,
        on_event: OnEvent | None = None,
    ) -> None:
        # First: a traceback that shows the variables of this frame must not show the secrets.
        key_source = api_key if callable(api_key) else api_key and Secret(api_key)
        proxy_url = proxy and Secret(proxy)
        del api_key, proxy
        allow_http = checked("allow_http", allow_http)
        self.base_url = resolve_base_url(checked("base_url", base_url))
        key = resolve_api_key(key_source, self.base_url, allow_http=allow_http)
        account = (urlsplit(self.base_url).netloc, key_source if callable(key_source) else key())
        self.dialect: Dialect = checked("dialect", dialect) or Dialect.for_url(self.base_url)
        self.random = Random()  # noqa: S311 - jitter, not a secret
        self._limiter: RateLimiter = checked("rate_limit", rate_limit)
        settings = checked("trust_env", trust_env), checked("ssl_context", ssl_context)
        self._network = Network(resolve_proxy(proxy_url), *settings)
        transport = Transport(self.base_url, key, self._network)
        self._events = EventEmitter(checked("on_event", on_event))
        limits: Retry = checked("retry", retry)
        self._caller = ApiCaller(
            transport, self._limiter, limits, self._events, self.random, dialect=self.dialect
        )
        self._call_options = CallOptions.for_single_calls(limits)
        on_uncertain_submit = checked("on_uncertain_submit", on_uncertain_submit)
        self._conversions = ConversionService(
            self.base_url,
            self._caller,
            self.dialect,
            checked("polling", polling),
            ResubmitPolicy(self._caller, self.dialect, on_uncertain_submit),
            checked("concurrency", concurrency),
            checked("callbacks", callbacks),
        )
        self._runs: WeakSet[ConversionRun] = WeakSet()
        self._downloader: Downloader | None = None
        warn_about_duplicate_client(self, account, self._limiter)

    def __repr__(self) -> str:
        # An error reporter may show a client whose `__init__` failed halfway.
        name = getattr(getattr(self, "dialect", None), "name", None)
        return f"<mp4gen.Client {getattr(self, 'base_url', '')} ({name})>"

    @property
    def rejects_duplicates(self) -> bool:
        """Whether the dialect, or the host itself, says that it rejects a second submit."""
        return self._conversions.resubmit_policy.rejects_duplicates

    @property
    def has_sent(self) -> bool:
        """Whether a finished call may have reached the API, or a download its host."""
        downloader = self._downloader
        return self._caller.has_sent or (downloader is not None and downloader.has_sent)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections, also if cancelled; calls in progress and later calls fail."""
        forget_client(self)
        await run_clean_up(self._close())

    async def _close(self) -> None:
        try:
            for run in tuple(self._runs):
                await run.aclose()
        finally:
            await self._caller.aclose()
            if self._downloader is not None:
                await self._downloader.aclose()
            await self._events.aclose()
            close_limiter = getattr(self._limiter, "aclose", None)
            if close_limiter is not None and not is_in_use(self._limiter):
                await close_limiter()

    async def wait_for_video(self, task_id: str, *, timeout: float = 1800.0) -> Video:
        """Poll with exponential backoff until a video task has its single MP4 URL.

        Args:
            task_id: Id from `create_music_video`, now or before a restart.
            timeout: Maximum seconds; waiting for the rate limit does not count.

        Raises:
            GenerationFailedError: The API gave up on the task.
            NotFoundError: The API does not know the task.
            WaitTimeoutError: The task is not finished; call again with the same id.
            AuthenticationError: The key was refused.
        """
        task_id, timeout = checked("task_id", task_id), checked("timeout", timeout)
        submission = self._conversions.submissions.get(task_id)
        return await self._conversions.wait(
            task_id, self._call_options, timeout, submission, self._conversions.submissions
        )

    async def convert(
        self,
        request: VideoRequest | Track,
        *,
        timeout: float = 1800.0,
        on_submitted: OnSubmitted | None = None,
    ) -> Video:
        """Submit one track and wait for its video; an existing video is adopted.

        Args:
            request: The track, and the text on its video; a `Track` for a video without text.
            timeout: Maximum seconds after the submit was accepted.
            on_submitted: Plain or async function, called with the task id before the first poll.

        Returns:
            The video. If `video.adopted`, it may show the author and watermark of an earlier
            request.

        Raises:
            Mp4GenError: As `create_music_video` and `wait_for_video`.
        """
        request, timeout = checked("request", request), checked("timeout", timeout)
        checked("on_submitted", on_submitted)
        async with self._conversions.slots:
            submission = await self._conversions.submit(
                to_video_request(request), self._call_options, adopt=True, callback_timeout=timeout
            )
            if on_submitted is not None:
                await _call_hook(on_submitted, submission.task_id)
            return await self._conversions.wait(
                submission.task_id,
                self._call_options,
                timeout,
                submission,
                self._conversions.submissions,
            )

    def convert_many(
        self,
        requests: VideoRequests,
        *,
        ledger: str | os.PathLike[str] | None = None,
        download_to: str | os.PathLike[str] | None = None,
        retry_failed: bool = False,
        timeout: float = 1800.0,
        name: Callable[[VideoRequest], str] | None = None,
    ) -> ConversionRun:
        """Convert many tracks at the rate limit of the account.

        Args:
            requests: Any sync or async iterable, consumed lazily as slots become available. A sync
                one runs on the event loop and must not block it.
            ledger: Path of a file, created if missing, with which the same call resumes after a
                kill or a stop and pays for nothing twice. None keeps no record.
            download_to: Folder to download each video to, as `{audio_id}.mp4`.
            retry_failed: Whether to submit tracks again that failed in an earlier run.
            timeout: Maximum seconds for each task after its submit was accepted.
            name: Returns the file name of a track, without its extension.

        Returns:
            An async iterator that yields a `Conversion` whenever a request finishes. Use it as
            `async with ... as run: async for ... in run`. After the last result it raises the
            error that stopped the run: no credits, a bad key, an unusable ledger.

        Raises:
            ConfigurationError: A setting or a request is invalid.
        """
        from .bulk.run import ConversionRun
        from .bulk.track_job import BulkOptions

        options = BulkOptions(
            checked("ledger", ledger),
            checked("download_to", download_to),
            retry_failed=checked("retry_failed", retry_failed),
            timeout=checked("timeout", timeout),
            name=checked("name", name),
        )
        downloader = self._get_downloader() if download_to is not None else None
        run = ConversionRun(checked("requests", requests), self._conversions, downloader, options)
        self._runs.add(run)
        return run

    async def download(
        self,
        video_or_url: Video | str,
        to: str | os.PathLike[str],
        *,
        on_progress: Callable[[int, int | None], Awaitable[object] | object] | None = None,
    ) -> Path:
        """Download a finished video, completely or not at all.

        Args:
            video_or_url: The video, or its URL.
            to: Path of the file if it ends in `.mp4`, else of a folder, which is created. A
                symbolic link is followed, and `~` is expanded.
            on_progress: Plain or async function, called with the bytes received and the total
                (None if unknown). The download waits for an async one; an exception aborts it.

        Returns:
            The path of the file.

        Raises:
            DownloadError: The download failed; there is no file.
        """
        video_or_url, to = checked("video_or_url", video_or_url), checked("to", to)
        checked("on_progress", on_progress)
        return await self._get_downloader().download(video_or_url, to, on_progress)

    def _get_downloader(self) -> Downloader:
        from .downloads.downloader import Downloader

        self._downloader = self._downloader or Downloader(
            self._caller, self.dialect, self.base_url, self._call_options, self._network
        )
        return self._downloader


async def _call_hook(hook: OnSubmitted, task_id: str) -> None:
    result = hook(task_id)
    if inspect.isawaitable(result):
        await result

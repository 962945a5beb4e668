"""The client: the one place that joins calls, conversions and downloads for those who use them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import urlsplit
from weakref import WeakSet

from .api import protocol
from .api.dialects import Dialect
from .conversion.callbacks import CallbackReceiver
from .conversion.service import ConversionService
from .conversion.submission import Submission, SubmissionCache
from .errors import Mp4GenError
from .events import Event, EventEmitter, FailedEvent
from .models import Track, Video, VideoDetails, VideoRequest
from .options import Polling, RateLimit, Retry, positive_int
from .settings import (
    KeySource,
    forget_client,
    resolve_api_key,
    resolve_base_url,
    resolve_rate_limiter,
    resolve_resubmit,
    to_secret,
    validate_id,
    validate_timeout,
    warn_about_duplicate_client,
)
from .transport.caller import ApiCaller, CallOptions
from .transport.http import Transport
from .transport.rate_limit import RateLimiter

if TYPE_CHECKING:
    from .bulk.run import ConversionRun, VideoRequests
    from .downloads.downloader import Downloader

OnSubmitted = Callable[[str], Awaitable[object] | object]

# The defaults; where callbacks tell of the end, looking is only a safety net.
DEFAULT_POLLING = Polling()
POLLING_WITH_CALLBACKS = Polling(initial_delay=60.0, max_interval=60.0)
# Once callbacks are known to arrive, a look is for those few that get lost on their way.
POLLING_WITH_PROVEN_CALLBACKS = Polling(initial_delay=300.0, max_interval=300.0)


class Client:
    """A client of the "Create Music Video" API, for one event loop and any number of tasks.

    Make one and share it: the rate limit is the account's, and is kept here for all its users. It
    can be made before the loop runs; the first call opens its connections, `aclose` closes them.

    Args:
        api_key: the key, or a callable that gives the current one; default `MP4GEN_API_KEY`.
            A server on this machine may do without.
        base_url: default `MP4GEN_BASE_URL`, else https://api.api.box.
        dialect: what differs between hosts; default by name.
        rate_limit: calls in a window, or a `RateLimiter` to share between clients.
        concurrency: how many conversions may be between their submit and their end; bulk runs
            have as many places again, so that they never keep a single one waiting.
        polling: when to look at a task; default every minute where there are callbacks, and every
            five once one has arrived.
        retry: how long to go on after failures that may pass.
        callbacks: what the API reports the end of tasks to.
        on_uncertain_submit: "resubmit" or "raise" where the answer to a submit was lost; default
            "resubmit" on a host that is known to refuse a second submit of a track.
        proxy: an http:// proxy for all calls and downloads.
        trust_env: whether proxies are read from the environment.
        on_event: called with each `Event`; it must not block.

    Raises:
        ConfigurationError: a setting that cannot work.
    """

    def __init__(
        self,
        api_key: KeySource | None = None,
        *,
        base_url: str | None = None,
        dialect: Dialect | None = None,
        rate_limit: RateLimit | RateLimiter = RateLimit(20, per=10.0),
        concurrency: int = 300,
        polling: Polling = DEFAULT_POLLING,
        retry: Retry = Retry(),
        callbacks: CallbackReceiver | None = None,
        on_uncertain_submit: Literal["resubmit", "raise"] | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        # First of all: a traceback that shows this frame's variables must not show the key.
        api_key = api_key if callable(api_key) else to_secret(api_key)
        self.base_url = resolve_base_url(base_url)
        key = resolve_api_key(api_key, self.base_url)
        account = (urlsplit(self.base_url).netloc, api_key if callable(api_key) else key())
        self.dialect = dialect or Dialect.for_url(self.base_url)
        self.random = Random()  # noqa: S311 - jitter, not a secret
        self._limiter = resolve_rate_limiter(rate_limit)
        transport = Transport(self.base_url, key, proxy=proxy, trust_env=trust_env)
        self._events = EventEmitter(on_event)
        self._caller = ApiCaller(transport, self._limiter, retry, self._events, self.random)
        self._call_options = CallOptions(
            retry_timeout=retry.timeout, max_maintenance=retry.maintenance_timeout or 0.0
        )
        self._conversions = ConversionService(
            self.base_url,
            self._caller,
            self.dialect,
            polling,
            resolve_resubmit(on_uncertain_submit, self.dialect),
            positive_int("concurrency", concurrency),
            callbacks,
            POLLING_WITH_CALLBACKS if polling is DEFAULT_POLLING else polling,
            POLLING_WITH_PROVEN_CALLBACKS if polling is DEFAULT_POLLING else polling,
        )
        self._runs: WeakSet[ConversionRun] = WeakSet()
        self._proxy, self._trust_env = proxy, trust_env
        self._downloader: Downloader | None = None
        self._submission_cache = SubmissionCache()
        warn_about_duplicate_client(self, account, self._limiter)

    def __repr__(self) -> str:
        # Error reporters show a client that was refused halfway through, too.
        dialect = getattr(self, "dialect", None)
        return f"<mp4gen.Client {getattr(self, 'base_url', '')} ({dialect and dialect.name})>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; calls that run fail, later ones are refused."""
        forget_client(self)
        try:
            for run in tuple(self._runs):
                await run.aclose()
        finally:
            await self._caller.aclose()
            if self._downloader is not None:
                await self._downloader.aclose()

    async def create_music_video(self, request: VideoRequest) -> str:
        """Submit one track ("Create Music Video"), and give the new task's id.

        Raises:
            AlreadyExistsError: the track has a video; `.existing_task_id` says which task made it.
            SubmitUncertainError: the answer was lost, and the submit may have been accepted.
            Mp4GenError: it was not accepted.
        """
        submission = await self._submit(request, adopt=False)
        self._submission_cache.add(submission)
        return submission.task_id

    async def get_music_video_details(self, task_id: str) -> VideoDetails:
        """Look once at a video task ("Get Music Video Details").

        Raises:
            Mp4GenError: no usable answer; no record of the task (yet) is a `NotFoundError`.
        """
        api_request = protocol.build_details_request(validate_id("task_id", task_id), self.dialect)
        parse = partial(protocol.parse_details, dialect=self.dialect, task_id=task_id)
        return await self._caller.send_with_retries(api_request, parse, self._call_options)

    async def wait_for_video(self, task_id: str, *, timeout: float = 1800.0) -> Video:
        """Poll with exponential backoff until the single MP4 URL of a video task is there.

        Args:
            task_id: from `create_music_video`, now or before a restart.
            timeout: seconds; waiting for the rate limit does not count.

        Raises:
            GenerationFailedError: the service gave up on the task.
            NotFoundError: the service does not know the task.
            WaitTimeoutError: the task is not finished; the id stays good.
            AuthenticationError: the key was refused.
        """
        submission = self._submission_cache.get(validate_id("task_id", task_id))
        validate_timeout(timeout)
        return await self._conversions.wait(
            task_id, self._call_options, timeout, submission, self._submission_cache
        )

    async def convert(
        self,
        request: VideoRequest,
        *,
        timeout: float = 1800.0,
        on_submitted: OnSubmitted | None = None,
    ) -> Video:
        """Submit one track and wait for its video; an existing video is adopted.

        Args:
            request: which track, and what to write on it.
            timeout: seconds from the moment when the submit was accepted.
            on_submitted: told the task id, before the first look; plain or a coroutine function.

        Returns:
            the video; `video.adopted` says that its author and watermark may be older ones.

        Raises:
            Mp4GenError: as `create_music_video` and `wait_for_video`.
        """
        validate_timeout(timeout)
        async with self._conversions.slots:
            submission = await self._submit(request, adopt=True, timeout=timeout)
            task_id = submission.task_id
            # Whatever happens now, somebody who has the id may wait for it again.
            self._submission_cache.add(submission)
            if on_submitted is not None:
                result = on_submitted(task_id)
                if inspect.isawaitable(result):
                    await result
            return await self._conversions.wait(
                task_id, self._call_options, timeout, submission, self._submission_cache
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
        """Convert many tracks at the limit of the account.

        Args:
            requests: any sync or async iterable, pulled as places come free.
            ledger: a file that lets the same call go on after a kill or a stop, without paying
                for anything twice; made where missing. None: nothing outlives the run.
            download_to: a folder to fetch each video into, as `{audio_id}.mp4`.
            retry_failed: whether tracks that failed in an earlier run are submitted again.
            timeout: seconds to wait for each task, from the moment when its submit was accepted.
            name: gives the name of a track's file, without its ending.

        Returns:
            an async iterator of `Conversion`s, one for each request that came to an end, in the
            order in which they end; best used as `async with ... as run: async for ... in run`.
            Iterating it raises, after the last result, what stopped the run: no credits, a bad
            key, a ledger that cannot be used.

        Raises:
            ConfigurationError: a setting that cannot work.
        """
        from .bulk.run import ConversionRun
        from .bulk.track_job import BulkOptions

        options = BulkOptions(
            Path(ledger) if ledger is not None else None,
            Path(download_to) if download_to is not None else None,
            retry_failed=retry_failed,
            timeout=validate_timeout(timeout),
            name=name,
        )
        downloader = self._get_downloader() if download_to is not None else None
        run = ConversionRun(requests, self._conversions, downloader, options)
        self._runs.add(run)
        return run

    async def download(
        self,
        video_or_url: Video | str,
        to: str | os.PathLike[str],
        *,
        on_progress: Callable[[int, int | None], object] | None = None,
    ) -> Path:
        """Fetch a finished video, whole or not at all.

        Args:
            video_or_url: the video, or its link.
            to: the file to write, or a folder, where it is named after its track.
            on_progress: told the bytes so far and the bytes in all, or None where unknown; what
                it raises ends the download.

        Returns:
            where the file is.

        Raises:
            DownloadError: nothing was written; says why.
        """
        return await self._get_downloader().download(video_or_url, to, on_progress)

    async def get_tracks(self, task_id: str) -> list[Track]:
        """The tracks of a music task ("Get Music Generation Details"), those that exist so far.

        Raises:
            Mp4GenError: no usable answer; an unknown music task is a `NotFoundError`.
        """
        api_request = protocol.build_tracks_request(validate_id("task_id", task_id), self.dialect)
        parse = partial(protocol.parse_tracks, dialect=self.dialect, task_id=task_id)
        return await self._caller.send_with_retries(api_request, parse, self._call_options)

    async def get_credits(self) -> float:
        """What is left on the account ("Get Remaining Credits").

        Raises:
            Mp4GenError: no usable answer.
        """
        api_request = protocol.build_credits_request(self.dialect)
        parse = partial(protocol.parse_credits, dialect=self.dialect)
        return await self._caller.send_with_retries(api_request, parse, self._call_options)

    def _get_downloader(self) -> Downloader:
        """What fetches files; made by the first download, for those who never do without it."""
        from .downloads.downloader import Downloader

        self._downloader = self._downloader or Downloader(
            self._caller,
            self.dialect,
            self.base_url,
            call_options=self._call_options,
            proxy=self._proxy,
            trust_env=self._trust_env,
        )
        return self._downloader

    async def _submit(
        self, request: VideoRequest, *, adopt: bool, timeout: float = 1800.0
    ) -> Submission:
        subscription = self._conversions.subscribe(request)
        try:
            return await self._conversions.submit(
                request, self._call_options, adopt=adopt, timeout=timeout, subscription=subscription
            )
        except BaseException as error:
            if subscription is not None:
                subscription.close()
            if isinstance(error, Mp4GenError):
                self._events.emit(FailedEvent(None, error))
            raise

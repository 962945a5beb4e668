"""The blocking client: every call is the one of `mp4gen.Client`, run in a thread of its own."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar
from weakref import ref

from mp4gen.api.dialects import Dialect
from mp4gen.client import Client as AsyncClient
from mp4gen.events import Event, OnEvent
from mp4gen.models import VideoRequest
from mp4gen.settings.account import forget_client
from mp4gen.settings.arguments import checked

from .caller import Caller
from .loop_thread import LoopThread
from .run import ConversionRun, pulled_by

if TYPE_CHECKING:
    from mp4gen.bulk.request_source import VideoRequests

P = ParamSpec("P")
T = TypeVar("T")

# Functions that a call gets; they run in the thread of the caller.
_CALLBACKS = ("on_submitted", "on_progress")


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Client, P], T]:
    """Return the blocking form of a method, with its signature and its docstring."""

    @wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        caller = Caller()
        for name in _CALLBACKS:
            if callable(function := kwargs.get(name)):
                kwargs[name] = caller.in_this_thread(function)
        work = partial(method, self._client, *args, **kwargs)
        return self._thread.run(work, caller)

    return call


def _takes_arguments_of(
    method: Callable[Concatenate[Any, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Return a decorator that gives a function the signature of `method`."""
    return wraps(method, assigned=())


class Client:
    """A client of the "Create Music Video" API that blocks, for any number of threads.

    It has the arguments and the calls of `mp4gen.Client`, without `await`. Use it in scripts, in
    notebooks and in web apps without asyncio. Create one and share it, because it keeps the
    account's rate limit for all its users: a web app creates one for each of its processes.

    The first call starts a daemon thread with an event loop. Ctrl-C cancels the call that waits.
    `close`, the end of a `with` block or the end of the program ends the thread.

    The functions that a call gets (`on_submitted`, `on_progress`, and a plain iterable of
    `convert_many`) run in the thread that made the call. What the client gets (`on_event`, an
    `api_key` that is a function), `name` and async functions run in the client's thread: they must
    not block, and must not call this client.

    Raises:
        ConfigurationError: A setting is invalid.
    """

    @_takes_arguments_of(AsyncClient.__init__)
    def __init__(self, *args: Any, **settings: Any) -> None:
        self._on_event: OnEvent | None = settings.get("on_event")
        if callable(self._on_event):
            settings["on_event"] = _weakly(ref(self))
        try:
            self._client = AsyncClient(*args, **settings)
        finally:
            # A traceback that shows the variables of this frame must not show the secrets.
            del args, settings
        self._thread = LoopThread("mp4gen.sync.Client", self._client.aclose)

    def __repr__(self) -> str:
        # An error reporter may show a client whose `__init__` failed halfway.
        client = getattr(self, "_client", None)
        host = f" {client.base_url} ({client.dialect.name})" if client else ""
        return f"<mp4gen.sync.Client{host}>"

    def __del__(self) -> None:
        thread: LoopThread | None = getattr(self, "_thread", None)
        if thread is not None and thread.is_running:
            warnings.warn(
                f"Unclosed client {self!r}. Call close(), or use a with statement.",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )
            thread.begin_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The URL of the API."""
        return self._client.base_url

    @property
    def dialect(self) -> Dialect:
        """What differs between hosts."""
        return self._client.dialect

    @property
    def rejects_duplicates(self) -> bool:
        """Whether the dialect, or the host itself, says that it rejects a second submit."""
        return self._client.rejects_duplicates

    @property
    def has_sent(self) -> bool:
        """Whether a finished call may have reached the API, or a download its host."""
        return self._client.has_sent

    def close(self) -> None:
        """Close all connections and end the thread; calls in progress and later calls fail."""
        # A client that was never used has no thread that does so.
        forget_client(self._client)
        self._thread.close()

    create_music_video = _blocking(AsyncClient.create_music_video)
    get_music_video_details = _blocking(AsyncClient.get_music_video_details)
    wait_for_video = _blocking(AsyncClient.wait_for_video)
    convert = _blocking(AsyncClient.convert)
    download = _blocking(AsyncClient.download)
    get_tracks = _blocking(AsyncClient.get_tracks)
    get_timestamped_lyrics = _blocking(AsyncClient.get_timestamped_lyrics)
    get_credits = _blocking(AsyncClient.get_credits)

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
            requests: Any iterable, consumed lazily as slots become available, in the thread that
                iterates the run; it may block. An async one runs in the client's thread.
            ledger: Path of a file, created if missing, with which the same call resumes after a
                kill or a stop and pays for nothing twice. None keeps no record.
            download_to: Folder to download each video to, as `{audio_id}.mp4`.
            retry_failed: Whether to submit tracks again that failed in an earlier run.
            timeout: Maximum seconds for each task after its submit was accepted.
            name: Returns the file name of a track, without its extension.

        Returns:
            An iterable that yields a `Conversion` whenever a request finishes. Use it as
            `with ... as run: for ... in run`. After the last result it raises the error that
            stopped the run: no credits, a bad key, an unusable ledger.

        Raises:
            ConfigurationError: A setting or a request is invalid.
        """
        caller = Caller()
        start = partial(
            self._client.convert_many,
            pulled_by(caller, checked("requests", requests)),
            ledger=ledger,
            download_to=download_to,
            retry_failed=retry_failed,
            timeout=timeout,
            name=name,
        )

        async def on_loop() -> Any:
            return start()

        return ConversionRun(self._thread.run(on_loop), self, self._thread, caller)


def _weakly(client: ref[Client]) -> OnEvent:
    """Return a hook that passes events to a client's own one, if the client still exists.

    The thread holds the hook, so the hook must not hold what the user's function refers to.
    """

    def on_event(event: Event) -> object:
        existing = client()
        hook = existing and existing._on_event  # noqa: SLF001 - its own
        return hook and hook(event)

    return on_event

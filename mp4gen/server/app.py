"""Assembles the parts of one server, starts and stops them; has no logic of its own."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

import attrs
from aiohttp import web
from aiohttp.http import HttpProcessingError

from mp4gen.errors import ConfigurationError
from mp4gen.signals import on_signal, reset

from .callbacks.sender import CallbackSender
from .config import ServerConfig
from .counters import Counters
from .data_dir import DataDirectory
from .library import uploads
from .library.library import Library
from .library.metadata_cache import MetadataCache
from .library.reader import LibraryReader
from .library.reader_jobs import ReaderJobs
from .library.track_images import TrackImages
from .preflight import check_start
from .queue.admission import Admission
from .queue.fingerprint import Fingerprints
from .queue.recovery import recover
from .queue.retention import Retention
from .queue.scheduler import RenderScheduler
from .queue.store import Store
from .queue.task import Task
from .rendering.pool import ProcessExecutor, WorkerSlot
from .videos import make_videos
from .web.access_log import AccessLogger
from .web.access_log import log as access_log
from .web.accounts import Accounts
from .web.api import MAX_BODY_BYTES, Api
from .web.change_feed import ChangeFeed
from .web.client_address import ClientAddresses
from .web.connection_limit import ConnectionLimit, raise_fd_limit
from .web.health import Health
from .web.key_guard import KeyGuard
from .web.linked_files import LinkedFiles
from .web.metrics import Metrics
from .web.music_links import MusicLinks
from .web.page_api import PageApi
from .web.page_assets import PageAssets
from .web.public_path import below_public_path
from .web.security import security_middleware
from .web.services import Services
from .web.sessions import Sessions
from .web.sockets import bind, bind_error, url_of
from .web.tls import Certificate, load_certificate
from .web.video_files import VideoFiles

_SHUTDOWN_TIMEOUT = 2.0
# Also the time that a client has for the headers of its first request.
_KEEPALIVE_TIMEOUT = 60.0
_HANDSHAKE_TIMEOUT = 10.0


class Server:
    """A server of the API on this machine, while its `async with` block runs.

    ```python
    async with Server(ServerConfig(music="~/Music", port=0)) as server:
        print(server.url)
    ```

    Args:
        config: The settings.

    Raises:
        ConfigurationError: On entering: the music folder, the data directory, the certificate or
            the port cannot be used; the text says why and what to do.
    """

    def __init__(self, config: ServerConfig) -> None:
        self.config = config
        self._cleanup = contextlib.AsyncExitStack()
        self._url = ""

    @property
    def url(self) -> str:
        """The URL of the server, without a slash at its end."""
        return self._url

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the render workers."""
        return self._scheduler.worker_pids

    def progress(self, task_id: str) -> tuple[float, float] | None:
        """Return the seconds of music done and in total of a render; None until it reports them."""
        progress = self._scheduler.progress(task_id)
        return (progress.done, progress.total) if progress and progress.total else None

    def replace_keys(self, key: str | None, account_keys: Mapping[str, str]) -> None:
        """Replace the keys of all accounts; sessions of a replaced key end.

        Raises:
            ConfigurationError: A key is invalid, or there is none; nothing has changed then.
        """
        keys: dict[str, Any] = {"key": key, "account_keys": account_keys}
        replaced = attrs.evolve(self.config, **keys)
        if not replaced.accounts:
            raise ConfigurationError("All keys are gone. Add a key, or restart the server.")
        self._accounts.replace(replaced.accounts)

    async def delete_expired(self) -> int:
        """Delete the expired tasks without waiting for the next sweep; return how many."""
        return await self._retention.sweep()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._cleanup.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._cleanup.aclose()

    async def _start(self) -> None:
        """Start every part; they stop in the opposite order: new calls first, the data last."""
        check_start(self.config)
        certificate = load_certificate(self.config)
        # Before the data directory, which must not be created by a server that cannot listen.
        sockets = bind(self.config)
        for one in sockets:
            self._cleanup.callback(one.close)
        self._url = url_of(self.config, sockets)
        services = self._build(sockets[0].getsockname()[1])
        await services.videos.open()
        await recover(services.store, services.data, services.videos)
        await self._listen(_app(services), sockets, certificate)
        self._callbacks.start()
        self._retention.start()
        self._scheduler.start()

    def _build(self, port: int) -> Services:
        """Make every part, and register how it is stopped."""
        config, cleanup = self.config, self._cleanup
        data, store = self._open_data()
        videos = make_videos(config, data)
        library = LibraryReader(Library(config.music))
        cleanup.callback(library.close)
        uploads.remove_partial_uploads(library.root / uploads.FOLDER)
        feed, self._accounts = ChangeFeed(), Accounts(config.accounts)
        counters = Counters()
        self._callbacks = CallbackSender(config, store, self._base_url, counters)
        cleanup.push_async_callback(self._callbacks.stop)
        fingerprints = Fingerprints(config.style, data.pictures)
        self._scheduler = RenderScheduler(
            config,
            store,
            library,
            data,
            videos,
            fingerprints=fingerprints,
            on_finished=self._callbacks.send,
            on_change=feed.notify,
            counters=counters,
        )
        cleanup.push_async_callback(self._scheduler.stop, config.shutdown_timeout)
        self._retention = Retention(config.retention_days, store, data, videos, clock=time.time)
        cleanup.push_async_callback(self._retention.stop)
        slot = WorkerSlot(partial(ProcessExecutor, config.worker_memory_bytes))
        jobs = ReaderJobs(slot, config.max_duration)
        cleanup.push_async_callback(jobs.close)
        metadata_cache = MetadataCache(library, jobs, on_change=feed.notify_library)
        cleanup.push_async_callback(metadata_cache.stop)
        return Services(
            config=config,
            data=data,
            videos=videos,
            store=store,
            library=library,
            metadata_cache=metadata_cache,
            images=TrackImages(metadata_cache, jobs, data, max_duration=config.max_duration),
            scheduler=self._scheduler,
            admission=Admission(
                config,
                data,
                videos,
                store,
                self._scheduler,
                fingerprints,
                library,
                self._accounts.names,
            ),
            accounts=self._accounts,
            guard=KeyGuard(self._accounts, ClientAddresses(config)),
            links=MusicLinks(self._accounts, data.secret()),
            sessions=Sessions(config, self._accounts, data.secret(), port=port),
            feed=feed,
            counters=counters,
        )

    def _open_data(self) -> tuple[DataDirectory, Store]:
        data = DataDirectory(self.config.data)
        data.open()
        self._cleanup.callback(data.close)
        store = Store(data.database)
        self._cleanup.callback(store.close)
        return data, store

    async def _listen(
        self, app: web.Application, sockets: list[socket.socket], certificate: Certificate | None
    ) -> None:
        # The API has no compressed bodies, and they may grow a thousandfold.
        runner = web.AppRunner(
            app,
            access_log=access_log if self.config.access_log else None,
            access_log_class=AccessLogger,
            logger=_http_log(),
            shutdown_timeout=_SHUTDOWN_TIMEOUT,
            keepalive_timeout=_KEEPALIVE_TIMEOUT,
            auto_decompress=False,
        )
        await runner.setup()
        self._cleanup.push_async_callback(runner.cleanup)
        if runner.server is None:
            raise RuntimeError("The runner has no server.")
        connection_limit = ConnectionLimit(runner.server, raise_fd_limit())
        try:
            for one in sockets:
                listening = await asyncio.get_running_loop().create_server(
                    connection_limit,
                    sock=one,
                    ssl=certificate.context if certificate else None,
                    ssl_handshake_timeout=_HANDSHAKE_TIMEOUT if certificate else None,
                )
                self._cleanup.callback(listening.close)
        except OSError as error:
            raise bind_error(self.config, error) from error

    def _base_url(self, task: Task) -> str:
        """Return the URL that a callback names: the public one, or the one that the client used."""
        return self.config.public_url or task.base_url or self._url


def _app(services: Services) -> web.Application:
    """Return the application: all routes, and what happens before it shuts down."""
    app = web.Application(
        middlewares=[security_middleware(services.config)], client_max_size=MAX_BODY_BYTES
    )
    for handlers in (Api, PageAssets, PageApi, Health, Metrics, VideoFiles, LinkedFiles):
        app.add_routes(below_public_path(services.config, handlers(services).routes()))

    async def release_waiters(_: web.Application) -> None:
        services.feed.close()
        services.scheduler.release_waiters()

    app.on_shutdown.append(release_waiters)
    return app


def serve(config: ServerConfig, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; blocks. A signal that was ignored before stays ignored.

    Running renders get `config.shutdown_timeout` seconds to finish; a second signal kills them.

    Args:
        config: The settings.
        on_ready: Called with the server's URL once it accepts requests.

    Raises:
        ConfigurationError: The server cannot start; the text says why and what to do.
    """
    asyncio.run(_serve(config, on_ready))


async def _serve(config: ServerConfig, on_ready: Callable[[str], None] | None) -> None:
    stop = asyncio.Event()

    def handle(number: int) -> None:
        stop.set()
        # The next signal kills the process, as it does by default.
        reset(number)

    async with Server(config) as server, contextlib.AsyncExitStack() as handlers:
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers.enter_context(on_signal(number, partial(handle, number)))
        if on_ready is not None:
            on_ready(server.url)
        await stop.wait()


def _http_log() -> logging.Logger:
    """Return a logger that drops the errors of invalid requests, which may contain a key."""
    log = logging.getLogger("mp4gen.server.http")
    if not log.filters:
        log.addFilter(lambda record: not (record.exc_info and _is_client_error(record.exc_info[1])))
    return log


def _is_client_error(error: BaseException | None) -> bool:
    return isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError)

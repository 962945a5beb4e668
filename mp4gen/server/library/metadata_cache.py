"""Reads the metadata of the library's files once, in the background, and keeps it.

A file that cannot be read now, or takes its reader with it, is read again after a while.
"""

import asyncio
import contextlib
import hashlib
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mp4gen import filesystem
from mp4gen.errors import Mp4GenError
from mp4gen.server.rendering import previews, worker
from mp4gen.server.rendering.pool import WorkerDiedError, WorkerSlot
from mp4gen.server.troubles import TransientError

from .library import LibraryTrack, MusicUnavailableError
from .reader import LibraryReader

T = TypeVar("T")

_BATCH = 16
_DAY = 86400.0
_RESCAN_INTERVAL = 8.0
# Seconds that a caller waits for a scan before it gets the tracks of the last one.
_SCAN_TIMEOUT, _FIRST_SCAN_TIMEOUT = 3.0, 20.0
# Seconds that a job of the reader may take: for each file whose tags it reads, and for each second
# of music that it decodes.
_MIN_TIMEOUT, _TIMEOUT_PER_FILE, _TIMEOUT_PER_SECOND = 20.0, 5.0, 0.1
# Seconds before a file is read again, and their maximum.
_REREAD_DELAY, _MAX_REREAD_DELAY = 60.0, _DAY
_Version = tuple[str, float, int]
_UNLOADED = previews.MusicInfo()


class ReaderTimeoutError(TransientError):
    """The reader was stopped because a job took too long."""


class MetadataCache:
    """Titles, artists, durations and images of the tracks.

    It reads the files in `slot`, keeps covers in the folder `covers`, and calls `on_change` when
    metadata was added.
    """

    def __init__(
        self,
        library: LibraryReader,
        slot: WorkerSlot,
        covers: Path,
        *,
        max_duration: float,
        on_change: Callable[[], None],
    ) -> None:
        self._library, self._slot, self._covers = library, slot, covers
        self._max_duration, self._on_change = max_duration, on_change
        self._known: dict[_Version, previews.MusicInfo] = {}
        self._tracks: list[LibraryTrack] = []
        self._scans: set[asyncio.Task[None]] = set()
        # When files that could not be read are read again, and how often they failed.
        self._reread: dict[_Version, tuple[float, int]] = {}
        self._loading: asyncio.Task[None] | None = None
        self._fingerprint, self._next_scan = "", 0.0
        self._lock = asyncio.Lock()
        self._urgent_count = 0
        self._no_urgent_jobs = asyncio.Event()
        self._no_urgent_jobs.set()

    async def tracks(self) -> list[tuple[LibraryTrack, previews.MusicInfo]]:
        """Return every track with its metadata, which is empty until it is loaded.

        If the music folder cannot be read now, these are the tracks that it had before.
        """
        scan = asyncio.create_task(self._scan())
        self._scans.add(scan)
        scan.add_done_callback(self._scans.discard)
        timeout = _SCAN_TIMEOUT if self._tracks else _FIRST_SCAN_TIMEOUT
        if not (await asyncio.wait({scan}, timeout=timeout))[0]:
            scan.add_done_callback(lambda _: self._on_change())
        unknown = [track for track in self._tracks if self._is_due(track)]
        if unknown and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._load_in_background(unknown))
        return [(track, self._known.get(_version(track), _UNLOADED)) for track in self._tracks]

    async def _scan(self) -> None:
        with contextlib.suppress(MusicUnavailableError):
            self._tracks = await self._library.all_tracks()
            if self._tracks:
                # An empty folder may be a mount point without its disk.
                self._forget_all_but(set(map(_version, self._tracks)))

    def refresh_if_changed(self) -> None:
        """Call `on_change` soon if files were added or deleted since the last scan."""
        now = asyncio.get_running_loop().time()
        if now < self._next_scan:
            return
        self._next_scan = now + _RESCAN_INTERVAL
        if not self._scans:
            scan = asyncio.create_task(self._compare_fingerprints())
            self._scans.add(scan)
            scan.add_done_callback(self._scans.discard)

    async def _compare_fingerprints(self) -> None:
        before, trouble_before = self._fingerprint, self._library.trouble
        with contextlib.suppress(MusicUnavailableError):
            self._fingerprint = await self._library.fingerprint()
        if before not in {"", self._fingerprint} or self._library.trouble != trouble_before:
            self._on_change()
        elif any(info.problem for info in self._known.values()):
            # A file that was still being copied: its folder does not change when it is complete.
            await self._scan()
            if any(self._is_due(track) for track in self._tracks):
                self._on_change()

    async def info(self, track: LibraryTrack) -> previews.MusicInfo:
        """Return the metadata of one track, loaded now if it is not yet."""
        return (await self.infos([track]))[0]

    async def infos(self, tracks: list[LibraryTrack]) -> list[previews.MusicInfo]:
        """Return the metadata of several tracks, in their order."""
        # The folder may change meanwhile, and with it what is known.
        infos = {version: self._known.get(version) for version in map(_version, tracks)}
        if unknown := [track for track in tracks if self._is_due(track)]:
            loaded = await self._load(unknown, urgent=True)
            infos.update(zip(map(_version, unknown), loaded, strict=True))
        return [infos[_version(track)] or _UNLOADED for track in tracks]

    async def preview(
        self,
        track: LibraryTrack,
        captions: dict[str, str | None],
        style: dict[str, object],
        *,
        is_still_needed: Callable[[], bool],
    ) -> bytes:
        """Return one frame of the video with these `author` and `domain_name`, as a JPEG.

        Raises:
            Mp4GenError: The file cannot become a video.
            ConnectionError: When its turn came, `is_still_needed` returned False.
        """
        request = await self._preview_request(track, captions, style)
        return await self._run_urgent(previews.preview, request, is_still_needed=is_still_needed)

    async def thumbnail(
        self, track: LibraryTrack, captions: dict[str, str | None], style: dict[str, object]
    ) -> bytes:
        """Return the same as a small JPEG, for an unfinished video.

        Raises:
            Mp4GenError: The file cannot become a video.
        """
        request = await self._preview_request(track, captions, style)
        return await self._run_background(previews.preview_thumbnail, request)

    async def video_thumbnail(self, video: Path) -> bytes:
        """Return one frame of a finished video, as a small JPEG.

        Raises:
            Mp4GenError: The video was deleted.
        """
        # This takes a tenth of a cover's time.
        return await self._run_urgent(previews.video_thumbnail, video)

    async def cover(self, track: LibraryTrack) -> bytes:
        """Return the square cover of a track, as a JPEG.

        Raises:
            Mp4GenError: The file cannot become a video.
        """
        name = hashlib.sha256(repr(_version(track)).encode()).hexdigest()[:32]
        cache_path = self._covers / f"{name}.jpg"
        image = await asyncio.to_thread(read_cached, cache_path)
        if image is None:
            image = await self._run_background(previews.cover, track.path)
            await asyncio.to_thread(write_cached, cache_path, image)
        return image

    async def stop(self) -> None:
        """Stop loading, and end the worker."""
        tasks = [*self._scans, *([self._loading] if self._loading is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._slot.close()

    async def _preview_request(
        self, track: LibraryTrack, captions: dict[str, str | None], style: dict[str, object]
    ) -> previews.PreviewRequest:
        info = await self.info(track)
        return previews.PreviewRequest(
            audio=track.path,
            duration=info.duration,
            captions={"title": info.title or track.path.stem, **captions},
            style=style,
            max_duration=self._max_duration,
        )

    async def _load_in_background(self, tracks: list[LibraryTrack]) -> None:
        for at in range(0, len(tracks), _BATCH):
            await self._load(tracks[at : at + _BATCH], urgent=False)
            self._on_change()

    async def _load(
        self, tracks: list[LibraryTrack], *, urgent: bool, retry: bool = True
    ) -> list[previews.MusicInfo]:
        """Return the metadata of these tracks, and keep it."""
        run = self._run_urgent if urgent else self._run_background
        try:
            infos = await run(previews.probe_files, [track.path for track in tracks])
        except (WorkerDiedError, ReaderTimeoutError) as error:
            if len(tracks) > 1:
                # Only one of the files may be at fault.
                return [(await self._load([one], urgent=urgent))[0] for one in tracks]
            if retry and isinstance(error, WorkerDiedError):
                # Any other process may have killed it.
                return await self._load(tracks, urgent=urgent, retry=False)
            problem = "The file takes the reader with it. It is read again later."
            infos = [previews.MusicInfo(problem=problem, is_temporary=True)]
        except Mp4GenError as error:
            infos = [previews.MusicInfo(problem=str(error), is_temporary=True) for _ in tracks]
        for track, info in zip(tracks, infos, strict=True):
            self._keep(track, info)
        return infos

    def _keep(self, track: LibraryTrack, info: previews.MusicInfo) -> None:
        version, now = _version(track), asyncio.get_running_loop().time()
        self._known[version] = info
        _, failures = self._reread.pop(version, (0.0, 0))
        if info.is_temporary:
            delay = min(_MAX_REREAD_DELAY, _REREAD_DELAY * 4 ** min(failures, 10))
            self._reread[version] = now + delay, failures + 1

    def _is_due(self, track: LibraryTrack) -> bool:
        """Return whether a track is to be read now: for the first time, or again."""
        version = _version(track)
        reread_at, _ = self._reread.get(version, (math.inf, 0))
        return version not in self._known or reread_at <= asyncio.get_running_loop().time()

    def _forget_all_but(self, current: set[_Version]) -> None:
        """Forget deleted and replaced files."""
        self._known = {key: info for key, info in self._known.items() if key in current}
        self._reread = {key: value for key, value in self._reread.items() if key in current}

    async def _run_urgent(
        self, func: Callable[..., T], *args: Any, is_still_needed: Callable[[], bool] = lambda: True
    ) -> T:
        """Run one job at a time, this one before all background jobs."""
        self._urgent_count += 1
        self._no_urgent_jobs.clear()
        try:
            async with self._lock:
                if not is_still_needed():
                    raise ConnectionResetError("The client is gone.")
                return await self._run_job(func, *args)
        finally:
            self._urgent_count -= 1
            if not self._urgent_count:
                self._no_urgent_jobs.set()

    async def _run_background(self, func: Callable[..., T], *args: Any) -> T:
        """Run one job at a time, this one once no urgent job waits."""
        while True:
            await self._no_urgent_jobs.wait()
            async with self._lock:
                if not self._urgent_count:
                    return await self._run_job(func, *args)

    async def _run_job(self, func: Callable[..., T], *args: Any) -> T:
        if func is previews.probe_files:
            timeout = _MIN_TIMEOUT + _TIMEOUT_PER_FILE * len(args[0])
        else:
            timeout = _MIN_TIMEOUT + _TIMEOUT_PER_SECOND * self._max_duration
        try:
            async with asyncio.timeout(timeout):
                return await self._slot.run(worker.run_limited, timeout, func, *args)
        except TimeoutError:
            self._slot.kill()
            raise ReaderTimeoutError(f"The file was not read within {timeout:g} s.") from None


def _version(track: LibraryTrack) -> _Version:
    return os.fspath(track.path), track.modified, track.size


def read_cached(path: Path) -> bytes | None:
    """Return a cached image; None if it is not cached."""
    try:
        content = path.read_bytes()
        if time.time() - path.stat().st_mtime > _DAY:
            # The cache deletes the files first that were not read lately.
            path.touch(exist_ok=True)
    except OSError:
        return None
    return content


def write_cached(path: Path, content: bytes) -> None:
    """Cache an image."""
    # On a full disk the image is still shown.
    with contextlib.suppress(OSError), filesystem.atomic_write(path) as part:
        part.write_bytes(content)

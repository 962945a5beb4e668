"""Reads the metadata of the library's files once, in the background, and keeps it.

A file that cannot be read now, or takes its reader with it, is read again after a while.
"""

import asyncio
import contextlib
import math
import os
from collections.abc import Callable

from mp4gen.errors import Mp4GenError
from mp4gen.server.rendering import previews
from mp4gen.server.rendering.pool import WorkerDiedError

from .library import LibraryTrack, MusicUnavailableError
from .reader import LibraryReader
from .reader_jobs import ReaderJobs, ReaderTimeoutError

_BATCH = 16
_RESCAN_INTERVAL = 8.0
# Seconds that a caller waits for a scan before it gets the tracks of the last one.
_SCAN_TIMEOUT, _FIRST_SCAN_TIMEOUT = 3.0, 20.0
# Seconds before a file is read again, and their maximum.
_REREAD_DELAY, _MAX_REREAD_DELAY = 60.0, 86400.0
Version = tuple[str, float, int]
_UNLOADED = previews.MusicInfo()


class MetadataCache:
    """Titles, artists and durations of the tracks.

    It reads the files by `jobs`, and calls `on_change` when metadata was added.
    """

    def __init__(
        self, library: LibraryReader, jobs: ReaderJobs, *, on_change: Callable[[], None]
    ) -> None:
        self._library, self._jobs, self._on_change = library, jobs, on_change
        self._known: dict[Version, previews.MusicInfo] = {}
        self._tracks: list[LibraryTrack] = []
        self._scans: set[asyncio.Task[None]] = set()
        # When files that could not be read are read again, and how often they failed.
        self._reread: dict[Version, tuple[float, int]] = {}
        self._loading: asyncio.Task[None] | None = None
        self._fingerprint, self._next_scan = "", 0.0

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
        return [(track, self._known.get(version_of(track), _UNLOADED)) for track in self._tracks]

    async def _scan(self) -> None:
        with contextlib.suppress(MusicUnavailableError):
            self._tracks = await self._library.all_tracks()
            if self._tracks:
                # An empty folder may be a mount point without its disk.
                self._forget_all_but(set(map(version_of, self._tracks)))

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
        infos = {version: self._known.get(version) for version in map(version_of, tracks)}
        if unknown := [track for track in tracks if self._is_due(track)]:
            loaded = await self._load(unknown, urgent=True)
            infos.update(zip(map(version_of, unknown), loaded, strict=True))
        return [infos[version_of(track)] or _UNLOADED for track in tracks]

    async def stop(self) -> None:
        """Stop loading."""
        tasks = [*self._scans, *([self._loading] if self._loading is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _load_in_background(self, tracks: list[LibraryTrack]) -> None:
        for at in range(0, len(tracks), _BATCH):
            await self._load(tracks[at : at + _BATCH], urgent=False)
            self._on_change()

    async def _load(
        self, tracks: list[LibraryTrack], *, urgent: bool, retry: bool = True
    ) -> list[previews.MusicInfo]:
        """Return the metadata of these tracks, and keep it."""
        run = self._jobs.run_urgent if urgent else self._jobs.run_background
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
        version, now = version_of(track), asyncio.get_running_loop().time()
        self._known[version] = info
        _, failures = self._reread.pop(version, (0.0, 0))
        if info.is_temporary:
            delay = min(_MAX_REREAD_DELAY, _REREAD_DELAY * 4 ** min(failures, 10))
            self._reread[version] = now + delay, failures + 1

    def _is_due(self, track: LibraryTrack) -> bool:
        """Return whether a track is to be read now: for the first time, or again."""
        version = version_of(track)
        reread_at, _ = self._reread.get(version, (math.inf, 0))
        return version not in self._known or reread_at <= asyncio.get_running_loop().time()

    def _forget_all_but(self, current: set[Version]) -> None:
        """Forget deleted and replaced files."""
        self._known = {key: info for key, info in self._known.items() if key in current}
        self._reread = {key: value for key, value in self._reread.items() if key in current}


def version_of(track: LibraryTrack) -> Version:
    """Return what changes when the file of a track does."""
    return os.fspath(track.path), track.modified, track.size

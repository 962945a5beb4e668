"""Reads the metadata of the library's files once, in the background, and keeps it."""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mp4gen import filesystem
from mp4gen.errors import Mp4GenError
from mp4gen.server.rendering import previews
from mp4gen.server.rendering.pool import WorkerSlot

from .library import Library, LibraryTrack

T = TypeVar("T")

_BATCH = 16
_DAY = 86400.0
_RESCAN_INTERVAL = 8.0
_Version = tuple[str, float, int]


class MetadataCache:
    """Titles, artists, durations and images of the tracks.

    It reads the files in `slot`, keeps covers in the folder `covers`, and calls `on_change` when
    metadata was added.
    """

    def __init__(
        self,
        library: Library,
        slot: WorkerSlot,
        covers: Path,
        *,
        max_duration: float,
        on_change: Callable[[], None],
    ) -> None:
        self._library, self._slot, self._covers = library, slot, covers
        self._max_duration, self._on_change = max_duration, on_change
        self._known: dict[_Version, previews.MusicInfo] = {}
        self._loading: asyncio.Task[None] | None = None
        self._fingerprint, self._next_scan = "", 0.0
        self._lock = asyncio.Lock()
        self._urgent_count = 0
        self._no_urgent_jobs = asyncio.Event()
        self._no_urgent_jobs.set()

    async def tracks(self) -> list[tuple[LibraryTrack, previews.MusicInfo]]:
        """Return every track with its metadata, which is empty until it is loaded."""
        found = await asyncio.to_thread(lambda: list(self._library.all_tracks()))
        # Forget deleted and replaced files.
        current = set(map(_version, found))
        self._known = {key: info for key, info in self._known.items() if key in current}
        unknown = [track for track in found if _version(track) not in self._known]
        if unknown and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._load_in_background(unknown))
        unloaded = previews.MusicInfo()
        return [(track, self._known.get(_version(track), unloaded)) for track in found]

    async def refresh_if_changed(self) -> None:
        """Call `on_change` if files were added or deleted since the last scan."""
        now = asyncio.get_running_loop().time()
        if now < self._next_scan:
            return
        self._next_scan = now + _RESCAN_INTERVAL
        before = self._fingerprint
        self._fingerprint = await asyncio.to_thread(self._library.fingerprint)
        if before not in {"", self._fingerprint}:
            self._on_change()

    async def info(self, track: LibraryTrack) -> previews.MusicInfo:
        """Return the metadata of one track, loaded now if it is not yet."""
        return (await self.infos([track]))[0]

    async def infos(self, tracks: list[LibraryTrack]) -> list[previews.MusicInfo]:
        """Return the metadata of several tracks, in their order."""
        if unknown := [track for track in tracks if _version(track) not in self._known]:
            await self._load(unknown, urgent=True)
        return [self._known[_version(track)] for track in tracks]

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
            image = await self._run_background(previews.cover, track.path, self._max_duration)
            await asyncio.to_thread(write_cached, cache_path, image)
        return image

    async def stop(self) -> None:
        """Stop loading, and end the worker."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
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

    async def _load(self, tracks: list[LibraryTrack], *, urgent: bool) -> None:
        try:
            run = self._run_urgent if urgent else self._run_background
            infos = await run(previews.probe_files, [track.path for track in tracks])
        except Mp4GenError:
            infos = [previews.MusicInfo(problem="The file cannot be read.") for _ in tracks]
        self._known.update(zip(map(_version, tracks), infos, strict=True))

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
                return await self._slot.run(func, *args)
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
                    return await self._slot.run(func, *args)


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

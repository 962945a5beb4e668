"""The library with what its files say about themselves, found out once and in the background."""

from __future__ import annotations

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
    """Titles, artists, lengths and covers; whatever is not known yet is filled in later.

    Args:
        library: the music.
        slot: a worker for looking into files.
        covers: the folder that small covers are kept in.
        max_duration: seconds of music in one video at most.
        on_change: called when more is known.
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
        """Every track, with what is known of it."""
        found = await asyncio.to_thread(lambda: list(self._library.all_tracks()))
        # What is not there any more, or is another file now, needs no memory.
        there = set(map(_version, found))
        self._known = {key: info for key, info in self._known.items() if key in there}
        unknown = [track for track in found if _version(track) not in self._known]
        if unknown and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._load_in_background(unknown))
        nothing = previews.MusicInfo()
        return [(track, self._known.get(_version(track), nothing)) for track in found]

    async def refresh_if_changed(self) -> None:
        """Tell of it when files have come or gone since the last look; looks not too often."""
        now = asyncio.get_running_loop().time()
        if now < self._next_scan:
            return
        self._next_scan = now + _RESCAN_INTERVAL
        before, self._fingerprint = (
            self._fingerprint,
            await asyncio.to_thread(self._library.fingerprint),
        )
        if before not in {"", self._fingerprint}:
            self._on_change()

    async def info(self, track: LibraryTrack) -> previews.MusicInfo:
        """What a file says about itself, looked up now where it is not known."""
        return (await self.infos([track]))[0]

    async def infos(self, tracks: list[LibraryTrack]) -> list[previews.MusicInfo]:
        """The same for several files, in their order."""
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
        """A moment of the video, as a JPEG.

        Args:
            track: the music.
            captions: `author` and `domain_name`.
            style: the arguments of `RenderStyle`.
            is_still_needed: asked when its turn has come, whether anybody still waits for it.

        Raises:
            Mp4GenError: this is no music that can become a video.
            ConnectionError: nobody waits for it any more.
        """
        preview_request = await self._preview_request(track, captions, style)
        return await self._run_urgent(
            previews.preview, preview_request, is_still_needed=is_still_needed
        )

    async def thumbnail(
        self, track: LibraryTrack, captions: dict[str, str | None], style: dict[str, object]
    ) -> bytes:
        """The same as a small JPEG, for a video that waits or is being made.

        Raises:
            Mp4GenError: this is no music that can become a video.
        """
        return await self._run_background(
            previews.preview_thumbnail, await self._preview_request(track, captions, style)
        )

    async def video_thumbnail(self, video: Path) -> bytes:
        """A moment of a finished video, as a small JPEG.

        Raises:
            Mp4GenError: there is no such video any more.
        """
        # Takes a tenth of a cover's time.
        return await self._run_urgent(previews.video_thumbnail, video)

    async def cover(self, track: LibraryTrack) -> bytes:
        """The track's square picture, as a JPEG.

        Raises:
            Mp4GenError: this is no music that can become a video.
        """
        name = hashlib.sha256(repr(_version(track)).encode()).hexdigest()[:32]
        cache_path = self._covers / f"{name}.jpg"
        image = await asyncio.to_thread(read_cached, cache_path)
        if image is None:
            image = await self._run_background(previews.cover, track.path, self._max_duration)
            await asyncio.to_thread(write_cached, cache_path, image)
        return image

    async def stop(self) -> None:
        """Look no further, and end the worker."""
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
            infos = [previews.MusicInfo(problem="It cannot be read.") for _ in tracks]
        self._known.update(zip(map(_version, tracks), infos, strict=True))

    async def _run_urgent(
        self, func: Callable[..., T], *args: Any, is_still_needed: Callable[[], bool] = lambda: True
    ) -> T:
        """One job at a time: this one before whatever can come later."""
        self._urgent_count += 1
        self._no_urgent_jobs.clear()
        try:
            async with self._lock:
                if not is_still_needed():
                    raise ConnectionResetError("nobody waits for it any more")
                return await self._slot.run(func, *args)
        finally:
            self._urgent_count -= 1
            if not self._urgent_count:
                self._no_urgent_jobs.set()

    async def _run_background(self, func: Callable[..., T], *args: Any) -> T:
        """One job at a time: this one once nobody waits for another."""
        while True:
            await self._no_urgent_jobs.wait()
            async with self._lock:
                if not self._urgent_count:
                    return await self._slot.run(func, *args)


def _version(track: LibraryTrack) -> _Version:
    return os.fspath(track.path), track.modified, track.size


def read_cached(path: Path) -> bytes | None:
    """A picture that is kept; None where it is not, or not any more."""
    try:
        content = path.read_bytes()
        if time.time() - path.stat().st_mtime > _DAY:
            # The cache loses first what nobody asked for lately.
            path.touch(exist_ok=True)
    except OSError:
        return None
    return content


def write_cached(path: Path, content: bytes) -> None:
    """Keep a picture for the next time, whole or not at all."""
    # A full disk is no reason not to show what was drawn.
    with contextlib.suppress(OSError), filesystem.atomic_write(path) as part:
        part.write_bytes(content)

"""Draws the images of tracks in a worker, and caches those that are asked for again."""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from mp4gen import filesystem
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.rendering import previews
from mp4gen.server.rendering.video_options import VideoOptions

from .library import LibraryTrack
from .metadata_cache import MetadataCache, version_of
from .reader_jobs import ReaderJobs

# Lines with gaps between them, on the page's waveform.
PEAK_COUNT = 120
_DAY = 86400.0


class TrackImages:
    """Covers, previews, thumbnails and waveforms.

    Every method raises `Mp4GenError` if the file cannot become a video or was deleted.

    Args:
        metadata: The titles and durations of the tracks.
        jobs: Runs the work.
        data: The data directory, with the cache and the users' pictures.
        max_duration: Maximum seconds of music in one video.
    """

    def __init__(
        self, metadata: MetadataCache, jobs: ReaderJobs, data: DataDirectory, *, max_duration: float
    ) -> None:
        self._metadata, self._jobs = metadata, jobs
        self._folder, self._pictures = data.cache, data.pictures
        self._max_duration = max_duration

    async def preview(
        self,
        track: LibraryTrack,
        captions: dict[str, str | None],
        style: dict[str, Any],
        options: VideoOptions,
        *,
        is_small: bool,
        is_still_needed: Callable[[], bool],
    ) -> bytes:
        """Return one frame of the video with these `author` and `domain_name`, as a JPEG.

        A small one, of which the page shows many, is cached and waits for all large ones.

        Raises:
            ConnectionError: When its turn came, `is_still_needed` returned False.
        """
        request = await self._preview_request(track, captions, style, options)
        if not is_small:
            return await self._jobs.run_urgent(
                previews.preview, request, is_still_needed=is_still_needed
            )
        run = partial(self._jobs.run_background, is_still_needed=is_still_needed)
        cache_path = self._cache_path(track, ".jpg", request)
        return await self._cached(cache_path, run, previews.quick_thumbnail, request)

    async def thumbnail(
        self,
        track: LibraryTrack,
        captions: dict[str, str | None],
        style: dict[str, Any],
        options: VideoOptions,
    ) -> bytes:
        """Return the same as a small JPEG, for an unfinished video."""
        request = await self._preview_request(track, captions, style, options)
        return await self._jobs.run_background(previews.preview_thumbnail, request)

    async def convert_picture(self, content: bytes) -> bytes:
        """Return a picture of the user's own as a JPEG of limited size."""
        return await self._jobs.run_urgent(previews.convert_picture, content)

    async def video_thumbnail(self, video: Path | str) -> bytes:
        """Return one frame of a finished video, in a file or at a URL, as a small JPEG."""
        # This takes a tenth of a cover's time.
        return await self._jobs.run_urgent(previews.video_thumbnail, video)

    async def cover(self, track: LibraryTrack) -> bytes:
        """Return the square cover of a track, as a JPEG."""
        cache_path = self._cache_path(track, ".jpg")
        run = self._jobs.run_background
        return await self._cached(cache_path, run, previews.cover, track.path)

    async def waveform(self, track: LibraryTrack, *, is_still_needed: Callable[[], bool]) -> bytes:
        """Return `seconds` and `PEAK_COUNT` `peaks` from 0 to 100 of a track, as JSON.

        Raises:
            ConnectionError: When its turn came, `is_still_needed` returned False.
        """
        cache_path = self._cache_path(track, ".json")
        run = partial(self._jobs.run_urgent, is_still_needed=is_still_needed)
        return await self._cached(cache_path, run, previews.waveform, track.path, PEAK_COUNT)

    async def _cached(self, path: Path, run: Callable[..., Awaitable[bytes]], *job: Any) -> bytes:
        content = await asyncio.to_thread(read_cached, path)
        if content is None:
            content = await run(*job)
            await asyncio.to_thread(write_cached, path, content)
        return content

    def _cache_path(self, track: LibraryTrack, suffix: str, *details: Any) -> Path:
        key = repr((version_of(track), *details) if details else version_of(track))
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{suffix}"

    async def _preview_request(
        self,
        track: LibraryTrack,
        captions: dict[str, str | None],
        style: dict[str, Any],
        options: VideoOptions,
    ) -> previews.PreviewRequest:
        info = await self._metadata.info(track)
        return previews.PreviewRequest(
            audio=track.path,
            duration=None if info.duration is None else options.seconds_of(info.duration),
            style=style,
            arguments={
                **captions,
                "title": options.title or info.title or track.path.stem,
                "cover": self._pictures / options.cover if options.cover else None,
                "start": options.start,
                "length": options.length,
                "max_duration": self._max_duration,
            },
            lyrics=options.lyrics,
        )


def read_cached(path: Path) -> bytes | None:
    """Return a cached file; None if it is not cached."""
    try:
        content = path.read_bytes()
        if time.time() - path.stat().st_mtime > _DAY:
            # The cache deletes the files first that were not read lately.
            path.touch(exist_ok=True)
    except OSError:
        return None
    return content


def write_cached(path: Path, content: bytes) -> None:
    """Cache a file."""
    # On a full disk the image is still shown.
    with contextlib.suppress(OSError), filesystem.atomic_write(path) as part:
        part.write_bytes(content)

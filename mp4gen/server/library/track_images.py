"""Draws the images of tracks in a worker, and caches those that are asked for again."""

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mp4gen import filesystem
from mp4gen.server.rendering import previews

from .library import LibraryTrack
from .metadata_cache import MetadataCache, version_of
from .reader_jobs import ReaderJobs

# Enough for lines of two pixels on the page's widest waveform.
PEAK_COUNT = 200
_DAY = 86400.0


class TrackImages:
    """Covers, previews, thumbnails and waveforms.

    Every method raises `Mp4GenError` if the file cannot become a video or was deleted.

    Args:
        metadata: The titles and durations of the tracks.
        jobs: Runs the work.
        folder: The folder of the cache.
        max_duration: Maximum seconds of music in one video.
    """

    def __init__(
        self, metadata: MetadataCache, jobs: ReaderJobs, folder: Path, *, max_duration: float
    ) -> None:
        self._metadata, self._jobs, self._folder = metadata, jobs, folder
        self._max_duration = max_duration

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
            ConnectionError: When its turn came, `is_still_needed` returned False.
        """
        request = await self._preview_request(track, captions, style)
        return await self._jobs.run_urgent(
            previews.preview, request, is_still_needed=is_still_needed
        )

    async def thumbnail(
        self, track: LibraryTrack, captions: dict[str, str | None], style: dict[str, object]
    ) -> bytes:
        """Return the same as a small JPEG, for an unfinished video."""
        request = await self._preview_request(track, captions, style)
        return await self._jobs.run_background(previews.preview_thumbnail, request)

    async def video_thumbnail(self, video: Path | str) -> bytes:
        """Return one frame of a finished video, in a file or at a URL, as a small JPEG."""
        # This takes a tenth of a cover's time.
        return await self._jobs.run_urgent(previews.video_thumbnail, video)

    async def cover(self, track: LibraryTrack) -> bytes:
        """Return the square cover of a track, as a JPEG."""
        cache_path = self._cache_path(track, ".jpg")
        image = await asyncio.to_thread(read_cached, cache_path)
        if image is None:
            image = await self._jobs.run_background(previews.cover, track.path)
            await asyncio.to_thread(write_cached, cache_path, image)
        return image

    async def waveform(self, track: LibraryTrack, *, is_still_needed: Callable[[], bool]) -> bytes:
        """Return `seconds` and `PEAK_COUNT` `peaks` from 0 to 100 of a track, as JSON.

        Raises:
            ConnectionError: When its turn came, `is_still_needed` returned False.
        """
        cache_path = self._cache_path(track, ".json")
        text = await asyncio.to_thread(read_cached, cache_path)
        if text is None:
            peaks, seconds = await self._jobs.run_urgent(
                previews.waveform, track.path, PEAK_COUNT, is_still_needed=is_still_needed
            )
            text = json.dumps({"seconds": round(seconds, 3), "peaks": peaks}).encode()
            await asyncio.to_thread(write_cached, cache_path, text)
        return text

    def _cache_path(self, track: LibraryTrack, suffix: str, *details: Any) -> Path:
        key = repr((version_of(track), *details) if details else version_of(track))
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{suffix}"

    async def _preview_request(
        self, track: LibraryTrack, captions: dict[str, str | None], style: dict[str, object]
    ) -> previews.PreviewRequest:
        info = await self._metadata.info(track)
        return previews.PreviewRequest(
            audio=track.path,
            duration=info.duration,
            captions={"title": info.title or track.path.stem, **captions},
            style=style,
            max_duration=self._max_duration,
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

"""Counts what a server has done since its start, for `/metrics`; imports no other part of it."""

from collections import Counter

import attrs


@attrs.define
class Counters:
    """The counters of one server.

    Attributes:
        renders: Tasks that ended, by their result: "done", or the code of the failure.
        troubles: Renders that are tried again, by the reason: "crash", or "place" (the disk, a
            folder, the machine) for any reason that is neither the song's nor the renderer's.
        render_seconds: Seconds that finished renders took.
        music_seconds: Seconds of the videos.
        video_bytes: Bytes of the videos.
        callbacks: Callbacks by their result: "delivered" or "failed".
        callback_attempts: Attempts to deliver a callback.
    """

    renders: Counter[str] = attrs.field(factory=Counter)
    troubles: Counter[str] = attrs.field(factory=Counter)
    render_seconds: float = 0.0
    music_seconds: float = 0.0
    video_bytes: int = 0
    callbacks: Counter[str] = attrs.field(factory=Counter)
    callback_attempts: int = 0

    def record_end(
        self, error_code: int | None, elapsed: float, duration: float | None, size: int | None
    ) -> None:
        """Count a task that is done, or failed with `error_code`."""
        self.renders["done" if error_code is None else str(error_code)] += 1
        if error_code is None:
            self.render_seconds += elapsed
            self.music_seconds += duration or 0.0
            self.video_bytes += size or 0

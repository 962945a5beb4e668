"""Tells a render when to stop: because somebody wants it to, or because its time is over."""

from __future__ import annotations

import time
from typing import Protocol

from mp4gen.errors import RenderCancelledError, RenderError


class CancelToken(Protocol):
    """Anything that can be asked whether to stop: a `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to stop now."""


class Deadline:
    """A wish to stop, and a limit of time beside it.

    Args:
        cancel: the wish.
        timeout: of real time from now on.
    """

    def __init__(self, cancel: CancelToken | None, timeout: float) -> None:
        self._cancel = cancel
        self._timeout = timeout
        self._started = time.monotonic()

    def extend(self, timeout: float) -> None:
        """Change the limit, counted from the start, once more is known."""
        self._timeout = timeout

    def is_set(self) -> bool:
        """Whether to stop.

        Raises:
            RenderError: the time is over.
        """
        if time.monotonic() - self._started > self._timeout:
            raise RenderError(
                f"The render took longer than its limit of {self._timeout:.4g} s; raise timeout "
                "or choose a smaller picture."
            )
        return self._cancel is not None and self._cancel.is_set()


def check_cancelled(cancel: CancelToken | None) -> None:
    """Raise RenderCancelledError once `cancel` is set."""
    if cancel is not None and cancel.is_set():
        raise RenderCancelledError("The render was cancelled.")

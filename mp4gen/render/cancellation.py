"""Stop a render when its caller cancels it or its timeout ends. Interrupts nothing itself."""

import time
from typing import Protocol

from mp4gen.errors import RenderCancelledError, RenderError


class CancelToken(Protocol):
    """The part of a `threading.Event` that a render reads."""

    def is_set(self) -> bool:
        """Return whether to stop now."""


class Deadline:
    """The caller's cancel token with a timeout, in seconds of real time from now on."""

    def __init__(self, cancel: CancelToken | None, timeout: float) -> None:
        self._cancel = cancel
        self._timeout = timeout
        self._started = time.monotonic()

    def extend(self, timeout: float) -> None:
        """Replace the timeout, counted from the start."""
        self._timeout = timeout

    def is_set(self) -> bool:
        """Return whether the caller's token is set.

        Raises:
            RenderError: the time is over.
        """
        if time.monotonic() - self._started > self._timeout:
            raise RenderError(
                f"The render timed out after {self._timeout:.4g} s. Raise timeout or choose a "
                "smaller size."
            )
        return self._cancel is not None and self._cancel.is_set()


def check_cancelled(cancel: CancelToken | None) -> None:
    """Raise RenderCancelledError if `cancel` is set."""
    if cancel is not None and cancel.is_set():
        raise RenderCancelledError("The render was cancelled.")

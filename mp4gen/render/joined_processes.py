"""Let processes of other machines join a render by a socket, and leave it at any time."""

import selectors
import socket
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from .piece_process import PieceConnection
from .side_by_side import PieceProcesses
from .socket_path import AF_UNIX, short_path

MAX_JOINED = 63
# Minimum seconds of music for each process: it gets all that is known of the video first.
SECONDS_PER_PROCESS = 60.0


class JoinedProcesses(PieceProcesses):
    """Processes that others start; one that leaves costs the piece that it was encoding.

    Args:
        address: path of the socket at which they join, which is created.
        on_wanted: called with the number of processes that are worth it.

    Raises:
        OSError: the socket cannot be made, or the system has none of its kind.
    """

    may_join = True

    def __init__(self, address: Path, on_wanted: Callable[[int], None]) -> None:
        super().__init__(1 + MAX_JOINED)
        self._on_wanted = on_wanted
        self._listener = socket.socket(AF_UNIX)
        try:
            with short_path(address) as path:
                self._listener.bind(path)
        except OSError:
            self._listener.close()
            self._selector.close()
            raise
        self._listener.listen(MAX_JOINED)
        self._listener.settimeout(0)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def __exit__(self, *error: object) -> None:
        self._on_wanted(0)
        self._listener.close()
        super().__exit__(*error)

    def start(self, duration: float) -> None:
        """Ask for as many as are worth it for `duration` seconds of music."""
        self._on_wanted(min(MAX_JOINED, int(duration / SECONDS_PER_PROCESS)))

    def wait(self, timeout: float) -> list[PieceConnection]:
        """Let processes join, and return those that have reported, as the base class does."""
        ready = [key.fd for key, _ in self._selector.select(timeout)]
        if self._listener.fileno() in ready:
            joined, _ = self._listener.accept()
            joined.settimeout(None)
            self._add(PieceConnection(Connection(joined.detach())))
        return [self._started[descriptor] for descriptor in ready if descriptor in self._started]

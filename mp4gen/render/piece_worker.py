"""The program of a process that encodes pieces; knows no file, and nothing of other processes."""

import ctypes
import os
import signal
import sys
from itertools import islice
from multiprocessing.connection import Connection

import av.error

from mp4gen.errors import RenderError

from .encode import report_interval
from .pieces import PieceEncoder

_PR_SET_PDEATHSIG = 1


def main(descriptor: int, parent: int) -> None:
    """Encode pieces of one video until the parent ends this process, or ends itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with Connection(descriptor) as connection:
        try:
            if os.getppid() == parent:
                serve(connection)
        except (EOFError, ConnectionError):
            # The parent has ended.
            return


def serve(connection: Connection) -> None:
    """Encode pieces of one video until the other end closes the connection.

    Raises:
        EOFError: it did, as with `ConnectionError`.
    """
    connection.send(None)
    connection.send(_encode_pieces(connection))


def _encode_pieces(connection: Connection) -> Exception:
    """Encode the pieces that are asked for, and return the error at which this ended."""
    prepared = connection.recv()
    try:
        encoder = PieceEncoder(prepared)
        while True:
            frames = encoder.encode(*connection.recv())
            while part := [*islice(frames, report_interval(prepared.style))]:
                connection.send(part)
            connection.send(None)
    except (EOFError, ConnectionError):
        raise
    except av.error.FFmpegError as error:
        return RenderError(f"Cannot encode the video: {error.strerror}.")
    except Exception as error:  # noqa: BLE001 - the parent raises it
        return error

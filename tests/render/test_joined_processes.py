"""Processes of other machines join a render and leave it: threads of the test play them."""

import os
import socket
import threading
from collections.abc import Callable
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, joined_processes, pieces, render_video
from mp4gen.render.joined_processes import JoinedProcesses
from mp4gen.render.pieces import Piece, PieceEncoder
from mp4gen.render.socket_path import short_path

SMALL = RenderStyle(width=160, height=160, fps=48)
FRAMES_PER_PIECE = 12


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(frame_count: int, _: RenderStyle) -> list[Piece]:
        firsts = range(0, frame_count, FRAMES_PER_PIECE)
        return [Piece(first, min(first + FRAMES_PER_PIECE, frame_count)) for first in firsts]

    monkeypatch.setattr(pieces, "cut", cut)
    monkeypatch.setattr(joined_processes, "SECONDS_PER_PROCESS", 1.0)


@pytest.fixture(scope="module")
def music(tools: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tools.encode(tmp_path_factory.mktemp("music") / "tone.mp3", tools.tone(3.0))


def encode_all(connection: Connection, done: list[Piece]) -> None:
    """Encode each piece that is asked for."""
    encoder = PieceEncoder(connection.recv())
    while True:
        piece, style = connection.recv()
        connection.send([*encoder.encode(piece, style)])
        connection.send(None)
        done.append(piece)


def leave_in_the_middle(connection: Connection, done: list[Piece]) -> None:
    """Encode some frames of a piece."""
    encoder = PieceEncoder(connection.recv())
    piece, style = connection.recv()
    connection.send([*islice(encoder.encode(piece, style), 5)])
    done.append(piece)


def fail(connection: Connection, done: list[Piece]) -> None:
    """Report an error, as a machine without memory does."""
    connection.recv()
    done.append(connection.recv()[0])
    connection.send(MemoryError())
    connection.recv()


Helper = Callable[[Connection, list[Piece]], None]


class Helpers:
    """Threads that join a render as soon as it asks for them."""

    def __init__(self, address: Path, *helpers: Helper) -> None:
        self.address, self.helpers = address, helpers
        self.wanted: list[int] = []
        self.done: list[Piece] = []
        self._joined = threading.Semaphore(0)
        self.threads = [threading.Thread(target=self._join, args=[one]) for one in helpers]

    def start(self, count: int) -> None:
        """Join once, before the render goes on; take note of each request."""
        self.wanted.append(count)
        if len(self.wanted) == 1:
            for thread in self.threads:
                thread.start()
            for _ in self.threads:
                self._joined.acquire()

    def _join(self, helper: Helper) -> None:
        end = socket.socket(socket.AF_UNIX)
        end.connect(os.fspath(self.address))
        with Connection(end.detach()) as connection:
            connection.send(None)
            self._joined.release()
            try:
                helper(connection, self.done)
            except (EOFError, OSError):
                return


@pytest.fixture
def render(music: Path, tmp_path: Path) -> Callable[..., Helpers]:
    """Return a function that renders with helpers, and checks the bytes."""
    expected = tmp_path / "alone.mp4"
    render_video(music, expected, style=SMALL)

    def start(*helpers: Helper) -> Helpers:
        joining = Helpers(tmp_path / "pieces", *helpers)
        found = tmp_path / "joined.mp4"
        processes = JoinedProcesses(joining.address, joining.start)
        render_video(music, found, style=SMALL, workers=processes)
        for thread in joining.threads:
            thread.join()
        assert found.read_bytes() == expected.read_bytes()
        return joining

    return start


def test_helper_encodes_pieces_and_ends_with_the_render(render: Any) -> None:
    """The bytes are those of one process; the render says how many it wants."""
    helpers = render(encode_all)

    assert helpers.wanted == [3, 3, 0]
    assert len(helpers.done) > 0


@pytest.mark.parametrize("helper", [leave_in_the_middle, fail])
def test_piece_of_a_helper_that_left_is_encoded_again(render: Any, helper: Helper) -> None:
    """A machine may go at any time, or fail for a reason of its own."""
    helpers = render(helper, encode_all)

    assert len(helpers.done) >= 2


def test_render_without_any_helper_is_complete(render: Any) -> None:
    """It waits for no process."""
    assert render().wanted == [3, 3, 0]


def test_hanging_helper_loses_its_piece(render: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is closed after some time without any frame."""
    from mp4gen.render import side_by_side

    def hang(connection: Connection, done: list[Piece]) -> None:
        connection.recv()
        done.append(connection.recv()[0])
        connection.recv()

    monkeypatch.setattr(side_by_side, "_MAX_SILENCE", 0.1)

    assert len(render(hang).done) == 1


def test_error_of_the_video_is_raised_by_the_render_itself(music: Path, tmp_path: Path) -> None:
    """A failed helper hides nothing; the socket is closed."""
    helpers = Helpers(tmp_path / "pieces", encode_all)
    processes = JoinedProcesses(helpers.address, helpers.start)

    with pytest.raises(RenderError, match="max_size"):
        render_video(music, tmp_path / "a.mp4", style=SMALL, workers=processes, max_size=10)
    helpers.threads[0].join()

    assert list(tmp_path.glob("*.mp4")) == []


def test_address_of_any_length_is_reached(tmp_path: Path) -> None:
    """Systems limit the address of a socket to about 100 bytes."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    address = folder / "pieces"

    with JoinedProcesses(address, lambda _: None), socket.socket(socket.AF_UNIX) as end:
        with short_path(address) as path:
            end.connect(path)

        assert address.is_socket()
        assert len(path) < 100


def test_socket_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """The caller then renders without helpers."""
    with pytest.raises(OSError, match="No such file"):
        JoinedProcesses(tmp_path / "missing" / "pieces", lambda _: None)

"""Uploads of the page: names, limits and errors."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace as Usage
from typing import Any

import pytest

from mp4gen.errors import InvalidRequestError
from mp4gen.server.library import uploads
from mp4gen.server.library.uploads import safe_name

from .conftest import Serve, write_song


@pytest.mark.slow
async def test_upload_becomes_a_track(serve: Serve, visit: Any, tmp_path: Path) -> None:
    """A file keeps its name; a second file of the same name gets a number."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    song = write_song(tmp_path / "new.wav").read_bytes()

    responses = [
        await visitor.ask("POST", "/page/upload", params={"name": "../My Song.WAV"}, data=song)
        for _ in range(2)
    ]

    assert [json.loads(body)["audio"] for _, _, body in responses] == ["My Song", "My Song (2)"]
    assert json.loads(responses[0][2])["task"] == "Uploads"
    made = await caller.create_and_wait("Uploads", "My Song")
    assert made["successFlag"] == "SUCCESS"


async def test_upload_fails_on_a_full_disk_or_a_stalled_body(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up meanwhile is 507, a stalled body is 400; no partial file stays."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    folder = caller.server.config.music / "Uploads"

    async def stalling_body() -> Any:
        yield b"RIFF"
        await asyncio.Event().wait()

    monkeypatch.setattr(uploads, "_READ_TIMEOUT", 0.05)
    stalled = await visitor.ask("POST", "/page/upload?name=a.wav", data=stalling_body())
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda _: Usage(free=3))
    full = await visitor.ask("POST", "/page/upload?name=a.wav", data=b"RIFF")
    monkeypatch.undo()

    assert (stalled[0], full[0]) == (400, 507)
    assert b"stalled" in stalled[2]
    assert list(folder.iterdir()) == []


async def test_invalid_upload_is_rejected(serve: Serve, visit: Any, music: Path) -> None:
    """A wrong extension, a file that is not audio, a file that is too large: an error, no file."""
    visitor = visit(await serve(max_upload_bytes=50_000))
    await visitor.open()
    path = "/page/upload"

    extension = await visitor.ask("POST", path, params={"name": "a.exe"}, data=b"MZ")
    noise = await visitor.ask("POST", path, params={"name": "a.mp3"}, data=b"not audio")
    large = await visitor.ask("POST", path, params={"name": "a.mp3"}, data=b"x" * 60_000)

    assert [status for status, _, _ in (extension, noise, large)] == [400, 400, 413]
    assert b"Not a readable audio file: a.mp3." in noise[2]
    folder = music / "Uploads"
    assert not folder.exists() or not list(folder.iterdir())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.mp3", "a.mp3"),
        ("../../etc/x.MP3", "x.mp3"),
        ("..\\x.flac", "x.flac"),
        (".hidden.ogg", "hidden.ogg"),
        ("a\x00b\u202e.wav", "ab.wav"),
        ("é" * 300 + ".mp3", "é" * 60 + ".mp3"),
    ],
)
def test_safe_name_makes_names_safe(name: str, expected: str) -> None:
    """A safe name leads nowhere, is not hidden, and is not too long."""
    assert safe_name(name) == expected


@pytest.mark.parametrize("name", ["", ".mp3", "mp3", "a", "a.mp4", "../", "a.mp3/.."])
def test_safe_name_rejects_names_of_other_files(name: str) -> None:
    """A name without an audio file's extension, or with nothing before it, is rejected."""
    with pytest.raises(InvalidRequestError):
        safe_name(name)

"""`mp4gen convert --public-url`: callbacks replace most polls."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mp4gen.testing import CallbackBehavior, FakeService
from tests.support_proxy import free_port


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "tracks.csv"
    path.write_text("taskId,audioId\nmusic,one\nmusic,two\n")
    return path


def test_convert_with_public_url_polls_once_a_video(
    mp4gen, table: Path, tmp_path: Path, monkeypatch
) -> None:
    """Two tracks cost two submits and two polls."""
    port = free_port()
    with FakeService(callbacks=CallbackBehavior(), duration=0.2) as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)

        ended = mp4gen(
            "convert", table, "--to", tmp_path / "videos",
            "--public-url", f"http://127.0.0.1:{port}/callbacks", "--callback-port", port,
        )  # fmt: skip

        assert ended.code == 0, ended.err
        assert service.count("create") == service.count("details") == 2
        assert sorted(path.name for path in (tmp_path / "videos").glob("*.mp4")) == [
            "one.mp4",
            "two.mp4",
        ]


def test_convert_names_a_port_in_use_before_it_submits(
    mp4gen, table: Path, tmp_path: Path, monkeypatch
) -> None:
    """One sentence says what to do; nothing is sent."""
    with FakeService() as service, socket.socket() as taken:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ended = mp4gen(
            "convert", table, "--to", tmp_path / "videos",
            "--public-url", "https://here.example", "--callback-port", port,
        )  # fmt: skip

        assert ended.code == 2
        assert f"port {port}" in ended.err
        assert "--callback-port" in ended.err
        assert service.requests == []


def test_convert_rejects_an_invalid_public_url(mp4gen, table: Path, tmp_path: Path) -> None:
    """One sentence, before anything is sent."""
    ended = mp4gen(
        "convert", table, "--to", tmp_path, "--public-url", "here.example", "--key", "k" * 12
    )

    assert ended.code == 2
    assert "Invalid public_url: " in ended.err

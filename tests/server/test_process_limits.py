"""Limits that a system refuses do not end the server."""

import logging
import sys

import pytest

from mp4gen.server.process_limits import open_files, set_limit
from mp4gen.server.web.connection_limit import check_fd_limit, raise_fd_limit

resource = pytest.importorskip("resource")


@pytest.mark.parametrize(
    "error", [ValueError("current limit exceeds maximum limit"), OSError(22, "Invalid argument")]
)
def test_set_limit_skips_what_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A limit that the system refuses, such as that of memory on macOS, is only logged."""

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(resource, "setrlimit", refuse)
    with caplog.at_level(logging.DEBUG, "mp4gen.server"):
        accepted = set_limit("RLIMIT_AS", 1 << 30)

    assert not accepted
    assert "refuses RLIMIT_AS=1073741824" in caplog.text


def test_set_limit_skips_what_the_system_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenBSD has no RLIMIT_AS."""
    monkeypatch.delattr(resource, "RLIMIT_AS")

    assert not set_limit("RLIMIT_AS", 1 << 30)


def test_there_are_no_limits_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no `resource` module, so no limit is set."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)

    check_fd_limit()

    assert not set_limit("RLIMIT_CPU", 1)
    assert open_files() == (None, None)
    assert raise_fd_limit() == 10_000


def test_raise_fd_limit_takes_what_macos_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS, which reports no hard limit, at most 10,240 open files are requested."""
    infinity = (1 << 63) - 1
    current = (256, infinity)

    def set_files(_: int, limits: tuple[int, int]) -> None:
        nonlocal current
        if limits[0] > 10_240:
            raise ValueError("current limit exceeds maximum limit")
        current = limits

    monkeypatch.setattr(resource, "RLIM_INFINITY", infinity)
    monkeypatch.setattr(resource, "getrlimit", lambda _: current)
    monkeypatch.setattr(resource, "setrlimit", set_files)

    assert raise_fd_limit() == (10_240 - 128) // 2
    assert current == (10_240, infinity)

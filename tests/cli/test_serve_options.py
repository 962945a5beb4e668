"""`mp4gen serve`: its options are those of `ServerConfig`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mp4gen.cli.serve_options import (
    DEFAULT_ACCESS,
    DEFAULT_LIMITS,
    DEFAULT_VIDEO,
    Access,
    Limits,
    Service,
    server_config,
)
from mp4gen.options import RateLimit
from mp4gen.render import RenderStyle
from mp4gen.server import ServerConfig
from mp4gen.server.config import MIB


def service(music: Path) -> Any:
    options: Any = Service  # its arguments are made at import
    return options(music=music)


def test_server_config_has_the_defaults_of_the_class(tmp_path: Path) -> None:
    """An option that is not used changes nothing."""
    config = server_config(service(tmp_path), DEFAULT_ACCESS, DEFAULT_VIDEO, DEFAULT_LIMITS)

    assert config == ServerConfig(music=tmp_path, style=RenderStyle())


def test_server_config_converts_the_options(tmp_path: Path) -> None:
    """Files, rates and sizes become the values of the settings."""
    (tmp_path / "key").write_text("k-7f3a\n")
    (tmp_path / "accounts").write_text("# two\nann=a-7f3a\nben = b-7f3a\n")
    access: Any = Access
    limits: Any = Limits

    config = server_config(
        service(tmp_path),
        access(key_file=tmp_path / "key", accounts=tmp_path / "accounts", allowed_host=["x.test"]),
        DEFAULT_VIDEO,
        limits(rate_limit="5/2.5", min_free="1.5M", workers=3),
    )

    assert config.accounts == {"": "k-7f3a", "ann": "a-7f3a", "ben": "b-7f3a"}
    assert config.allowed_hosts == ("x.test",)
    assert config.rate_limit == RateLimit(5, per=2.5)
    assert (config.min_free_bytes, config.workers) == (3 * MIB // 2, 3)


def test_repr_of_the_options_hides_the_key() -> None:
    """A traceback or a log that shows the options does not show the key."""
    access: Any = Access

    assert "k-7f3a" not in repr(access(key="k-7f3a"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "70000"), ("RATE_LIMIT", "many"), ("MIN_FREE", "some"), ("FPS", "5"), ("KEY", "é")],
)
def test_serve_reads_its_options_from_the_environment(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """A wrong value there is refused, too."""
    monkeypatch.setenv(f"MP4GEN_SERVE_{variable}", value)

    assert mp4gen("serve", "--music", ".").code == 2


def test_accounts_file_without_an_account_is_refused(mp4gen: Any, tmp_path: Path) -> None:
    """Otherwise the server would accept everyone."""
    (tmp_path / "accounts").write_text("# ann=a-7f3a\n\n")

    ended = mp4gen("serve", "--music", ".", "--accounts", str(tmp_path / "accounts"))

    assert ended.code == 2
    assert "No account in" in ended.err


def test_file_that_is_not_a_font_ends_the_start(mp4gen: Any, tmp_path: Path) -> None:
    """The sentence names the file and the option."""
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    places = ("--music", ".", "--data", str(tmp_path / "data"))

    ended = mp4gen("serve", *places, "--font", str(tmp_path / "c.png"))

    assert ended.code == 2
    assert "c.png. Choose a TrueType or OpenType file with --font." in ended.err

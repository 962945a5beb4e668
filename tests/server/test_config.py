"""The settings of a server."""

import pwd
from pathlib import Path

import attrs
import pytest

from mp4gen import ConfigurationError
from mp4gen.server import ServerConfig


def test_server_config_describes_each_field() -> None:
    """Every field carries its description, as the docstring has it on one line or more."""
    texts = {field.name: field.metadata["help"] for field in attrs.fields(ServerConfig)}

    assert [name for name, text in texts.items() if not text.endswith(".")] == []
    assert texts["port"] == "The port to listen on; 0 for any free port."
    assert texts["account_keys"].endswith("An account sees only its own videos.")


def test_server_without_a_home_folder_needs_a_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A container's user may have neither HOME nor an account; `~` must not become a folder."""

    def no_account(_: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_account)

    assert ServerConfig(music=tmp_path, data=tmp_path).data == tmp_path
    with pytest.raises(ConfigurationError, match=r"No home folder .* with --data\."):
        ServerConfig(music=tmp_path)

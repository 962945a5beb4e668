"""The settings of a server."""

import attrs

from mp4gen.server import ServerConfig


def test_server_config_describes_each_field() -> None:
    """Every field carries its description, as the docstring has it on one line or more."""
    texts = {field.name: field.metadata["help"] for field in attrs.fields(ServerConfig)}

    assert [name for name, text in texts.items() if not text.endswith(".")] == []
    assert texts["port"] == "The port to listen on; 0 for any free port."
    assert texts["account_keys"].endswith("An account sees only its own videos.")

"""The bots stay short."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / ".docs" / "examples"


@pytest.mark.parametrize(
    ("name", "longest"), [("aiogram_bot", 34), ("telegram_bot", 29), ("discord_bot", 38)]
)
def test_bot_is_short(name: str, longest: int) -> None:
    """A bot that survives restarts needs at most this many lines, without the empty ones."""
    lines = (EXAMPLES / f"{name}.py").read_text().splitlines()

    assert len([line for line in lines if line.strip()]) <= longest

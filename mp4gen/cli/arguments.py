"""Completes the parsed arguments of a command; parses nothing."""

import os
from pathlib import Path
from typing import Any

import attrs


def expand_user(value: Any) -> Any:
    """Return `value` with the `~` of each path in it expanded: shells keep that of `--to=~/x`."""
    if isinstance(value, Path):
        return Path(expand_user_text(str(value)))
    if isinstance(value, list):
        return [expand_user(item) for item in value]
    if attrs.has(type(value)):
        changes = {
            field.alias: expand_user(getattr(value, field.name))
            for field in attrs.fields(type(value))
        }
        return attrs.evolve(value, **changes)
    return value


def expand_user_text(path: str) -> str:
    """Return a path, which may end in a slash, with `~` expanded; unchanged if there is no home."""
    return os.path.expanduser(path)  # noqa: PTH111 - a `Path` drops the slash, and may raise

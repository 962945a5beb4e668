"""The looks of a video, by name; those of other packages come from their entry points."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, cast

from mp4gen.errors import RenderError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import EntryPoint

    from .look import Look

ENTRY_POINTS = "mp4gen.looks"
OWN_LOOKS = "bars", "ring", "wave", "waveform", "pulse"


def look_names() -> tuple[str, ...]:
    """Return the names of all looks, our own first."""
    others = {entry.name for entry in _entry_points()}
    return (*OWN_LOOKS, *sorted(others - set(OWN_LOOKS)))


def check_look(name: object) -> None:
    """Check that there is a look with this name, without loading it.

    Raises:
        RenderError: there is none; the message lists those that exist.
    """
    if name not in OWN_LOOKS and name not in look_names():
        raise RenderError(f"Unknown look: {name!r}. Use one of: {', '.join(look_names())}.")


def find_look(name: str) -> Look:
    """Return the look with this name.

    Raises:
        RenderError: there is none, or the package that has it cannot be loaded.
    """
    if name in OWN_LOOKS:
        return cast("Look", importlib.import_module(f".{name}", __name__).layout_for)
    return _other_look(name)


@functools.cache
def _other_look(name: str) -> Look:
    check_look(name)
    entry = next(entry for entry in _entry_points() if entry.name == name)
    try:
        return cast("Look", entry.load())
    except Exception as error:
        raise RenderError(
            f"Cannot load the look {name!r} from {entry.value}: {error!r}. Reinstall its package."
        ) from error


def _entry_points() -> Iterable[EntryPoint]:
    # As slow to import as a tenth of the renderer, and rarely used.
    from importlib import metadata

    return metadata.entry_points(group=ENTRY_POINTS)

"""The public face: complete, sorted, claimed by the package, and cheap to import."""

import subprocess
import sys

import pytest

import mp4gen
from mp4gen import errors, events, task_errors

HEAVY = (
    "aiohttp.web sqlite3 numpy av PIL rich cyclopts pytest "
    "mp4gen.bulk.run mp4gen.bulk.ledger mp4gen.testing"
).split()


def test_public_names_are_sorted() -> None:
    """A name is found where one looks for it."""
    assert mp4gen.__all__ == sorted(mp4gen.__all__)


def test_public_names_are_claimed() -> None:
    """A traceback and a pickle speak of `mp4gen.Name`, wherever it is defined."""
    for name in mp4gen.__all__:
        assert getattr(mp4gen, name).__module__ == "mp4gen", name


def test_every_error_and_event_is_public() -> None:
    """What can be raised or observed can be named."""
    defined = {
        name
        for module in (errors, task_errors, events)
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, errors.Mp4GenError | events.Event)
        and not name.startswith("_")
    }

    assert defined <= set(mp4gen.__all__)


def test_nothing_else_is_public() -> None:
    """A helper that slips into the package's face would have to be kept for ever."""
    modules = {name for name, value in vars(mp4gen).items() if isinstance(value, type(sys))}
    public = {name for name in dir(mp4gen) if not name.startswith("_")}

    assert public - modules - {"annotations"} == set(mp4gen.__all__)


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    """Somebody who only calls the API pays for no server, renderer or terminal."""
    code = f"import sys, mp4gen; print([m for m in {HEAVY!r} if m in sys.modules])"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert loaded.strip() == "[]"


@pytest.mark.parametrize("package", ["av", "numpy", "PIL"])
def test_a_missing_extra_is_named_with_its_remedy(package: str) -> None:
    """Whoever installed the bare SDK and imports the renderer reads what to install."""
    code = f"import sys; sys.modules[{package!r}] = None; import mp4gen.render"
    tried = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )

    *_, last = tried.stderr.splitlines()
    assert tried.returncode == 1
    assert last.endswith(f"mp4gen.render needs the package {package}: pip install 'mp4gen[render]'")

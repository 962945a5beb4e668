"""The public names are complete, sorted, claimed by the package, and cheap to import."""

import subprocess
import sys

import pytest

import mp4gen
from mp4gen import errors, events, task_errors

HEAVY = (
    "aiohttp.web sqlite3 mutagen numpy av PIL rich cyclopts pytest "
    "mp4gen.bulk.run mp4gen.bulk.ledger mp4gen.sync mp4gen.testing"
).split()
RENDERER = ("av", "mutagen", "numpy", "PIL")
SERVE = "serve(ServerConfig(music='.'))"


def test_public_names_are_sorted() -> None:
    """`__all__` is in alphabetical order."""
    assert mp4gen.__all__ == sorted(mp4gen.__all__)


def test_public_names_are_claimed() -> None:
    """Tracebacks and pickles name `mp4gen.Name`, not the defining module."""
    for name in mp4gen.__all__:
        assert getattr(mp4gen, name).__module__ == "mp4gen", name


def test_every_error_and_event_is_public() -> None:
    """Each error that can be raised and each event is exported."""
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
    """The package has no public attribute beyond `__all__` and its modules."""
    public = {name for name in dir(mp4gen) if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(mp4gen, name), type(sys))}

    assert public - modules - {"annotations"} == set(mp4gen.__all__)


def test_importing_the_sdk_loads_nothing_heavy() -> None:
    """`import mp4gen` loads no server, renderer, ledger or terminal library."""
    code = f"import sys, mp4gen; print([m for m in {HEAVY!r} if m in sys.modules])"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert loaded.strip() == "[]"


def test_client_loads_nothing_of_callbacks() -> None:
    """A client without a receiver, and an app that only parses callbacks, load no other part."""
    code = "import sys, mp4gen; mp4gen.{}; print([m for m in {} if m in sys.modules])"
    callbacks = ["mp4gen.api.callbacks", "mp4gen.conversion.callbacks"]

    for use, unneeded in {"Client('key')": callbacks, "parse_callback": ["mp4gen.client"]}.items():
        loaded = subprocess.run(
            [sys.executable, "-c", code.format(use, unneeded)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert loaded.strip() == "[]"


def test_formats_and_options_of_the_renderer_need_no_codecs() -> None:
    """The server lists music and checks styles without what renders them."""
    use = "from mp4gen.render import RenderStyle, formats; RenderStyle()"
    code = f"import sys; {use}; print([m for m in {HEAVY!r} if m in sys.modules])"

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert loaded.strip() == "[]"


def test_public_packages_are_loaded_on_use() -> None:
    """After `import mp4gen`, names work as the documentation writes them."""
    uses = "redis.RedisRateLimiter render.RenderStyle server.ServerConfig testing.FakeService"
    code = f"import mp4gen; print(*(eval(f'mp4gen.{{one}}').__name__ for one in {uses.split()!r}))"

    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert shown == "RedisRateLimiter RenderStyle ServerConfig FakeService\n"


def test_blocking_client_is_loaded_on_use() -> None:
    """`mp4gen.sync` needs no import of its own."""
    code = "import mp4gen; print(mp4gen.sync.Client, mp4gen.sync.ConversionRun)"

    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert shown == "<class 'mp4gen.sync.Client'> <class 'mp4gen.sync.ConversionRun'>\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "extra", "use"),
    [
        *((one, "render", "from mp4gen.render import render_video") for one in RENDERER),
        ("PIL", "server", f"import asyncio; from mp4gen.server import *; asyncio.run({SERVE})"),
    ],
)
def test_missing_extra_names_the_install_command(package: str, extra: str, use: str) -> None:
    """Using the renderer or the server without its extra says what to install."""
    code = f"import sys; sys.modules[{package!r}] = None; {use}"
    result = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )

    *_, last = result.stderr.splitlines()
    assert result.returncode == 1
    assert last.endswith(f"Missing package: {package}. Run: pip install 'mp4gen[{extra}]'.")

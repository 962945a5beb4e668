"""Each public name has an example that runs as written, and each error says what to do."""

import ast
import asyncio
import importlib
import inspect
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import attrs
import pytest

import mp4gen
from mp4gen.testing import FakeService
from tests.support_redis import BINARY, MISSING, RedisServer

ROOT = Path(__file__).parents[2]
PACKAGES = ("", ".redis", ".render", ".server", ".sync", ".testing")
CELLS = SimpleNamespace(**runpy.run_path(str(ROOT / ".docs" / "cells.py")))
EXAMPLES: dict[str, str] = CELLS.read_cells()
BLOCKING = {
    name.replace("mp4gen.Client.", "mp4gen.sync.Client."): CELLS.without_await(code)
    for name, code in EXAMPLES.items()
    if name.startswith("mp4gen.Client.") and not name.endswith(("aclose", "convert_many"))
}
# Public to other packages of mp4gen only; the reference pages leave them out.
INTERNAL = {
    "mp4gen.redis.RedisRateLimiter.session",
    "mp4gen.render.SongCache.add_audio",
    "mp4gen.render.SongCache.audio",
    "mp4gen.render.SongCache.features",
    "mp4gen.server.ServerConfig.accounts",
    "mp4gen.server.ServerConfig.bucket",
    "mp4gen.server.ServerConfig.scaled_render_timeout",
    "mp4gen.testing.FakeTask.details",
}
SONG = ROOT / "mp4gen" / "cli" / "demo_music" / "Night Train.opus"
OWN_CLIENT = re.compile(r"\bclient = |\bas client\b")
COMMENT = re.compile(r"\bprint\(.*\)  # (.+)$")


def public_names() -> Iterator[str]:
    """Yield each exported name, and each method or property of an exported class."""
    for package in PACKAGES:
        module = importlib.import_module(f"mp4gen{package}")
        for name in module.__all__:
            path = f"{module.__name__}.{name}"
            yield path
            if inspect.isclass(found := getattr(module, name)):
                for method in own_methods(found):
                    yield f"{path}.{method}"


def own_methods(found: type) -> set[str]:
    """Return the public methods and properties of a class that mp4gen has written."""
    kinds = (property, classmethod, staticmethod)
    return {
        name
        for base in found.__mro__
        if base.__module__.startswith("mp4gen")
        for name, value in vars(base).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds))
    }


def used_names(code: str) -> set[str]:
    """Return the names and the attributes that a program uses."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                found.add(name)
    return found


def has_example(name: str) -> bool:
    """Return whether a name has an example of its own, or the example of its class uses it."""
    owner, _, method = name.rpartition(".")
    is_error = owner.endswith("Error")  # all errors have the same few members
    by_class = method in used_names(EXAMPLES.get(owner, "")) or is_error
    return name in EXAMPLES or name in BLOCKING or by_class


def test_each_public_name_has_an_example() -> None:
    """Each exported name and each of its methods is shown in a program that runs."""
    missing = {name for name in public_names() if not has_example(name)}

    assert missing == INTERNAL


def test_each_example_uses_its_name() -> None:
    """Each example is that of a public name, and uses this name."""
    names = {*public_names()}

    wrong = {
        name
        for name, code in EXAMPLES.items()
        if name not in names or name.rpartition(".")[2] not in used_names(code) | imported(code)
    }

    assert wrong <= GIVEN


def imported(code: str) -> set[str]:
    """Return the names that a program imports from modules."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in nodes for alias in node.names}


# Values that other calls return.
GIVEN = {
    "mp4gen.Conversion",
    "mp4gen.ConversionRun",
    "mp4gen.Event",
    "mp4gen.LyricWord",
    "mp4gen.RunSummary",
    "mp4gen.TimestampedLyrics",
    "mp4gen.Track",
    "mp4gen.Video",
    "mp4gen.VideoCallback",
    "mp4gen.VideoDetails",
    "mp4gen.RateLimiter",
    "mp4gen.render.AudioInfo",
    "mp4gen.render.RenderResult",
    "mp4gen.sync.ConversionRun",
    "mp4gen.testing.FakeTask",
    "mp4gen.testing.RecordedRequest",
    "mp4gen.testing.SentCallback",
}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeService]:
    """Run the API on loopback, as that of `mp4gen.Client()`, with a song in the current folder."""
    lyrics = mp4gen.TimestampedLyrics(
        "taskId_774b",
        "e231",
        (
            mp4gen.LyricLine(
                4.0,
                5.0,
                "The harbour",
                (mp4gen.LyricWord(4.0, "The "), mp4gen.LyricWord(4.4, "harbour")),
            ),
        ),
    )
    with FakeService() as running:
        running.music["taskId_774b"] = [mp4gen.Track("taskId_774b", "e231", "Harbour Lights")]
        running.lyrics.append(lyrics)
        monkeypatch.setenv("MP4GEN_BASE_URL", running.url)
        monkeypatch.setenv("MP4GEN_API_KEY", "a-key-for-the-examples")
        monkeypatch.chdir(tmp_path)
        yield running


class Printed:
    """Compares what a program prints with the comment beside each `print`."""

    def __init__(self, code: str) -> None:
        self._expected = {
            number: match[1]
            for number, line in enumerate(code.splitlines(), 1)
            if (match := COMMENT.search(line))
        }
        self.lines: list[str] = []

    def __call__(self, *values: object) -> None:
        """Take the place of `print`."""
        text = " ".join(map(str, values))
        number = sys._getframe(1).f_lineno
        assert text == self._expected.get(number, text)
        self.lines.append(text)


def compiled(code: str) -> CodeType:
    """Compile a program that may `await` outside functions, as a notebook does."""
    return compile(code, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def run_awaiting(code: str, service: FakeService, names: dict[str, Any]) -> None:
    """Run a program that awaits, with an open client if it makes none itself."""
    async with AsyncExitStack() as stack:
        if not OWN_CLIENT.search(code):
            names["client"] = await stack.enter_async_context(service.client())
        await eval(compiled(code), names)  # noqa: S307 - our own program


def run_example(code: str, service: FakeService) -> list[str]:
    """Run a program and return the lines that it printed."""
    request = mp4gen.VideoRequest("taskId_774b", "e231", author="Suno Artist")
    printed = Printed(code)
    names = {"mp4gen": mp4gen, "service": service, "request": request, "print": printed}
    names["__name__"] = "example"
    program = compiled(code)
    if program.co_flags & inspect.CO_COROUTINE:
        asyncio.run(run_awaiting(code, service, names))
        return printed.lines
    with ExitStack() as stack:
        if not OWN_CLIENT.search(code):
            names["client"] = stack.enter_context(service.sync_client())
        exec(program, names)  # noqa: S102 - our own program
    return printed.lines


@pytest.fixture
def files(tmp_path: Path, name: str) -> None:
    """Copy a song where the examples of the renderer and the server expect it."""
    if needs_song(name):
        pytest.importorskip("av", reason="needs the render extra")
        (tmp_path / "Music" / "Harbour").mkdir(parents=True)
        shutil.copy(SONG, tmp_path / "song.opus")
        shutil.copy(SONG, tmp_path / "Music" / "Harbour" / "song.opus")


def code_of(name: str, redis_url: str = "") -> str:
    """Return the program of a name with the address of a Redis that runs."""
    code = EXAMPLES.get(name) or BLOCKING[name]
    # A new limiter waits for one period, so the test takes a short one.
    return code.replace(
        '"redis://localhost:6379/0"', f'"{redis_url}", mp4gen.RateLimit(20, per=0.1)'
    )


def parameters() -> Iterator[object]:
    """Yield each name whose example needs no Redis; renders are slow."""
    for name in (*EXAMPLES, *BLOCKING):
        if not name.startswith("mp4gen.redis."):
            yield pytest.param(name, marks=[pytest.mark.slow] if needs_song(name) else [])


def needs_song(name: str) -> bool:
    """Return whether an example renders or serves."""
    rooms = "mp4gen.render", "mp4gen.server"
    return "render_" in EXAMPLES.get(name, "") or name.startswith(rooms)


@pytest.mark.parametrize("name", [*parameters()])
def test_example_runs_as_written(name: str, service: FakeService, files: None) -> None:
    """An example ends without an error, prints what its comments say, and handles its error."""
    printed = run_example(code_of(name), service)

    assert printed or not name.endswith("Error")


@pytest.mark.slow
@pytest.mark.skipif(BINARY is None, reason=MISSING)
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("mp4gen.redis.")])
def test_example_with_redis_runs_as_written(name: str, service: FakeService) -> None:
    """An example of a shared limiter runs with a real Redis."""
    with RedisServer() as redis:
        run_example(code_of(name, redis.url), service)


def test_each_error_says_what_to_do() -> None:
    """The docstring of each public error has a section "What to do"."""
    errors = {name: getattr(mp4gen, name) for name in mp4gen.__all__ if name.endswith("Error")}

    texts = {name: inspect.cleandoc(kind.__doc__ or "") for name, kind in errors.items()}
    missing = [name for name, text in texts.items() if "\nWhat to do:\n" not in text]

    assert missing == []


def undescribed_fields(found: type) -> list[str]:
    """Return the public fields of an attrs class that its docstring does not describe."""
    described = re.findall(r"^    ([\w, ]+): ", inspect.getdoc(found) or "", re.MULTILINE)
    names = {name.strip() for line in described for name in line.split(",")}
    fields = [field.name for field in attrs.fields(found)]
    return [name for name in fields if not name.startswith("_") and name not in names]


def test_each_field_is_described() -> None:
    """The docstring of each public value, setting and event describes all its fields."""
    modules = [importlib.import_module(f"mp4gen{package}") for package in PACKAGES]
    exported = [getattr(module, name) for module in modules for name in module.__all__]

    found = {kind.__name__: undescribed_fields(kind) for kind in exported if attrs.has(kind)}

    assert {name: fields for name, fields in found.items() if fields} == {}

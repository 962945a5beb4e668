"""Imports run downwards only, and only some subpackages do I/O."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "mp4gen"

# From the bottom up: a module imports from its own subpackage and from the layers below it.
LAYERS = (
    "errors addresses extra_fields filesystem lazy secret signals version",
    "lyrics options",
    "models render",
    "events task_errors api",
    "transport server",
    "conversion downloads",
    "settings bulk",
    "calls",
    "client",
    "sync redis",
    "testing cli __init__",
    "__main__",
)
SERVER_LAYERS = (
    "config counters daemon_threads data_ownership process_limits",
    "style_checks",
    "data_dir",
    "videos",
    "rendering",
    "library",
    "queue",
    "callbacks",
    "web",
    "preflight",
    "app",
    "__init__",
)

# Lower subpackages that a subpackage must not import either.
FORBIDDEN = {
    "server": {"events", "task_errors"},
    "render": {"addresses"},
    "testing": {"server", "render", "bulk", "downloads"},
    "__init__": {"server", "render"},
}

# The subpackages that may import a package or module that does I/O or is expensive.
EDGES = {
    "fcntl": {"filesystem"},
    "msvcrt": {"filesystem"},
    "resource": {"server"},
    "aiohttp": {"transport", "downloads", "conversion", "testing", "server", "cli"},
    "sqlite3": {"bulk", "server"},
    "subprocess": {"server", "cli", "render"},
    "multiprocessing": {"server", "cli", "render"},
    "concurrent": {"server", "bulk", "cli", "sync"},
    "obstore": {"server"},
    "av": {"render"},
    "mutagen": {"render"},
    "numpy": {"render", "server"},
    "PIL": {"render"},
    "distributed": {"server"},
    "cyclopts": {"cli"},
    "rich": {"cli"},
    "pytest": {"testing"},
    "redis": {"redis"},
}

# (importer, module that it imports inside functions only, because most users do not need it).
LAZY = {
    ("mp4gen", "mp4gen.bulk"),
    ("mp4gen.client", "mp4gen.bulk"),
    ("mp4gen.client", "mp4gen.downloads"),
    ("mp4gen.client", "mp4gen.conversion.callbacks"),
    ("mp4gen.calls", "mp4gen.api.timestamped_lyrics"),
    ("mp4gen.bulk.run", "mp4gen.bulk.ledger"),
    ("mp4gen.settings", "mp4gen.conversion.callbacks"),
    ("mp4gen.conversion", "aiohttp.web"),
    ("mp4gen.api", "cattrs"),
    ("mp4gen.conversion", "backoff"),
    ("mp4gen.transport", "backoff"),
    ("mp4gen.redis", "redis"),
}

MODULES = sorted(ROOT.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the dotted name of a module of the package."""
    parts = [part for part in path.relative_to(ROOT).with_suffix("").parts if part != "__init__"]
    return ".".join(["mp4gen", *parts])


def is_in(name: str, package: str) -> bool:
    """Return whether a dotted name is a package or lies within it."""
    return name == package or name.startswith(f"{package}.")


def height(subpackage: str, layers: tuple[str, ...]) -> int:
    """Return the layer of a subpackage, or -1 for a name that is not a subpackage."""
    levels = (
        level for level, subpackages in enumerate(layers) if subpackage in subpackages.split()
    )
    return next(levels, -1)


def package_of(path: Path) -> list[str]:
    return ["mp4gen", *path.relative_to(ROOT).parts[:-1]]


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk(node: ast.AST, *, inside: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        if is_for_types_only(child):
            continue
        deeper = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield child, deeper
        yield from walk(child, inside=deeper)


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield the full name of each import, and whether it runs inside a function."""
    for node, lazily in walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, lazily) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = package_of(path)
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = [*base, *(node.module.split(".") if node.module else [])]
            if stem[0] == "mp4gen":
                yield from ((".".join([*stem, alias.name]), lazily) for alias in node.names)
            else:
                yield ".".join(stem), lazily


def goes_up(path: Path, imported: str, parent: str, layers: tuple[str, ...]) -> bool:
    """Return whether a module imports a subpackage of `parent` that is not below its own."""
    if not is_in(name_of(path), parent) or not imported.startswith(f"{parent}."):
        return False
    depth = parent.count(".")
    own = path.relative_to(ROOT).with_suffix("").parts[depth]
    subpackage = imported.split(".")[depth + 1]
    return own != subpackage and height(own, layers) <= height(subpackage, layers)


def offenders() -> Iterator[str]:
    """Yield a sentence for each import that breaks a rule."""
    for path in MODULES:
        where = path.relative_to(ROOT)
        subpackage = where.with_suffix("").parts[0]
        for name, lazily in imports(path):
            top, below = name.split(".")[0], name.split(".")[1:2]
            if goes_up(path, name, "mp4gen", LAYERS) or {*below} & FORBIDDEN.get(subpackage, set()):
                yield f"{where} must not import {name}"
            if goes_up(path, name, "mp4gen.server", SERVER_LAYERS):
                yield f"{where} must not import {name}"
            if subpackage not in EDGES.get(top, {subpackage}):
                yield f"{where} is not an edge that may import {top}"
            if not lazily and any(
                is_in(name_of(path), importer) and is_in(name, heavy) and not is_in(importer, heavy)
                for importer, heavy in LAZY
                if importer != "mp4gen" or subpackage == "__init__"
            ):
                yield f"{where} must import {name} inside the function that needs it"


def test_imports_run_downwards() -> None:
    """No import goes up, does I/O outside of the edges, or runs earlier than needed."""
    assert list(offenders()) == []


def test_root_has_at_most_fifteen_modules() -> None:
    """A reader sees all modules of the root at a glance; the others belong to a subpackage."""
    assert len(list(ROOT.glob("*.py"))) <= 15

"""Imports run downwards only, and only the edges touch the world outside."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "mp4gen"

# From the ground up; a room may import from those before it.
LAYERS = (
    "errors addresses models options task_errors events pauses dialects wire answers protocol api "
    "retry rate_limit maintenance polling names transport settings part_file file_host calls "
    "download files downloads callbacks submit wait conversion entries ledger_file ledger track "
    "bulk client testing"
).split()

# Rooms beside the stack: what each may use of the rest.
ROOMS = {
    "render": {"errors"},
    "server": set(
        "errors addresses models options dialects wire protocol api rate_limit render".split()
    ),
    "cli": {*LAYERS, "render", "server"},
    "__init__": set(LAYERS) - {"testing", "ledger", "ledger_file"},
    "__main__": {"cli"},
}

# Who may touch the world outside, by the top-level name of what is imported.
EDGES = {
    "aiohttp": {"transport", "file_host", "downloads", "conversion", "testing", "server", "cli"},
    "sqlite3": {"bulk", "ledger", "ledger_file", "server"},
    "subprocess": {"server", "cli"},
    "multiprocessing": {"server"},
    "concurrent": {"server", "bulk", "ledger", "cli"},
    "av": {"render"},
    "numpy": {"render", "server"},
    "PIL": {"render"},
    "cyclopts": {"cli"},
    "rich": {"cli"},
    "pytest": {"testing"},
}

# (module, what it imports lazily): paid for only by those who use it.
LAZY = {
    ("__init__", "bulk"),
    ("client", "bulk"),
    ("client", "track"),
    ("client", "files"),
    ("client", "ledger"),
    ("bulk.run", "ledger"),
    ("conversion", "aiohttp.web"),
    ("api", "cattrs"),
    ("transport", "backoff"),
    ("conversion", "backoff"),
}

MODULES = sorted(path for path in ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


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
    """Every imported module's full name, and whether it is imported only when a function runs."""
    for node, lazily in walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, lazily) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = package_of(path)
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = [*base, *(node.module.split(".") if node.module else [])]
            if stem == ["mp4gen"]:
                yield from ((f"mp4gen.{alias.name}", lazily) for alias in node.names)
            else:
                yield ".".join(stem), lazily


def allowed_below(room: str) -> set[str]:
    return ROOMS[room] if room in ROOMS else set(LAYERS[: LAYERS.index(room)])


def offenders() -> Iterator[str]:
    """Yield a sentence for each import that breaks a rule."""
    for path in MODULES:
        room, where = room_of(path), path.relative_to(ROOT)
        below = allowed_below(room) | {room}
        for name, lazily in imports(path):
            top, *rest = name.split(".")
            if top == "mp4gen" and rest and rest[0] not in below:
                yield f"{where} must not import {name}"
            if room not in EDGES.get(top, {room}):
                yield f"{where} is not an edge that may import {top}"
            if not lazily and (room, name.removeprefix("mp4gen.")) in LAZY:
                yield f"{where} must import {name} inside the function that needs it"


def test_imports_run_downwards_and_only_edges_touch_the_world() -> None:
    """List every import that goes up, reaches outside from within, or is paid for too early."""
    assert list(offenders()) == []


def test_the_layers_name_real_rooms() -> None:
    """Every room of the package has its layer."""
    assert {room_of(path) for path in MODULES} <= {*LAYERS, *ROOMS}

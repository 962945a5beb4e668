"""The house has floors: a module imports from below, and only the edges touch the world."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "mp4gen"

# From the ground up; a module may import from what stands before it.
FLOORS = (
    "errors pauses models dialects wire answers protocol retry rate_limit maintenance polling "
    "events addresses names transport settings part_file file_host calls download files callbacks "
    "submit wait conversion entries ledger_file ledger track bulk twins client testing"
).split()

# Rooms beside the staircase: what each may use of the rest.
ROOMS = {
    "render": {"errors"},
    "server": {
        "errors",
        "models",
        "dialects",
        "wire",
        "protocol",
        "rate_limit",
        "addresses",
        "render",
    },
    "cli": {*FLOORS, "render", "server"},
    "__init__": set(FLOORS) - {"testing", "ledger", "ledger_file"},
    "__main__": {"cli"},
}

# Who may touch the world outside, by the top-level name of what is imported.
EDGES = {
    "aiohttp": {"transport", "file_host", "callbacks", "testing", "server", "cli"},
    "sqlite3": {"ledger", "ledger_file", "server"},
    "subprocess": {"server", "cli"},
    "multiprocessing": {"server"},
    "concurrent": {"server", "ledger", "cli"},
    "av": {"render"},
    "numpy": {"render", "cli", "server"},
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
    ("bulk", "ledger"),
    ("callbacks", "aiohttp.web"),
    ("wire", "cattrs"),
    ("retry", "backoff"),
    ("polling", "backoff"),
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
    return ROOMS[room] if room in ROOMS else set(FLOORS[: FLOORS.index(room)])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_from_below(path: Path) -> None:
    """Data flows one way through the house."""
    room = room_of(path)
    below = allowed_below(room) | {room}

    used = {name.split(".")[1] for name, _ in imports(path) if name.startswith("mp4gen.")}

    assert used <= below, f"{room} must not import {sorted(used - below)}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_edges_touch_the_world(path: Path) -> None:
    """Sockets, databases, processes and codecs are each the business of a few rooms."""
    room = room_of(path)
    outside = {name.split(".")[0] for name, _ in imports(path)} & set(EDGES)

    wrong = {name for name in outside if room not in EDGES[name]}

    assert wrong == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_paid_for_on_use_is_imported_on_use(path: Path) -> None:
    """The heavy neighbours are imported inside the functions that need them."""
    room = room_of(path)
    found = set(imports(path))

    for importer, imported in LAZY:
        names = {f"mp4gen.{imported}", imported}
        eager = any(name in names and not lazily for name, lazily in found)

        assert not (room == importer and eager), f"{room} must import {imported} lazily"


def test_the_plan_names_real_rooms_only() -> None:
    """The floors above are those of the package: none is missing, none is a leftover."""
    rooms = {room_of(path) for path in MODULES}

    assert rooms == set(FLOORS) | set(ROOMS)

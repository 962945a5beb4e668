"""Tests never wait: long sleeps run in virtual time."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

HERE = Path(__file__).parent
LONGEST = 0.05


def long_sleeps(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the functions that sleep longer than `LONGEST` in real time, with the line."""
    marks = {ast.unparse(node.targets[0]) for node in tree.body if _names_virtual_time(node)}
    if "pytestmark" in marks:
        return
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        own = [ast.unparse(mark) for mark in function.decorator_list]
        if any(mark in marks or "looptime" in mark for mark in own):
            continue
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and _seconds(call) > LONGEST:
                yield function.name, call.lineno


def _names_virtual_time(node: ast.stmt) -> TypeGuard[ast.Assign]:
    return isinstance(node, ast.Assign) and "looptime" in ast.unparse(node.value)


def _seconds(call: ast.Call) -> float:
    if ast.unparse(call.func) not in {"asyncio.sleep", "time.sleep", "sleep"} or not call.args:
        return 0.0
    try:
        return float(ast.literal_eval(call.args[0]))
    except (ValueError, TypeError):
        return 0.0


def test_no_test_sleeps_longer_than_50_ms() -> None:
    """Each sleep of a test takes at most 50 ms of real time."""
    found = [
        f"{path.relative_to(HERE)}:{line} {name}"
        for path in sorted(HERE.rglob("*.py"))
        for name, line in long_sleeps(ast.parse(path.read_text()))
    ]

    assert found == []

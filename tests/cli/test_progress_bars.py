"""The bars on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mp4gen.cli.progress_bars import _create_progress


def shown(columns: int, label: str, status: str) -> str:
    """Return one bar as text."""
    progress = _create_progress(keep=False, show_elapsed=True)
    progress.add_task(label, total=1.0, completed=0.5, status=status)
    console = Console(width=columns, file=io.StringIO())
    with console.capture() as capture:
        console.print(progress.get_renderable())
    return capture.get()


def test_long_name_leaves_room_for_the_status() -> None:
    """A long name is cut, so that the status fits into 80 columns."""
    line = shown(80, "x" * 120, "rendering 1 s of 9 s")

    assert line.count("\n") == 1
    assert "xxx…" in line
    assert "rendering 1 s of 9 s" in line


def test_counts_fit_into_60_columns() -> None:
    """In a narrow terminal, the bar is left out before the counts."""
    counts = "12 done, 0 failed, 2 in progress, 13 remaining"

    assert counts in shown(60, "", counts)


def test_bars_leave_two_columns_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The `^C` that a terminal prints must not wrap: the bars would move down a line."""
    monkeypatch.setenv("COLUMNS", "80")

    assert _create_progress(keep=False, show_elapsed=True).console.width == 78

"""Shows progress on stderr: bars on a terminal, elsewhere one line for each new status."""

import asyncio
import itertools
import os
import sys
from typing import Protocol, Self

from rich.console import Console, ConsoleDimensions
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from .output import Output, escape_control_chars, is_terminal

_MAX_LABEL_COLUMNS = 32
_REFRESH_SECONDS = 0.5
_PLAIN_INTERVAL_TICKS = 120


class Bar:
    """The progress of one thing.

    Args:
        output: Where its plain lines go.
        label: Its name, which is escaped.
        progress: The display, or None for plain lines.
    """

    def __init__(self, output: Output, label: str, progress: Progress | None) -> None:
        self._output, self._label, self._progress = output, label, progress
        self._status = ""
        if progress is not None:
            self._task = progress.add_task(escape_control_chars(label), total=None, status="")

    def update(self, status: str, fraction: float | None = None, detail: str = "") -> None:
        """Show the progress.

        Args:
            status: The current step; a new status is printed as a new plain line.
            fraction: 0 to 1, None if unknown.
            detail: Text that changes too often for a plain line.
        """
        if self._progress is not None:
            total = None if fraction is None else 1.0
            text = escape_control_chars(f"{status} {detail}".strip())
            self._progress.update(self._task, total=total, completed=fraction or 0.0, status=text)
        elif status != self._status:
            self._output.status(f"{self._label}: {status}")
        self._status = status

    def finish(self, status: str) -> None:
        """Show the end of the progress."""
        self.update(status, 1.0)
        if self._progress is not None:
            self._progress.stop_task(self._task)


class ProgressDisplay:
    """The progress display of one command, as a context manager.

    Args:
        output: The command's output, which prints above the display.
        keep: Whether the display stays at the end.
        show_elapsed: Whether each bar shows its elapsed time.
    """

    def __init__(self, output: Output, *, keep: bool = False, show_elapsed: bool = True) -> None:
        self._output = output
        self._progress = (
            _create_progress(keep=keep, show_elapsed=show_elapsed) if _can_animate() else None
        )

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
            self._output.live_console = self._progress.console
        return self

    def __exit__(self, *_: object) -> None:
        self._output.live_console = None
        if self._progress is not None:
            self._progress.stop()

    @property
    def is_animated(self) -> bool:
        """Whether the display shows bars instead of plain lines."""
        return self._progress is not None

    def bar(self, label: str) -> Bar:
        """Add a bar."""
        return Bar(self._output, label, self._progress)


class _RoomForCtrlC(Console):
    """A console that leaves two columns free: terminals print `^C` at the end of the bars."""

    @property  # type: ignore[misc]  # nothing sets it
    def size(self) -> ConsoleDimensions:
        columns, rows = super().size
        return ConsoleDimensions(max(columns - 2, 1), rows)


class Countable(Protocol):
    """The counts of a bulk run, and their text as `str`."""

    @property
    def fraction(self) -> float | None:
        """The finished part of the run, 0 to 1; None if there is nothing to do."""


async def show_counts(counts: Countable, output: Output, display: ProgressDisplay) -> None:
    """Show the counts twice a second on a terminal, elsewhere once a minute."""
    bar = display.bar("") if display.is_animated else None
    for tick in itertools.count(1):
        if bar is not None:
            bar.update(str(counts), counts.fraction)
        elif tick % _PLAIN_INTERVAL_TICKS == 0:
            output.status(str(counts))
        await asyncio.sleep(_REFRESH_SECONDS)


def _can_animate() -> bool:
    # Windows sets no TERM.
    default = "" if sys.platform == "win32" else "dumb"
    return is_terminal(sys.stderr) and os.environ.get("TERM", default) != "dumb"


def _create_progress(*, keep: bool, show_elapsed: bool) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="*"),
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(no_wrap=True, max_width=_MAX_LABEL_COLUMNS),
        ),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[status]}", markup=False, table_column=Column(no_wrap=True)),
        *([TimeElapsedColumn()] if show_elapsed else []),
        console=_RoomForCtrlC(stderr=True, highlight=False, markup=False, emoji=False),
        redirect_stdout=False,
        redirect_stderr=False,
        transient=not keep,
    )

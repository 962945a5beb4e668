"""The command line: `mp4gen`, also `python -m mp4gen`. Needs the `cli` extra."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_MISSING = "mp4gen: the command line needs some more packages: pip install 'mp4gen[cli]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: its words; default: those that the process was started with.

    Returns:
        The exit code: 0 all done, 1 something failed, 2 bad input, 3 stopped by the key or the
        credits, 130 stopped by Ctrl-C.
    """
    _prepare_streams()
    # The renderer's matrix products are tiny: threads for them cost more than they bring.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"cyclopts", "rich"}:
            raise
        sys.stderr.write(f"{_MISSING}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return run(list(sys.argv[1:] if argv is None else argv))


def _prepare_streams() -> None:
    """Give closed streams a place to write to, and let no character of any alphabet fail."""
    for name, mode in (("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # The lowest free number is the closed stream's own: no socket may end up there.
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

"""The command line: `mp4gen`, also `python -m mp4gen`. Needs the `cli` extra."""

import os
import sys
from collections.abc import Sequence

_MISSING = "mp4gen: The command line needs more packages. Run: pip install 'mp4gen[cli]'"

_MIN_COLUMNS = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code, as `exit_codes` lists them.

    Args:
        argv: The arguments; default: those of the process.
    """
    _prepare_streams()
    # The renderer's matrix products are too small to gain from threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if os.environ.get("COLUMNS", "").isdecimal() and int(os.environ["COLUMNS"]) < _MIN_COLUMNS:
        # Some editors and schedulers set 0; rich would break lines for ever.
        del os.environ["COLUMNS"]
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
    """Open closed streams on the null device, and escape what a stream cannot encode."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            # Takes the descriptor of the closed stream, so that no socket gets it.
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

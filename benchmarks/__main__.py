"""Run the benchmarks behind all published figures, and print these in one table.

    python -m benchmarks [--quick] [--only rate_limit,bulk,…] [--json FILE] [--charts FOLDER]

Each benchmark runs as a process of its own, one after the other. `--quick` takes smaller samples
and less than 15 minutes on two cores; without it all take about an hour. A benchmark whose tools
are not installed is named, and its figures are missing. Exits with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
# The scripts of benchmarks import each other by name, wherever they are started.
sys.path.insert(0, str(FOLDER))

from charts import draw_charts  # noqa: E402
from figures import BENCHMARKS, FIGURES, Benchmark, Found, Records  # noqa: E402
from report import note, show  # noqa: E402

TIMEOUT = 3600


def options() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="take smaller samples")
    parser.add_argument(
        "--only", default=",".join(BENCHMARKS), help="benchmarks, separated by commas"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--charts", type=Path, help="write pictures as SVG to this folder")
    args = parser.parse_args()
    args.only = args.only.split(",")
    unknown = sorted(set(args.only) - set(BENCHMARKS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}. Use {', '.join(BENCHMARKS)}.")
    return args


def run(name: str, benchmark: Benchmark, *, quick: bool) -> Records:
    """Run a benchmark and return the tables that it wrote, none if it failed."""
    arguments = benchmark.quick if quick else benchmark.full
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, str(FOLDER / f"{benchmark.script}.py"), *arguments.split()]
        note(f"{name}: {' '.join(command[1:])}")
        start = time.monotonic()
        result = subprocess.run(  # noqa: S603 - our own program
            [*command, "--json", file.name],
            stdout=sys.stderr,
            timeout=TIMEOUT,
            check=False,
        )
        note(f"{name}: {time.monotonic() - start:.0f} s, status {result.returncode}")
        # A status of 1 also means that a goal was missed.
        return [json.loads(line) for line in file.read().splitlines()]


def rows_of(records: dict[str, Records]) -> list[dict[str, Any]]:
    """Return one row for each figure whose benchmark ran."""
    rows = []
    for figure in FIGURES:
        if figure.benchmark not in records:
            continue
        found = figure.find(records[figure.benchmark])
        if found is None:
            note(f"missing: {figure.name} ({figure.benchmark})")
            continue
        rows.append(
            {
                "figure": figure.name,
                "goal": figure.goal_text,
                "ours": figure.format(found.ours),
                "best peer": _peer_text(found),
                "held": figure.is_held(found.ours),
            }
        )
    return rows


def _peer_text(found: Found) -> str:
    return "-" if found.peer is None else f"{found.peer[1]:.3g} ({found.peer[0]})"


def main() -> int:
    """Run the benchmarks."""
    args = options()
    start = time.monotonic()
    records = {name: run(name, BENCHMARKS[name], quick=args.quick) for name in args.only}
    rows = rows_of(records)
    minutes = (time.monotonic() - start) / 60
    if rows:
        show(f"Figures, measured in {minutes:.0f} minutes", rows, None)
    if args.json is not None:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        args.json.write_text(json.dumps({**machine, "figures": rows, "tables": records}, indent=1))
    if args.charts is not None:
        draw_charts(records, args.charts)
    return 0 if rows and all(row["held"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Run the benchmarks behind all published figures, and print these in one table.

    python -m benchmarks [--quick] [--only rate_limit,bulk,…] [--json FILE] [--charts FOLDER]
        [--peers FOLDER] [--publish]

Each benchmark runs as a process of its own, one after the other. `--quick` takes smaller samples
and less than 15 minutes on two free cores; without it all take about an hour. Other tools that are
measured beside mp4gen are installed first, see `benchmarks/peers.py`; one that cannot be installed
is named, and its values are missing. So is a benchmark whose own tools are not installed.
`--publish` writes the tables and pictures of README and documentation. Exits with 1 if a goal is
missed or a figure is missing; Ctrl-C ends the run, and prints the table so far.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

FOLDER = Path(__file__).parent
# The scripts of benchmarks import each other by name, wherever they are started.
sys.path.insert(0, str(FOLDER))

import peers  # noqa: E402
from charts import draw_charts  # noqa: E402
from figures import BENCHMARKS, Benchmark  # noqa: E402
from finders import Records  # noqa: E402
from report import note, show  # noqa: E402
from results import PICTURES, publish, results_of  # noqa: E402

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
    parser.add_argument("--peers", type=Path, help=f"their folder, default {peers.folder()}")
    parser.add_argument(
        "--publish", action="store_true", help="write the tables of README and docs, and pictures"
    )
    args = parser.parse_args()
    args.only = args.only.split(",")
    unknown = sorted(set(args.only) - set(BENCHMARKS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}. Use {', '.join(BENCHMARKS)}.")
    return args


def missing_tools(benchmark: Benchmark) -> list[str]:
    """Return the programs and packages that a benchmark needs and that are not installed."""
    return [name for name in benchmark.needs if not (shutil.which(name) or find_spec(name))]


def run(name: str, benchmark: Benchmark, *, quick: bool) -> Records:
    """Run a benchmark and return the tables that it wrote, none if it failed."""
    arguments = (benchmark.quick or "") if quick else benchmark.full
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, str(FOLDER / f"{benchmark.script}.py"), *arguments.split()]
        note(f"{name}: {' '.join([benchmark.script, arguments])}")
        start = time.monotonic()
        try:
            status = subprocess.run(  # noqa: S603 - our own program
                [*command, "--json", file.name],
                env={**os.environ, "PYTHONPATH": str(FOLDER.parent)},
                stdout=sys.stderr,
                timeout=TIMEOUT,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
        lines = file.read().splitlines()
        failed = "" if lines else ", FAILED"
        # A status of 1 also means that a goal was missed.
        note(f"{name}: {time.monotonic() - start:.0f} s, status {status}{failed}")
        return [json.loads(line) for line in lines]


def run_all(names: list[str], *, quick: bool) -> dict[str, Records]:
    """Run the benchmarks that can run here, until Ctrl-C, and return their tables."""
    records: dict[str, Records] = {}
    try:
        for number, name in enumerate(names, 1):
            if missing := missing_tools(BENCHMARKS[name]):
                note(f"{name} is skipped: {', '.join(missing)} not installed")
                continue
            note(f"{number} of {len(names)}")
            records[name] = run(name, BENCHMARKS[name], quick=quick)
    except KeyboardInterrupt:
        note("stopped")
    return records


def main() -> int:
    """Run the benchmarks."""
    args = options()
    names = [name for name in args.only if not args.quick or BENCHMARKS[name].quick is not None]
    if args.peers is not None:
        os.environ["MP4GEN_PEERS"] = str(args.peers.resolve())
    peers.install_all(sorted({peer for name in names for peer in BENCHMARKS[name].peers}))
    start = time.monotonic()
    records = run_all(names, quick=args.quick)
    results = results_of(records)
    minutes = (time.monotonic() - start) / 60
    if results:
        rows = [result.row() for result in results]
        show(f"Figures, measured in {minutes:.0f} minutes", rows, None)
    if args.json is not None:
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        found = [result.to_dict() for result in results]
        args.json.write_text(json.dumps({**machine, "figures": found, "tables": records}, indent=1))
    if args.charts is not None or args.publish:
        draw_charts(records, args.charts or PICTURES)
    if args.publish:
        publish(results)
    return 0 if results and all(result.is_held for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())

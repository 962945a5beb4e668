"""Kill and restart programs against a failing service, seed by seed, and count what is lost.

    python benchmarks/simulation.py [--seeds 0:200] [--loop LOOP] [--jobs N] [--json [FILE]]

No video may be lost or paid for twice, no window of ten seconds may hold over 20 calls of one
program, and nothing may hang. With simloop (Python 3.12 or newer) the network is simulated; else it
is loopback in virtual time. Each failure is printed with the command that repeats it; the exit code
is 1 if there is one. About 3 minutes for 200 seeds on 2 cores.
"""

import argparse
import importlib
import json
import logging
import multiprocessing
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
from report import argument_parser

ROOT = Path(__file__).resolve().parents[1]


def run_seed(seed: int, loop: str) -> Any:
    """Return the outcome of one seed; runs in a worker process."""
    # The faults are on purpose.
    logging.getLogger("mp4gen").setLevel(logging.CRITICAL)
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module("tests.support_simulation").run_seed(seed, loop)


def seeds_of(text: str) -> range:
    """Parse `0:2000`, or a single seed."""
    first, _, end = text.partition(":")
    return range(int(first), int(end) if end else int(first) + 1)


def options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", type=seeds_of, default=range(200), help="first:end, or one seed")
    parser.add_argument(
        "--loop", choices=["simloop", "looptime"], help="default: simloop if it is installed"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    return parser.parse_args()


@contextmanager
def outcomes(seeds: range, loop: str, jobs: int) -> Iterator[Iterator[Any]]:
    """Run the seeds, in processes of their own, and yield the outcomes in order."""
    work = partial(run_seed, loop=loop)
    if jobs == 1 or len(seeds) == 1:
        yield map(work, seeds)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield pool.map(work, seeds, chunksize=4)


def report_failures(results: Iterator[Any], seeds: int) -> Iterator[Any]:
    """Yield the outcomes; print each failure, and each hundredth seed, immediately."""
    for number, one in enumerate(results, 1):
        if not one.succeeded:
            print(f"seed {one.seed} failed: {one}", file=sys.stderr, flush=True)
        if number % 100 == 0:
            print(f"{number} of {seeds} seeds", file=sys.stderr, flush=True)
        yield one


def summarize(found: list[Any], loop: str, seconds: float) -> dict[str, Any]:
    """Return the figures of all seeds."""
    return {
        "python": platform.python_version(),
        "loop": loop,
        "seeds": len(found),
        "lost": sum(len(one.lost) for one in found),
        "duplicated": sum(len(one.duplicated) for one in found),
        "windows over 20": sum(one.windows_over_limit for one in found),
        "hangs": sum(one.hung for one in found),
        "leftover files": sum(len(one.leftover_files) for one in found),
        "other problems": sum(one.problem is not None for one in found),
        "programs": dict(Counter(one.program for one in found)),
        "kills": sum(one.lives - 1 for one in found),
        "requests": sum(one.requests for one in found),
        "virtual hours": round(sum(one.seconds for one in found) / 3600, 1),
        "seconds": round(seconds, 1),
        "seeds/s": round(len(found) / seconds, 2),
        "failed": [attrs.asdict(one) for one in found if not one.succeeded],
    }


def main() -> int:
    """Run the benchmark."""
    args = options()
    loop = args.loop or ("simloop" if find_spec("simloop") else "looptime")
    begun = time.perf_counter()
    with outcomes(args.seeds, loop, args.jobs) as results:
        found = list(report_failures(results, len(args.seeds)))
    figures = summarize(found, loop, time.perf_counter() - begun)
    output = sys.stderr if args.json is sys.stdout else sys.stdout
    for name, value in figures.items():
        if name != "failed":
            print(f"{name:<16} {value}", file=output)
    for one in (one for one in found if not one.succeeded):
        command = f"python benchmarks/simulation.py --loop {loop} --seeds {one.seed}"
        print(f"\nseed {one.seed} failed; again: {command}", file=output)
    if args.json is not None:
        print(json.dumps(figures), file=args.json, flush=True)
    return 1 if figures["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())

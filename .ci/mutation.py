"""Mutation-test packages: `python .ci/mutation.py [transport downloads] [--limit 300]`.

mutmut makes the mutants. Each runs in a fork of one pytest session, which has collected the tests
and knows which of them reach each line: a tenth of the time of a session for each mutant.

A stopped run continues where it was: results are kept until their function changes. Ctrl-C prints
those so far, and `--again` tests the survivors once more. The survivors are printed that
.ci/mutation-survivors.txt does not list, and the run fails if fewer than 85 % are killed. To start
afresh, delete build/mutation.
"""

import argparse
import ast
import gc
import json
import math
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import coverage
import pytest
from mutmut import __main__ as mutmut
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.utils.format_utils import mangled_name_from_mutant_name

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "mutation"
LISTED = ROOT / ".ci" / "mutation-survivors.txt"
LEAST = 0.85
CLIENT = [
    f"tests/test_{name}.py"
    for name in ("cancellation", "client", "deadlines", "errors", "events", "has_sent")
]
SERVER = "admission backup duplicates fair_queue gate operable recovery reporting retention"
SERVER += " retries robust schema store task"
BULK_RUNS = [f"tests/bulk/test_{name}.py" for name in ("isolation", "run", "stop", "track_slots")]
CALLS = [f"tests/conversion/test_{name}.py" for name in ("poller", "resubmit_policy", "submission")]
HEADERS = ["tests/test_addresses.py", "tests/test_secret.py", "tests/test_version.py"]
# The tests of each package.
TESTS = {
    "transport": ["tests/transport", *CLIENT, *BULK_RUNS, *CALLS, *HEADERS],
    "conversion": ["tests/conversion", "tests/api/test_converters.py", *CLIENT],
    "downloads": ["tests/downloads", "tests/bulk/test_downloads.py", *CLIENT],
    "bulk": ["tests/bulk"],
    "server/queue": [f"tests/server/test_{name}.py" for name in SERVER.split()],
}
MARKS = "not slow and not browser"
# Seconds of sleep after which a test hangs: the suite waits in loop time.
IDLE = 20.0
# Files that change while a run measures are newer than its measurement.
BEGUN = time.time()
SURVIVED, SKIPPED, UNREACHED, KILLED, TIMED_OUT = 0, 34, 33, 1, 36


def prepare() -> None:
    """Copy the project, and generate the mutants."""
    delete_files_without_source()
    for name in ("mp4gen", "tests"):
        shutil.copytree(ROOT / name, FOLDER / name, dirs_exist_ok=True)
    shutil.copy2(ROOT / "pyproject.toml", FOLDER)
    os.chdir(FOLDER)
    Path("mutants").mkdir(exist_ok=True)
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.create_mutants(1)


def delete_files_without_source() -> None:
    """Delete the copies, the mutants and the results of files that the project no longer has."""
    for folder in (FOLDER, FOLDER / "mutants"):
        for name in ("mp4gen", "tests"):
            for path in (folder / name).rglob("*.py*"):
                source = path.with_suffix("") if path.suffix in {".meta", ".spans"} else path
                if path.suffix != ".pyc" and not (ROOT / source.relative_to(folder)).exists():
                    path.unlink()


def results(package: str) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Yield the path of each module, and the file in which mutmut keeps its results."""
    mutants = FOLDER / "mutants"
    for path in sorted((mutants / "mp4gen" / package).glob("*.meta")):
        module = str(path.relative_to(mutants).with_suffix(""))
        yield module, path, json.loads(path.read_text(encoding="utf-8"))


def draw(package: str, limit: int, seed: int, *, again: bool) -> list[str]:
    """Return the mutants of a sample, in which each module has its share, without a result."""
    found = list(results(package))
    count = sum(len(meta["exit_code_by_key"]) for *_, meta in found)
    names = []
    for module, path, meta in found:
        codes = meta["exit_code_by_key"]
        size = math.ceil(len(codes) * min(1, limit / count))
        drawn = set(Random(f"{seed} {module}").sample(sorted(codes), size))  # noqa: S311
        for name, code in codes.items():
            if name not in drawn:
                codes[name] = SKIPPED
            elif code == SKIPPED or (again and code not in (KILLED, TIMED_OUT)):
                codes[name] = None
            if codes[name] is None:
                names.append(name)
        path.write_text(json.dumps(meta), encoding="utf-8")
    return names


def record(name: str, code: int) -> None:
    """Keep the result of a mutant."""
    path = Path(name.rpartition(".")[0].replace(".", "/") + ".py.meta")
    meta = json.loads(path.read_text(encoding="utf-8"))
    meta["exit_code_by_key"][name] = code
    path.write_text(json.dumps(meta), encoding="utf-8")


@cache
def functions(path: str) -> tuple[list[str], dict[str, ast.AST]]:
    """Return the lines of a module with its mutants, and its functions."""
    text = Path(path).read_text(encoding="utf-8")
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)}
    return text.splitlines(), found


def changed_statement(name: str) -> tuple[str, range]:
    """Return the module of a mutant, and the lines of the original statement that it changes."""
    module, _, short = name.rpartition(".")
    path = module.replace(".", "/") + ".py"
    lines, found = functions(path)
    original: Any = found[mangled_name_from_mutant_name(short) + "__mutmut_orig"]
    mutant: Any = found[short]
    pairs = zip(lines[original.lineno :], lines[mutant.lineno :], strict=False)
    at = original.lineno + 1 + next(n for n, (old, new) in enumerate(pairs) if old != new)
    best = range(original.lineno, original.end_lineno + 1)
    for node in ast.walk(original):
        if isinstance(node, ast.stmt | ast.match_case | ast.excepthandler):
            start = getattr(node, "lineno", 0) or node.pattern.lineno  # type: ignore[union-attr]
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno  # type: ignore[union-attr]
            if start <= at <= max(start, end) and start > best.start:
                best = range(start, max(start, end) + 1)
    return path, best


def run_in_fork(work: Callable[[], int], cpu: float, wall: float) -> int:
    """Return the exit code of `work` in a fork, whose processes all end with it."""
    sys.stdout.flush()
    if not (pid := os.fork()):
        code = 70
        try:
            os.setsid()
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            import resource

            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(cpu), math.ceil(cpu) + 1))
            code = work()
        finally:
            os._exit(code)
    begun = active = time.monotonic()
    code, used = None, ""
    while code is None and time.monotonic() - begun < wall and time.monotonic() - active < IDLE:
        done, status = os.waitpid(pid, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if done else time.sleep(0.02)
        fields = Path(f"/proc/{pid}/stat").read_text().split() if code is None else [""] * 15
        # A process that waits for the CPU is not idle.
        if fields[2] != "S" or fields[13] != used:
            active, used = time.monotonic(), fields[13]
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    if code is None:
        os.waitpid(pid, 0)
    return TIMED_OUT if code is None or code < 0 else min(code, KILLED)


def cpu_seconds() -> float:
    """Return the CPU time of this process and those that it started."""
    return sum(os.times()[:4])


class Forks:
    """The pytest plugin that runs the mutants in the place of the tests."""

    def __init__(self, names: list[str], budget: float) -> None:
        self.names, self.budget = names, budget
        self.kills: Counter[tuple[str, str]] = Counter()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Find out which tests reach which lines, then test each mutant."""
        set_mutant_under_test("")
        lines, seconds = self.reached(session)
        items = {item.nodeid: item for item in session.items if seconds[item.nodeid] < math.inf}
        # The collector would copy all objects of the session into each fork.
        gc.freeze()
        print(f"{len(session.items) - len(items)} tests fail without a mutant, and are left out")
        for number, name in enumerate(self.names, 1):
            path, span = changed_statement(name)
            reaching = {test for line in span for test in lines[path].get(str(line), ())}
            tests = self.ordered(name, reaching & items.keys(), seconds)
            code = self.test(session, name, [items[test] for test in tests], seconds)
            record(name, code)
            print(f"{time.strftime('%X')} {number}/{len(self.names)} {code} {len(tests)} {name}")
        return True

    def reached(self, session: pytest.Session) -> tuple[dict[str, dict[str, list[str]]], Any]:
        """Return the tests that reach each line of each module, and the CPU time of each test."""
        file, made = Path("reached.json"), 0.0
        lines: dict[str, dict[str, list[str]]] = {}
        seconds: dict[str, float] = {}
        if file.exists():
            made = file.stat().st_mtime
            # The lines of another version are others.
            if not any(path.stat().st_mtime > made for path in FOLDER.glob("mp4gen/**/*.py")):
                lines, seconds = json.loads(file.read_text())
        new = [
            item
            for item in session.items
            if item.nodeid not in seconds or item.path.stat().st_mtime > made
        ]
        include = [f"*/mp4gen/{package}/*" for package in TESTS]

        def work() -> int:
            cov = coverage.Coverage(data_file=None, include=include, config_file=False)
            cov.start()
            for item, following in zip(new, [*new[1:], None], strict=True):
                cov.switch_context(item.nodeid)
                before = cpu_seconds()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                seconds[item.nodeid] = cpu_seconds() - before
                if session.testsfailed:
                    # The frames of mutmut can show a secret; a busy machine can be too slow.
                    session.testsfailed, seconds[item.nodeid] = 0, math.inf
            cov.stop()
            data = cov.get_data()
            for path in data.measured_files():
                known = lines.setdefault(str(Path(path).relative_to(Path.cwd())), {})
                for line, tests in data.contexts_by_lineno(path).items():
                    known.setdefault(str(line), []).extend(test for test in tests if test)
            file.write_text(json.dumps([lines, seconds]))
            os.utime(file, (BEGUN, BEGUN))
            return 0

        if new and run_in_fork(work, 3600, 36000):
            raise session.Failed("The tests do not run without a mutant.")
        return tuple(json.loads(file.read_text()))

    def ordered(self, name: str, tests: set[str], seconds: dict[str, float]) -> list[str]:
        """Return the tests that are likely to kill a mutant soon, as many as the budget allows."""
        _, package, _ = changed_statement(name)[0].split("/", 2)
        own = next(key for key in TESTS if key.split("/")[0] == package)
        tests = {test for test in tests if test.startswith(tuple(TESTS[own]))}
        function = mangled_name_from_mutant_name(name)
        chosen, total = [], 0.0
        for test in sorted(
            tests,
            key=lambda test: (
                -min(3, self.kills[function, test]),
                # Those of the package itself know it best.
                not test.startswith(TESTS[own][0]),
                seconds[test],
                test,
            ),
        ):
            total += seconds[test]
            if len(chosen) < 5 or total <= self.budget:
                chosen.append(test)
        return chosen

    def test(
        self, session: pytest.Session, name: str, items: list[pytest.Item], seconds: Any
    ) -> int:
        """Return whether a mutant survives the tests."""
        if not items:
            return UNREACHED
        killer, total = Path("killer.txt"), sum(seconds[item.nodeid] for item in items)

        def work() -> int:
            set_mutant_under_test(name)
            for item, following in zip(items, [*items[1:], None], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.testsfailed:
                    killer.write_text(item.nodeid)
                    return KILLED
            return SURVIVED

        # The machine may be busy; a test that hangs in loop time is ended by the CPU limit.
        code = run_in_fork(work, 10 + 5 * total, 120 + 40 * total)
        if code == KILLED and killer.exists():
            self.kills[mangled_name_from_mutant_name(name), killer.read_text()] += 1
        return code


def change(name: str, module: str) -> str:
    """Return what a mutant changes, as one line."""
    lines = get_diff_for_mutant(name, path=module).splitlines()[2:]
    old, new = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    return f"{old}  ->  {new}"


def interval(killed: int, total: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a rate (Wilson)."""
    if not total:
        return 0.0, 1.0
    z, rate = 1.96, killed / total
    middle = (rate + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(rate * (1 - rate) / total + (z / (2 * total)) ** 2) / (1 + z * z / total)
    return middle - half, middle + half


def report(package: str) -> bool:
    """Print the rate, and the survivors that are not listed. Return whether enough are killed."""
    listed = LISTED.read_text(encoding="utf-8") if LISTED.exists() else ""
    tally: Counter[int] = Counter()
    unlisted = []
    for module, _, meta in results(package):
        for name, code in meta["exit_code_by_key"].items():
            if code in (SKIPPED, None):
                continue
            tally[code] += 1
            if code not in (KILLED, TIMED_OUT):
                line = f"{module}: {change(name, module)}"
                if line not in listed:
                    unlisted.append(f"{line}  [{code} {name.rpartition('.')[2]}]")
    print(*unlisted, sep="\n")
    killed, total = tally[KILLED] + tally[TIMED_OUT], tally.total()
    low, high = interval(killed, total)
    print(f"{package}: {killed} of {total} mutants killed, {killed / total:.1%}", end=" ")
    print(f"({low:.1%} to {high:.1%}), {tally[TIMED_OUT]} of them by a time-out")
    return killed >= LEAST * total


def main() -> None:
    """Run the tests of some packages against their mutants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", default=list(TESTS), help=", ".join(TESTS))
    parser.add_argument("--limit", type=int, default=10**6, help="mutants of each package (all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the sample (0)")
    parser.add_argument("--budget", type=float, default=3.0, help="CPU seconds of tests each (3)")
    parser.add_argument("--again", action="store_true", help="test the survivors once more")
    options = parser.parse_args()
    prepare()
    names = [
        name
        for package in options.packages
        for name in draw(package, options.limit, options.seed, again=options.again)
    ]
    # A run that is stopped has tested a sample of the sample.
    Random(options.seed).shuffle(names)  # noqa: S311
    mutmut.setup_source_paths()
    os.chdir("mutants")
    tests = dict.fromkeys(test for package in options.packages for test in TESTS[package])
    forks = Forks(names, options.budget)
    arguments = ["-q", "-s", "-m", MARKS, "-p", "no:cacheprovider", "--rootdir=.", *tests]
    code = pytest.main(arguments, plugins=[forks]) if names else pytest.ExitCode.OK
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.INTERRUPTED):
        sys.exit(code)
    os.chdir(FOLDER)
    reports = [report(package) for package in options.packages]
    sys.exit(not all(reports))


if __name__ == "__main__":
    main()

"""Failure mode 21: after a kill -9 at any point, the next run completes every track once."""

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mp4gen.testing import FakeService
from tests.support_kill import POINTS

FAULTS = (
    "reset",
    "reset_after_accept",
    "truncated_after_accept",
    "html_502_after_accept",
    "code_500",
    "rate_limited",
)
# Points that only some faults reach.
RARE = {"before a refusal is recorded", "a refusal is recorded", "before the doubt is recorded"}
SIGINT_POINTS = [
    "the intent is committed",
    "the submit has left",
    "before the id is recorded",
    "before the poll",
]

Run = Callable[..., int]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Return a function that runs a job in a forked child and returns its exit status."""
    script = Path(__file__).parents[1] / "support_kill.py"
    parent = subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    stdin, stdout = parent.stdin, parent.stdout

    def run(**job: Any) -> int:
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()
        return int(stdout.readline())

    with parent:
        yield run
        stdin.close()


@pytest.fixture(scope="module", params=[True, False], ids=["409", "no 409"])
def service(request: pytest.FixtureRequest) -> Iterator[FakeService]:
    kind = "existing_id" if request.param else "new_task"
    with FakeService(
        duplicate_policy=kind, rate_limit=None, file_size=300_000, credits=1e9
    ) as service:
        yield service


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("point", POINTS)
def test_run_resumes_after_a_kill(
    run: Run, service: FakeService, tmp_path: Path, point: str, fault: str
) -> None:
    """Failure mode 21: each track has its complete file or an uncertain result, none twice."""
    rejects_duplicates = service.duplicate_policy == "existing_id"
    tracks = [f"{fault}-{point}-{number}" for number in range(2)]
    job = {
        "url": service.url,
        "folder": str(tmp_path),
        "tracks": tracks,
        "rejects_duplicates": rejects_duplicates,
    }
    service.clear()
    service.script("create", fault)
    first = run(point=point, **job)
    partial = [path.name for path in tmp_path.glob("*.mp4") if not is_complete(path, service)]
    second = run(point=None, **job)
    results = json.loads((tmp_path / "results.json").read_text())
    errors = {result["error"] for result in results}
    made = Counter(task.request.audio_id for task in service.tasks.values())

    assert (first, second) == (-signal.SIGKILL if first or point not in RARE else 0, 0)
    assert partial == []
    assert sorted(result["track"] for result in results) == sorted(tracks)
    assert errors <= ({None} if rejects_duplicates else {None, "SubmitUncertainError"})
    assert all(made[track] <= 1 for track in tracks)
    for result in results:
        assert result["error"] or is_complete(Path(result["path"]), service)


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("point", SIGINT_POINTS)
def test_run_resumes_after_sigint(
    run: Run, service: FakeService, tmp_path: Path, point: str, times: int
) -> None:
    """Failure mode 20: SIGINT once or twice ends the run, and the next run resumes."""
    tracks = [f"ctrl-c-{times}-{point}-{number}" for number in range(3)]
    rejects_duplicates = service.duplicate_policy == "existing_id"
    job = {
        "url": service.url,
        "folder": str(tmp_path),
        "tracks": tracks,
        "rejects_duplicates": rejects_duplicates,
    }
    service.clear()
    first = run(point=point, signals=[signal.SIGINT] * times, **job)
    second = run(point=None, **job)
    results = json.loads((tmp_path / "results.json").read_text())
    made = Counter(task.request.audio_id for task in service.tasks.values())

    assert (first, second) == (130, 0)
    assert {result["error"] for result in results} <= {
        None,
        None if rejects_duplicates else "SubmitUncertainError",
    }
    assert all(made[track] <= 1 for track in tracks)


def is_complete(path: Path, service: FakeService) -> bool:
    """Return whether the file is the one that the service made for its track."""
    [content] = [
        task.content for task in service.tasks.values() if task.request.audio_id == path.stem
    ]
    return path.read_bytes() == content


def test_kill_matrix_is_large_enough() -> None:
    """Failure mode 21: at least twenty points and six faults."""
    assert len(POINTS) >= 20
    assert len(FAULTS) == 6
    assert RARE.union(SIGINT_POINTS) <= POINTS.keys()

"""The loop of the README works for one track, and loses videos as its table says."""

import importlib
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from mp4gen.testing import FakeService
from mp4gen.testing.endpoints import Endpoint
from tests.docs.support_readme import ROOT

Run = Callable[..., Exception | None]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Import the benchmark that runs the loop."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    before = set(sys.modules)
    yield importlib.import_module("readme_loop")
    for name in {"readme_loop", "report"} - before:
        sys.modules.pop(name, None)


@pytest.fixture
def run(
    benchmark: ModuleType,
    mp4gen_service: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Run:
    """Return a function that runs the loop for a track, in a new folder."""
    pytest.importorskip("requests", reason="the dev extra installs it")
    monkeypatch.setenv("MP4GEN_BASE_URL", mp4gen_service.url)
    monkeypatch.setenv("MP4GEN_API_KEY", "any key will do")
    monkeypatch.chdir(tmp_path)
    loop: Run = benchmark.run_loop
    return loop


def test_loop_finishes_one_track(run: Run, mp4gen_service: FakeService, tmp_path: Path) -> None:
    """It writes the whole video."""
    assert run("e231", lambda: None) is None

    (task_id,) = mp4gen_service.tasks
    with urllib.request.urlopen(mp4gen_service.file_url(task_id)) as file:  # noqa: S310 - ours
        assert (tmp_path / "e231.mp4").read_bytes() == file.read()


def test_loop_loses_twenty_tracks_at_once(run: Run, mp4gen_service: FakeService) -> None:
    """All twenty are accepted, and each first poll is above the limit."""
    submitted = threading.Barrier(20, timeout=60)
    errors: list[Exception | None] = []
    threads = [
        threading.Thread(target=lambda name=f"e{n}": errors.append(run(name, submitted.wait)))
        for n in range(20)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(mp4gen_service.tasks) == 20
    assert [type(error) for error in errors] == [TypeError] * 20


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [("create", "reset_after_accept"), ("details", "server_error"), ("file", "truncated")],
)
def test_loop_loses_a_track_that_is_paid_for(
    run: Run, mp4gen_service: FakeService, tmp_path: Path, endpoint: Endpoint, fault: str
) -> None:
    """A single failure ends it; a download that breaks leaves an empty file."""
    mp4gen_service.script(endpoint, fault)

    assert run("e231", lambda: None) is not None
    assert len(mp4gen_service.tasks) == 1
    assert [file.stat().st_size for file in tmp_path.glob("*.mp4")] in ([], [0])


def test_loop_polls_a_failed_task_forever(run: Run, mp4gen_service: FakeService) -> None:
    """It only knows success."""
    mp4gen_service.always("details", "failed")
    pauses = iter(range(7))

    assert isinstance(run("e231", lambda: next(pauses)), StopIteration)
    assert mp4gen_service.count("details") == 7

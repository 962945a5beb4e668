"""The blocking client in a process that forks, and in one that ends without closing it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mp4gen.testing import FakeService

pytestmark = pytest.mark.slow
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without forks")

REFUSED = (
    "mp4gen.sync.Client belongs to process PID, which used it before it forked this one. "
    "Create one in each process, or use it after the fork only."
)

START = """
import gc, os, sys, threading, time
import mp4gen, mp4gen.sync

url, folder = sys.argv[1:]
events = []
client = mp4gen.sync.Client(
    "key", base_url=url, rate_limit=mp4gen.RateLimit(1000, per=0.001), on_event=events.append
)

def in_child(work):
    child = os.fork()
    if child == 0:
        work()
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def run(service: FakeService, folder: Path, program: str) -> tuple[int, str, str]:
    """Run a program after `START`; return its exit code and its output."""
    # A fork of a process with threads is what these programs are about.
    options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    ended = subprocess.run(
        [sys.executable, *options, "-c", START + program, service.url, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


@forks
def test_client_made_before_a_fork_works_in_parent_and_child(
    service: FakeService, tmp_path: Path
) -> None:
    """As with `gunicorn --preload`: the app makes it, and each worker uses it."""
    program = """
def work():
    print(client.convert(mp4gen.VideoRequest("music", str(os.getpid()))).adopted, flush=True)

print([in_child(work) for _ in range(2)])
work()
"""

    assert run(service, tmp_path, program) == (0, "False\nFalse\n[0, 0]\nFalse\n", "")
    assert len(service.tasks) == 3


@forks
def test_client_used_before_a_fork_refuses_calls_of_the_child(
    service: FakeService, tmp_path: Path
) -> None:
    """A second process would not know of the rate limit; its end leaves the parent untouched."""
    program = """
print(client.get_credits())

def work():
    try:
        client.get_credits()
    except mp4gen.ConfigurationError as error:
        print(str(error).replace(str(os.getppid()), "PID"), flush=True)
    client.close()
    with mp4gen.sync.Client(base_url=url) as own:
        print(own.get_credits(), flush=True)

def collect():
    global client
    del client
    gc.collect()

print(in_child(work), in_child(collect), flush=True)
print(client.get_credits(), client.convert(mp4gen.VideoRequest("music", "track")).adopted)
print([event for event in events if isinstance(event, mp4gen.RetryEvent)])
"""

    code, output, errors = run(service, tmp_path, program)

    assert (code, errors) == (0, "")
    assert output.splitlines() == [
        "1000.0",
        REFUSED,
        "1000.0",
        "0 0",
        "1000.0 False",
        "[]",
    ]


def test_program_ends_without_a_close(service: FakeService, tmp_path: Path) -> None:
    """Without a warning, and without a wait for a thread that is a daemon."""
    program = """
print(client.get_credits())
"""

    assert run(service, tmp_path, program) == (0, "1000.0\n", "")


def test_program_ends_with_an_open_run(slow_service: FakeService, tmp_path: Path) -> None:
    """Its ledger is closed while its thread still works: no track is uncertain."""
    program = """
requests = [mp4gen.VideoRequest("music", f"track-{n}") for n in range(5)]
results = iter(client.convert_many(requests, ledger=f"{folder}/run.sqlite"))

def wait():
    try:
        next(results)
    except StopIteration:
        pass

threading.Thread(target=wait, daemon=True).start()
while sum(isinstance(event, mp4gen.SubmittedEvent) for event in events) < 5:
    time.sleep(0.01)
"""

    assert run(slow_service, tmp_path, program) == (0, "", "")
    assert not (tmp_path / "run.sqlite-wal").exists()
    assert len(slow_service.tasks) == 5


THREADS = {
    "thread": "threading.Thread(target=work).start()",
    "pool": "ThreadPoolExecutor(1).submit(work)",
}


@pytest.mark.skipif(
    (3, 12, 0) <= sys.version_info[:3] < (3, 12, 2),
    reason="These versions of Python start no thread once the main one has ended.",
)
@pytest.mark.parametrize("start", THREADS.values(), ids=THREADS)
def test_program_waits_for_calls_of_its_threads(
    service: FakeService, tmp_path: Path, start: str
) -> None:
    """Python keeps a program alive for them, so the client lives as long."""
    program = f"""
from concurrent.futures import ThreadPoolExecutor

def work():
    video = client.convert(mp4gen.VideoRequest("music", "track"))
    print(client.download(video, folder).name)

{start}
while not events:
    time.sleep(0.001)
"""

    assert run(service, tmp_path, program) == (0, "track.mp4\n", "")

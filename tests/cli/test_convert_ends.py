"""`mp4gen convert` that is interrupted or loses a response: what the next line does, and says."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mp4gen import VideoRequest
from mp4gen.bulk.ledger import Ledger
from mp4gen.testing import FakeService
from tests.cli.test_processes import start
from tests.support_proxy import full_backlog

LINE = ("convert", "t.csv", "--to", "v")
RESUBMIT = (
    "Submit uncertain tracks again, which may pay for them twice, with: "
    "mp4gen convert t.csv --to v --resubmit-uncertain\n"
)
RESUME = "Resume with: mp4gen convert t.csv --to v"


@pytest.fixture(autouse=True)
def _folder_with_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"m,a{number}" for number in range(6)]
    Path("t.csv").write_text("\n".join(["taskId,audioId", *rows, ""]))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeService]]:
    """Return a function that starts a host that the client does not know."""
    services = []

    def run(**settings: Any) -> FakeService:
        service = FakeService(**settings)
        service.__enter__()
        services.append(service)
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        return service

    yield run
    for service in services:
        service.__exit__()


def write_intents(service: FakeService, number: int) -> None:
    """Write the ledger of a run that was killed after it had sent the first submits."""

    async def write() -> None:
        ledger = await Ledger.open(Path("v/mp4gen-ledger.sqlite"), service.url)
        requests = [VideoRequest("m", f"a{n}") for n in range(number)]
        for entry in await ledger.add_or_get(requests):
            await ledger.mark_submitting(entry.id, [])
        await ledger.close()

    asyncio.run(write())


def test_lost_response_on_an_unknown_host_needs_the_users_word(host: Any, mp4gen: Any) -> None:
    """The same line would report it again, so the summary does not propose it."""
    service = host(duplicate_policy="new_task")
    service.script("create", "reset_after_accept")

    first = mp4gen(*LINE)
    again = mp4gen(*LINE)
    tasks = len(service.tasks)
    resubmitted = mp4gen(*LINE, "--resubmit-uncertain")

    assert (first.code, again.code, resubmitted.code) == (1, 1, 0)
    assert first.err.endswith(RESUBMIT)
    assert RESUME not in first.err + again.err
    assert "check the account before you submit again" in first.out
    assert (tasks, len(service.tasks)) == (6, 7)


def test_killed_run_is_resolved_by_the_same_line_on_our_own_server(host: Any, mp4gen: Any) -> None:
    """The server says that it rejects duplicates, so nothing stays uncertain."""
    service = host(announces_duplicates=True)
    write_intents(service, 2)

    dry = mp4gen(*LINE, "--dry-run")
    ended = mp4gen(*LINE)

    assert "6 tracks: 0 done, 0 in progress, 0 failed, 4 new, 2 uncertain" in dry.out
    assert "6 to submit" in dry.out
    assert ended.code == 0
    assert "6 videos in v, 0 failed, 0 remaining" in ended.out
    assert len(service.tasks) == 6


def test_dry_run_counts_what_it_would_not_submit(host: Any, mp4gen: Any) -> None:
    """Uncertain tracks are submitted only if the user or the host says so."""
    write_intents(host(), 2)

    assert "4 to submit" in mp4gen(*LINE, "--dry-run").out
    assert "6 to submit" in mp4gen(*LINE, "--dry-run", "--resubmit-uncertain").out


@pytest.mark.slow
@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGINT]])
def test_run_killed_while_connecting_leaves_nothing_uncertain(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, signals: list[signal.Signals]
) -> None:
    """Failure mode 41: not one byte has left, so the same line submits all, on any host."""
    with full_backlog() as url:
        process = start(*LINE, MP4GEN_BASE_URL=url)
        pause = threading.Event()
        while mp4gen("ledger", "v", "--uncertain", "--json").out.count("\n") < 6:
            pause.wait(0.05)
        for number in signals:
            process.send_signal(number)
            pause.wait(0.2)
        _, err = process.communicate(timeout=20)
        left = mp4gen("ledger", "v").out
    monkeypatch.setenv("MP4GEN_BASE_URL", url)
    with FakeService(duplicate_policy="new_task", port=int(url.rpartition(":")[2])) as service:
        ended = mp4gen(*LINE)
        tasks = len(service.tasks)

    # A second Ctrl-C may meet an interpreter that is ending; shells report 130 for both.
    assert process.returncode in {128 + signals[0], -signals[0]}
    assert left == "not submitted\t6\n"
    assert "may have been accepted" not in err
    assert err.endswith(f"{RESUME}\nmp4gen: Stopped.\n")
    assert (ended.code, tasks) == (0, 6)


def test_interrupted_submits_are_reported(host: Any, mp4gen: Any) -> None:
    """A second Ctrl-C while responses are awaited: the user learns what the next run does."""
    service = host(duplicate_policy="new_task")
    service.always("create", "hang_after_accept")
    ctrl_c = press_ctrl_c(lambda: len(service.tasks) == 6, times=2)

    ended = mp4gen(*LINE)
    ctrl_c.join()

    assert ended.code == 130
    assert (
        "6 submits were interrupted and may have been accepted. The next run resolves them if "
        "this host rejects duplicates, else it reports them.\n"
    ) in ended.err


@pytest.mark.parametrize("refusal", ["maintenance", "rate_limited", "code_500"])
def test_ctrl_c_submits_nothing_more(host: Any, mp4gen: Any, refusal: str) -> None:
    """What the API refuses for the moment remains for the next run; the run ends at once."""
    service = host()
    service.always("create", refusal)
    ctrl_c = press_ctrl_c(lambda: service.count("create") > 0)

    ended = mp4gen(*LINE)
    ctrl_c.join()
    service.clear()
    resumed = mp4gen(*LINE)

    assert (ended.code, resumed.code) == (130, 0)
    assert "0 videos in v, 0 failed, 6 remaining" in ended.out
    assert RESUME in ended.err
    assert len(service.tasks) == 6


def press_ctrl_c(ready: Callable[[], bool], times: int = 1) -> threading.Thread:
    """Press Ctrl-C in this process when `ready` returns True."""

    def press() -> None:
        pause = threading.Event()
        while not ready():
            pause.wait(0.01)
        for _ in range(times):
            pause.wait(0.1)
            signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread

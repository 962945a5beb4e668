"""`mp4gen convert` and `mp4gen ledger`, on the fake service."""

from __future__ import annotations

import csv
import io
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from mp4gen import Track
from mp4gen.testing import FakeService

LEDGER = "mp4gen-ledger.sqlite"


@pytest.fixture(autouse=True)
def _folder_with_a_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    write_table(3)


def write_table(rows: int, author: str = "Ann") -> None:
    lines = [f"m,a{number},{author},Song {number}" for number in range(rows)]
    Path("t.csv").write_text("\n".join(["taskId,audioId,author,title", *lines, ""]))


def videos() -> list[str]:
    return sorted(path.name for path in Path("v").glob("*.mp4"))


def test_convert_makes_a_video_for_each_row(service: FakeService, mp4gen: Any) -> None:
    """Each is named after its track and printed when it is complete."""
    ended = mp4gen("convert", "t.csv", "--to", "v")

    assert ended.code == 0
    assert sorted(ended.out.splitlines()) == [
        "3 videos in v, 0 failed, 0 remaining", "v/a0.mp4", "v/a1.mp4", "v/a2.mp4"
    ]  # fmt: skip
    assert videos() == ["a0.mp4", "a1.mp4", "a2.mp4"]
    assert (Path("v") / LEDGER).stat().st_mode & 0o077 == 0


def test_convert_again_sends_no_request(service: FakeService, mp4gen: Any) -> None:
    """Existing videos are counted and not printed again."""
    mp4gen("convert", "t.csv", "--to", "v")
    calls = len(service.requests)

    ended = mp4gen("convert", "t.csv", "--to", "v")

    assert ended.code == 0
    assert ended.out == "3 videos in v (3 from earlier runs), 0 failed, 0 remaining\n"
    assert len(service.requests) == calls


def test_convert_json_prints_a_record_for_each_row(service: FakeService, mp4gen: Any) -> None:
    """Each record has its line in the table; the last record is the summary."""
    *rows, last = mp4gen("convert", "t.csv", "--to", "v", "--json").records

    assert {(row["line"], row["audio_id"], row["status"], row["path"]) for row in rows} == {
        (number + 2, f"a{number}", "done", f"v/a{number}.mp4") for number in range(3)
    }
    assert last == {"summary": {"succeeded": 3, "failed": 0, "remaining": 0, "stop_reason": None}}


def test_convert_continues_after_a_failed_track(service: FakeService, mp4gen: Any) -> None:
    """The exit code is 1, and the suggested command retries the track."""
    service.script("create", "code_400")

    ended = mp4gen("convert", "t.csv", "--to", "v")
    again = mp4gen("convert", "t.csv", "--to", "v")
    retried = mp4gen("convert", "t.csv", "--to", "v", "--retry-failed")

    assert (ended.code, again.code, retried.code) == (1, 1, 0)
    assert "FAILED line 2, audio a0: The API answered 400" in ended.out
    assert "2 videos in v, 1 failed, 0 remaining" in ended.out
    assert "Retry failed tracks with: mp4gen convert t.csv --to v --retry-failed" in ended.err
    assert len(service.tasks) == 3


def test_convert_without_credits_returns_3(service: FakeService, mp4gen: Any) -> None:
    """Videos in progress are finished, and the suggested command contains no key."""
    service.credits = 2

    ended = mp4gen("convert", "t.csv", "--to", "v", "--key", "sentinel")

    assert ended.code == 3
    assert "2 videos in v, 0 failed, 1 remaining" in ended.out
    assert "Resume with: mp4gen convert t.csv --to v\n" in ended.err
    assert "Add credits" in ended.err
    assert "sentinel" not in ended.out + ended.err


def test_convert_with_an_invalid_row_sends_nothing(service: FakeService, mp4gen: Any) -> None:
    """Each invalid row is reported."""
    with Path("t.csv").open("a") as file:
        file.write(f"m,a7,{'x' * 51},\nm,,,\n")

    ended, record = mp4gen("convert", "t.csv", "--to", "v"), None
    record = mp4gen("convert", "t.csv", "--to", "v", "--json").records[0]

    assert ended.code == 2
    assert "t.csv:5: Invalid author: must be at most 50 characters, not 51.\n" in ended.err
    assert "t.csv:6: The row has no audioId.\n" in ended.err
    assert record["line"] == 5
    assert service.requests == []
    assert not Path("v").exists()


def test_convert_names_files_by_the_template(service: FakeService, mp4gen: Any) -> None:
    """The template can use all columns; the name is safe on every file system."""
    write_table(2, author="A/B: C")

    mp4gen("convert", "t.csv", "--to", "v", "--name", "{title}")

    assert videos() == ["Song 0.mp4", "Song 1.mp4"]


def test_convert_sends_extra_fields(service: FakeService, mp4gen: Any) -> None:
    """Those of a row and those of the command are one; the row wins."""
    rows = [
        '{"taskId": "m", "audioId": "a"}',
        '{"taskId": "m", "audioId": "b", "extra": {"look": "wave", "start": 7}}',
    ]
    Path("t.jsonl").write_text("\n".join(rows))

    ended = mp4gen("convert", "t.jsonl", "--to", "v", "--extra", "look=ring", "--json")
    Path("again.csv").write_text(mp4gen("ledger", "v", "--csv").out)
    again = mp4gen("convert", "again.csv", "--to", "v")

    sent = {task.request.audio_id: task.request.extra for task in service.tasks.values()}
    assert sent == {"a": {"look": "ring"}, "b": {"look": "wave", "start": 7}}
    assert {record.get("audio_id"): record.get("extra") for record in ended.records[:-1]} == sent
    assert (again.code, len(service.tasks)) == (0, 2)


def test_convert_never_overwrites_another_file(service: FakeService, mp4gen: Any) -> None:
    """Another track's video and a foreign file both stay unchanged."""
    Path("t.csv").write_text("taskId,audioId\nm1,a\nm2,a\nm3,b\n")
    Path("v").mkdir()
    Path("v/b.mp4").write_bytes(b"mine")

    ended = mp4gen("convert", "t.csv", "--to", "v")

    assert ended.code == 0
    assert len(videos()) == 4
    assert Path("v/b.mp4").read_bytes() == b"mine"


def test_convert_music_task_converts_its_tracks(service: FakeService, mp4gen: Any) -> None:
    """All tracks get the same author, and their titles become file names."""
    service.music["m9"] = [Track("m9", "x", title="First"), Track("m9", "y", title="Second")]

    options = ("--music-task", "m9", "--to", "v", "--author", "Ann", "--name", "{author} {title}")
    ended = mp4gen("convert", *options)

    assert ended.code == 0
    assert videos() == ["Ann First.mp4", "Ann Second.mp4"]


def test_convert_reads_the_output_of_tracks(
    service: FakeService, mp4gen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mp4gen tracks m9 --json | mp4gen convert - --to v`."""
    service.music["m9"] = [Track("m9", "x", title="First", duration=3.5)]
    table = mp4gen("tracks", "m9", "--json").out.encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(table)))

    ended = mp4gen("convert", "-", "--to", "v", "--name", "{title}")

    assert (ended.code, videos()) == (0, ["First.mp4"])


def test_dry_run_reports_and_submits_nothing(service: FakeService, mp4gen: Any) -> None:
    """The number of tracks, the minimum time, and the credits."""
    service.credits = 7
    mp4gen("convert", "t.csv", "--to", "v")
    write_table(50)

    ended = mp4gen("convert", "t.csv", "--to", "v", "--dry-run", "--json")

    assert ended.code == 0
    assert ended.records == [
        {
            "dry_run": {
                "tracks": 50, "done": 3, "failed": 0, "submitted": 0, "new": 47, "uncertain": 0,
                "to_submit": 47, "min_seconds": 40.0, "credits": 4.0,
            }
        }
    ]  # fmt: skip
    assert len(service.tasks) == 3


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ("unauthorized", 3, "The API answered 401: Unauthorized access. Check the API key"),
        ("html_404", 1, "Correct base_url."),
        ("ok", 0, "1000"),
    ],
)
def test_dry_run_ends_with_the_code_of_what_it_found(
    service: FakeService, mp4gen: Any, fault: Any, code: int, reason: str
) -> None:
    """The exit code is the one with which the run itself would end."""
    service.always("credits", fault)

    ended = mp4gen("convert", "t.csv", "--to", "v", "--dry-run")

    assert ended.code == code
    assert reason in ended.out


def test_dry_run_fails_if_the_server_is_down(
    service: FakeService, mp4gen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dry run asks for a short time, and reports why the credits are unknown."""
    monkeypatch.setattr("mp4gen.cli.dry_run.DRY_RUN_TIMEOUT", 0.05)
    service.always("credits", "hang")

    ended = mp4gen("convert", "t.csv", "--to", "v", "--dry-run")

    assert ended.code == 1
    assert "Credits left: unknown (No result within 0.05 s: the server has not resp" in ended.out


def test_dry_run_needs_no_key(mp4gen: Any, tmp_path: Path) -> None:
    """Without a key only the credits are unknown."""
    (tmp_path / "t.csv").write_text("taskId,audioId\nm,a\n")

    ended = mp4gen("convert", tmp_path / "t.csv", "--to", tmp_path / "v", "--dry-run")

    assert ended.code == 0
    assert "1 tracks: 0 done, " in ended.out
    assert "Credits left: unknown (no API key)" in ended.out
    assert not (tmp_path / "v").exists()


def test_convert_refuses_the_ledger_of_another_host(
    service: FakeService, mp4gen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tasks do not exist there."""
    mp4gen("convert", "t.csv", "--to", "v")
    with FakeService() as other:
        ended = mp4gen("convert", "t.csv", "--to", "v", "--base-url", other.url)

    assert ended.code == 2
    assert f"belongs to {service.url}" in ended.err
    assert other.requests == []


def test_ctrl_c_twice_leaves_a_resumable_ledger(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 130, and the ledger has all submitted tasks."""
    with FakeService(duration=1e6) as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        ctrl_c = threading.Thread(target=_interrupt_twice, args=(service,))
        ctrl_c.start()
        ended = mp4gen("convert", "t.csv", "--to", "v")
        ctrl_c.join()
        left = mp4gen("ledger", "v")
        submitted = len(service.tasks)

    assert ended.code == 130
    assert "Stopping. Waiting for 3 videos in progress" in ended.err
    assert "Resume with: mp4gen convert t.csv --to v\n" in ended.err
    assert ended.err.endswith("mp4gen: Stopped.\n")
    assert left.out == "submitted, not finished\t3\n"
    assert submitted == 3


def _interrupt_twice(service: FakeService) -> None:
    """Press Ctrl-C when all is submitted, and again after a moment."""
    pause = threading.Event()
    while len(service.tasks) < 3:
        pause.wait(0.01)
    for _ in range(2):
        pause.wait(0.05)
        signal.raise_signal(signal.SIGINT)


def test_ledger_counts_or_lists_tracks(service: FakeService, mp4gen: Any) -> None:
    """It counts the states, or lists the tracks that match."""
    service.script("create", "code_400")
    mp4gen("convert", "t.csv", "--to", "v")

    counts, failed = mp4gen("ledger", "v"), mp4gen("ledger", Path("v") / LEDGER, "--failed")
    expiring = mp4gen("ledger", "v", "--expiring", "30", "--json")

    assert sorted(counts.out.splitlines()) == ["downloaded\t2", "failed (see --failed)\t1"]
    assert failed.out.startswith("m\ta0\tfailed\t\t\tThe API answered 400")
    assert expiring.out == ""


def test_ledger_csv_escapes_formulas(service: FakeService, mp4gen: Any) -> None:
    """The columns can be read again."""
    write_table(1, author="=cmd()")
    mp4gen("convert", "t.csv", "--to", "v")

    ended = mp4gen("ledger", "v", "--csv")

    (row,) = csv.DictReader(io.StringIO(ended.out))
    assert row["author"] == "'=cmd()"
    assert (row["taskId"], row["audioId"], row["state"]) == ("m", "a0", "downloaded")

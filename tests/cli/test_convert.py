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


@pytest.fixture
def there(
    mp4gen_service: FakeService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> FakeService:
    """The service, as the one that commands talk to; the table `t.csv` of three tracks."""
    monkeypatch.setenv("MP4GEN_BASE_URL", mp4gen_service.url)
    monkeypatch.chdir(tmp_path)
    table(3)
    return mp4gen_service


def table(rows: int, author: str = "Ann") -> None:
    lines = [f"m,a{number},{author},Song {number}" for number in range(rows)]
    Path("t.csv").write_text("\n".join(["taskId,audioId,author,title", *lines, ""]))


def videos() -> list[str]:
    return sorted(path.name for path in Path("v").glob("*.mp4"))


def test_a_table_becomes_videos(there: FakeService, mp4gen: Any) -> None:
    """Each is named after its track, and told when it is there."""
    ended = mp4gen("convert", "t.csv", "--to", "v")

    assert ended.code == 0
    assert sorted(ended.out.splitlines()) == [
        "3 videos in v, 0 failed, 0 left", "v/a0.mp4", "v/a1.mp4", "v/a2.mp4"
    ]  # fmt: skip
    assert videos() == ["a0.mp4", "a1.mp4", "a2.mp4"]
    assert (Path("v") / LEDGER).stat().st_mode & 0o077 == 0


def test_the_same_line_again_sends_nothing(there: FakeService, mp4gen: Any) -> None:
    """What is there is counted and not told again."""
    mp4gen("convert", "t.csv", "--to", "v")
    calls = len(there.requests)

    ended = mp4gen("convert", "t.csv", "--to", "v")

    assert ended.code == 0
    assert ended.out == "3 videos in v (3 of them from earlier runs), 0 failed, 0 left\n"
    assert len(there.requests) == calls


def test_each_row_is_a_record(there: FakeService, mp4gen: Any) -> None:
    """With its line in the table; the last record sums up."""
    *rows, last = mp4gen("convert", "t.csv", "--to", "v", "--json").records

    assert {(row["line"], row["audio_id"], row["status"], row["path"]) for row in rows} == {
        (number + 2, f"a{number}", "done", f"v/a{number}.mp4") for number in range(3)
    }
    assert last == {"summary": {"succeeded": 3, "failed": 0, "remaining": 0, "stop_reason": None}}


def test_a_track_that_fails_is_told_and_stops_nobody(there: FakeService, mp4gen: Any) -> None:
    """1, and the line that tries it again; which then does."""
    there.script("create", "code_400")

    ended = mp4gen("convert", "t.csv", "--to", "v")
    again = mp4gen("convert", "t.csv", "--to", "v")
    retried = mp4gen("convert", "t.csv", "--to", "v", "--retry-failed")

    assert (ended.code, again.code, retried.code) == (1, 1, 0)
    assert "FAILED line 2, audio a0: The API answered 400" in ended.out
    assert "2 videos in v, 1 failed, 0 left" in ended.out
    assert "with: mp4gen convert t.csv --to v --retry-failed" in ended.err
    assert len(there.tasks) == 3


def test_no_credits_stop_the_run_with_3(there: FakeService, mp4gen: Any) -> None:
    """What runs is finished, what is left is counted, and the key is not in the hint."""
    there.credits = 2

    ended = mp4gen("convert", "t.csv", "--to", "v", "--key", "sentinel")

    assert ended.code == 3
    assert "2 videos in v, 0 failed, 1 left" in ended.out
    assert "go on with: mp4gen convert t.csv --to v\n" in ended.err
    assert "Add credits" in ended.err
    assert "sentinel" not in ended.out + ended.err


def test_a_bad_row_keeps_the_whole_table_back(there: FakeService, mp4gen: Any) -> None:
    """Nothing is sent, not even the good ones; each bad row is told."""
    with Path("t.csv").open("a") as file:
        file.write(f"m,a7,{'x' * 51},\nm,,,\n")

    ended, record = mp4gen("convert", "t.csv", "--to", "v"), None
    record = mp4gen("convert", "t.csv", "--to", "v", "--json").records[0]

    assert ended.code == 2
    assert "t.csv:5: author must be at most 50 characters, not 51\n" in ended.err
    assert "t.csv:6: has no audioId\n" in ended.err
    assert record["line"] == 5
    assert there.requests == []
    assert not Path("v").exists()


def test_files_are_named_as_asked(there: FakeService, mp4gen: Any) -> None:
    """From the request and the other columns, safe on every file system."""
    table(2, author="A/B: C")

    mp4gen("convert", "t.csv", "--to", "v", "--name", "{title}")

    assert videos() == ["Song 0.mp4", "Song 1.mp4"]


def test_two_tracks_of_one_name_and_a_strangers_file_stay_apart(
    there: FakeService, mp4gen: Any
) -> None:
    """Nothing is ever overwritten by another track's video."""
    Path("t.csv").write_text("taskId,audioId\nm1,a\nm2,a\nm3,b\n")
    Path("v").mkdir()
    Path("v/b.mp4").write_bytes(b"mine")

    ended = mp4gen("convert", "t.csv", "--to", "v")

    assert ended.code == 0
    assert len(videos()) == 4
    assert Path("v/b.mp4").read_bytes() == b"mine"


def test_a_music_task_is_a_table(there: FakeService, mp4gen: Any) -> None:
    """Its tracks, with one author for all and their titles for the names."""
    there.music["m9"] = [Track("m9", "x", title="First"), Track("m9", "y", title="Second")]

    words = ("--music-task", "m9", "--to", "v", "--author", "Ann", "--name", "{author} {title}")
    ended = mp4gen("convert", *words)

    assert ended.code == 0
    assert videos() == ["Ann First.mp4", "Ann Second.mp4"]


def test_what_tracks_prints_is_a_table(
    there: FakeService, mp4gen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mp4gen tracks m9 --json | mp4gen convert - --to v`."""
    there.music["m9"] = [Track("m9", "x", title="First", duration=3.5)]
    told = mp4gen("tracks", "m9", "--json").out.encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(told)))

    ended = mp4gen("convert", "-", "--to", "v", "--name", "{title}")

    assert (ended.code, videos()) == (0, ["First.mp4"])


def test_a_dry_run_tells_and_sends_no_submit(there: FakeService, mp4gen: Any) -> None:
    """How many, how long, what is left; nothing is made."""
    there.credits = 7
    mp4gen("convert", "t.csv", "--to", "v")
    table(50)

    ended = mp4gen("convert", "t.csv", "--to", "v", "--dry-run", "--json")

    assert ended.code == 0
    assert ended.records == [
        {
            "dry_run": {
                "tracks": 50, "done": 3, "failed": 0, "submitted": 0, "new": 47,
                "to_submit": 47, "min_seconds": 40.0, "credits": 4.0,
            }
        }
    ]  # fmt: skip
    assert len(there.tasks) == 3


def test_a_dry_run_needs_no_key(mp4gen: Any, tmp_path: Path) -> None:
    """Only the credits stay unknown."""
    (tmp_path / "t.csv").write_text("taskId,audioId\nm,a\n")

    ended = mp4gen("convert", tmp_path / "t.csv", "--to", tmp_path / "v", "--dry-run")

    assert ended.code == 0
    assert "1 tracks: 0 done before" in ended.out
    assert "credits left: unknown (no API key)" in ended.out
    assert not (tmp_path / "v").exists()


def test_another_hosts_ledger_is_refused(
    there: FakeService, mp4gen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tracks are not known elsewhere."""
    mp4gen("convert", "t.csv", "--to", "v")
    with FakeService() as other:
        ended = mp4gen("convert", "t.csv", "--to", "v", "--base-url", other.url)

    assert ended.code == 2
    assert f"belongs to {there.url}" in ended.err
    assert other.requests == []


def test_ctrl_c_ends_clean_and_the_same_line_goes_on(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """130; what was submitted is waited for by the next run, and not submitted again."""
    monkeypatch.chdir(tmp_path)
    table(3)
    with FakeService(duration=1e6) as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        ctrl_c = threading.Thread(target=_twice_ctrl_c, args=(service,))
        ctrl_c.start()
        ended = mp4gen("convert", "t.csv", "--to", "v")
        ctrl_c.join()
        left = mp4gen("ledger", "v")
        submitted = len(service.tasks)

    assert ended.code == 130
    assert "stopping: nothing more is submitted" in ended.err
    assert "go on with: mp4gen convert t.csv --to v\n" in ended.err
    assert ended.err.endswith("mp4gen: stopped\n")
    assert left.out == "submitted, not finished\t3\n"
    assert submitted == 3


def _twice_ctrl_c(service: FakeService) -> None:
    """As soon as all is submitted; the second one some looks later, for the first to be seen."""
    pause = threading.Event()
    while len(service.tasks) < 3:
        pause.wait(0.01)
    for _ in range(2):
        pause.wait(0.05)
        signal.raise_signal(signal.SIGINT)


def test_a_ledger_tells_what_is_in_it(there: FakeService, mp4gen: Any) -> None:
    """Counts, or the tracks that were asked for."""
    there.script("create", "code_400")
    mp4gen("convert", "t.csv", "--to", "v")

    counts, failed = mp4gen("ledger", "v"), mp4gen("ledger", Path("v") / LEDGER, "--failed")
    expiring = mp4gen("ledger", "v", "--expiring", "30", "--json")

    assert sorted(counts.out.splitlines()) == ["downloaded\t2", "failed (see --failed)\t1"]
    assert failed.out.startswith("m\ta0\tfailed\t\t\tThe API answered 400")
    assert expiring.out == ""


def test_a_ledgers_csv_holds_no_formula(there: FakeService, mp4gen: Any) -> None:
    """A spreadsheet must not run what an author is called; the columns can be read again."""
    table(1, author="=cmd()")
    mp4gen("convert", "t.csv", "--to", "v")

    ended = mp4gen("ledger", "v", "--csv")

    (row,) = csv.DictReader(io.StringIO(ended.out))
    assert row["author"] == "'=cmd()"
    assert (row["taskId"], row["audioId"], row["state"]) == ("m", "a0", "downloaded")

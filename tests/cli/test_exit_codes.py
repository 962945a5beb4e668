"""Exit code 2 means "bad input; nothing was sent": each command line is checked for both halves."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mp4gen import ConfigurationError, LedgerError, RenderError, Track
from mp4gen.cli.exit_codes import UsageError, exit_code
from mp4gen.testing import FakeService, ScriptedResponse

WRONG_HOST = ScriptedResponse(status=404, body=b"<html>no such page</html>")


@pytest.fixture(autouse=True)
def _folder_with_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("taskId,audioId\nm,a\nm,b\n")
    Path("file").touch()
    Path("text.sqlite").write_text("no ledger " * 200)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("create m a --author " + "x" * 51, 2),
        ("wait t --timeout nan", 2),
        ("wait t --timeout 0", 2),
        ("convert none.csv --to v", 2),
        ("convert t.csv --to file/v", 2),
        ("convert t.csv --to v --ledger text.sqlite", 2),
        ("convert t.csv --to v --ledger file/l.sqlite", 2),
        ("convert t.csv --to v --timeout 0", 2),
        ("convert t.csv --to v --rate-limit 0/1", 2),
        ("convert t.csv --to v --concurrency 0", 2),
        ("convert t.csv --to v --name {nothing}", 2),
        ("convert t.csv --to v --author " + "x" * 51, 2),
        ("convert t.csv --to v --public-url nonsense", 2),
        ("convert t.csv --to v --public-url http://127.0.0.1:1 --callback-port 99999", 2),
        ("convert --music-task m9 --to v --timeout 0", 2),
        ("convert --music-task m9 --to v --author " + "x" * 51, 2),
        ("convert --music-task m9 --to file/v", 2),
        ("convert --music-task m9 --to v --name {nothing}", 2),
        # Something was sent before the problem was found.
        ("convert --music-task empty --to v", 1),
        ("convert --music-task m9 --to v --ledger text.sqlite", 1),
        ("download t --to v", 1),
        ("details none", 1),
    ],
)
def test_exit_code_2_means_that_nothing_was_sent(
    service: FakeService, mp4gen: Any, arguments: str, code: int
) -> None:
    """No request reached the API, and no other error has this code."""
    service.music["m9"] = [Track("m9", "x", title="First")]
    service.music["empty"] = []

    ended = mp4gen(*arguments.split())

    assert ended.code == code
    assert (service.requests == []) == (code == 2)
    assert ended.err.count("mp4gen: ") == 1


@pytest.mark.parametrize("command", ["credits", "create m a", "convert t.csv --to v"])
def test_wrong_base_url_that_answers_is_1(service: FakeService, mp4gen: Any, command: str) -> None:
    """A page that is not the API's: the text is about a setting, but a request was sent."""
    service.always("credits", WRONG_HOST)
    service.always("create", WRONG_HOST)

    ended = mp4gen(*command.split())

    assert ended.code == 1
    assert "base_url" in ended.err + ended.out
    assert service.requests != []


def test_ledger_of_another_host_is_2_for_a_table(service: FakeService, mp4gen: Any) -> None:
    """It is read before anything is sent."""
    with FakeService() as other:
        mp4gen("convert", "t.csv", "--to", "v", "--base-url", other.url)

    ended = mp4gen("convert", "t.csv", "--to", "v", "--json")

    assert ended.code == ended.records[-1]["exit_code"] == 2
    assert ended.records[-1]["error"] == "LedgerError"
    assert service.requests == []


@pytest.mark.slow
def test_full_disk_after_some_submits_is_1(service: FakeService, tmp_path: Path) -> None:
    """Failure mode 22: a track was sent, so the code is not "nothing was sent"."""
    rows = [f"m,a{number}" for number in range(15)]
    (tmp_path / "t.csv").write_text("\n".join(["taskId,audioId", *rows, ""]))
    # A full disk for one process: no file grows beyond this.
    code = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, 70_000)); "
    code += "runpy.run_module('mp4gen', run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", code, "convert", "t.csv", "--to", "v"]

    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ)
    )

    assert ended.returncode == 1
    assert 0 < len(service.tasks) <= 15
    assert "Cannot use the ledger" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_full_disk_before_the_first_submit_is_1(service: FakeService, mp4gen: Any) -> None:
    """Nothing was sent, but the input is not what is bad."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
    try:
        ended = mp4gen("convert", "t.csv", "--to", "v")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert ended.code == 1
    assert "Check the disk, then run again." in ended.err
    assert service.tasks == {}


@pytest.mark.parametrize(
    "error", [UsageError("x"), ConfigurationError("x"), LedgerError("x"), RenderError("x")]
)
def test_errors_of_input_are_2_only_before_sending(error: Exception) -> None:
    """The same error later is a failure."""
    assert exit_code(error) == 2
    assert exit_code(error, has_sent=True) == 1


def test_json_record_of_an_error_with_an_explicit_value(mp4gen: Any) -> None:
    """`--json=true` is `--json`, for errors too."""
    ended = mp4gen("convert", "none.csv", "--to", "v", "--json=true")

    assert (ended.code, ended.records[0]["exit_code"]) == (2, 2)


def test_empty_table_name_is_refused(mp4gen: Any) -> None:
    """As an unset shell variable leaves it."""
    ended = mp4gen("convert", "", "--to", "v")

    assert ended.code == 2
    assert "No tracks to convert. Pass a table" in ended.err


def test_ledger_option_accepts_a_folder(service: FakeService, mp4gen: Any) -> None:
    """As `mp4gen ledger` does."""
    Path("ledgers").mkdir()

    ended = mp4gen("convert", "t.csv", "--to", "v", "--ledger", "ledgers")

    assert ended.code == 0
    assert mp4gen("ledger", "ledgers").out == "downloaded\t2\n"
    assert [path.name for path in Path("v").iterdir() if path.suffix == ".sqlite"] == []

"""The single commands, on the fake service: output and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mp4gen import LyricLine, TimestampedLyrics, Track
from mp4gen.cli.failure_reporter import FailureReporter
from mp4gen.cli.options import Connection
from mp4gen.cli.output import Output
from mp4gen.testing import FakeService

KEY = "sentinel-key-7f3a"
COMMANDS = "demo serve render convert create wait details download tracks lyrics credits ledger"


def test_create_prints_the_task_id(service: FakeService, mp4gen: Any) -> None:
    """The id is alone on its line, for use in a shell."""
    ended = mp4gen("create", "m", "a", "--author=-Ann", "--domain-name", "x.example")

    (task,) = service.tasks.values()
    assert (ended.code, ended.out, ended.err) == (0, f"{task.task_id}\n", "")
    assert (task.request.author, task.request.domain_name) == ("-Ann", "x.example")


def test_create_sends_extra_fields(service: FakeService, mp4gen: Any) -> None:
    """A value is JSON if it can be, else text."""
    extra = ["look=ring", "start=1.5", 'title="7"', "empty=", "formula=a=b"]
    ended = mp4gen("create", "m", "a", *(word for one in extra for word in ("--extra", one)))

    (task,) = service.tasks.values()
    assert ended.code == 0
    assert task.request.extra == {"look": "ring", "start": 1.5, "title": "7", "formula": "a=b"}
    assert json.loads(service.requests[-1].body)["empty"] == ""


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("look", "Invalid --extra: 'look'. Use NAME=VALUE, for instance look=ring."),
        ("=ring", "Invalid --extra: '=ring'. Use NAME=VALUE"),
        ("author=x", "Invalid extra: must not hold author; use the argument author."),
    ],
)
def test_invalid_extra_field_is_bad_input(mp4gen: Any, extra: str, expected: str) -> None:
    """Nothing is sent, and no key is needed to see it."""
    ended = mp4gen("create", "m", "a", "--extra", extra)

    assert ended.code == 2
    assert expected in ended.err


def test_create_of_a_duplicate_names_the_first_task(service: FakeService, mp4gen: Any) -> None:
    """The API makes one video for each track."""
    first = mp4gen("create", "m", "a").out.strip()

    ended = mp4gen("create", "m", "a")

    assert ended.code == 1
    assert f"Wait for the existing task {first}." in ended.err
    assert ended.err.count("\n") == 1


def test_wait_prints_the_url_or_the_file(service: FakeService, mp4gen: Any, tmp_path: Path) -> None:
    """Without --to it prints the URL; with --to it downloads the file and prints its path."""
    task_id = mp4gen("create", "m", "a").out.strip()

    link, file = mp4gen("wait", task_id), mp4gen("wait", task_id, "--to", tmp_path / "x.mp4")

    assert link.out.startswith(service.url)
    assert (file.code, file.out) == (0, f"{tmp_path / 'x.mp4'}\n")
    assert (tmp_path / "x.mp4").stat().st_size > 0


def test_details_prints_a_table_or_a_record(service: FakeService, mp4gen: Any) -> None:
    """The record has the API's full response under `raw`."""
    task_id = mp4gen("create", "m", "a").out.strip()

    table, record = mp4gen("details", task_id), mp4gen("details", task_id, "--json").records[0]

    assert "status\tSUCCESS\n" in table.out
    assert record["status"] == "SUCCESS"
    assert record["raw"]["successFlag"] == "SUCCESS"


def test_download_takes_an_id_or_a_url(service: FakeService, mp4gen: Any, tmp_path: Path) -> None:
    """A file in a folder is named after the track."""
    task_id = mp4gen("create", "m", "a").out.strip()
    url = mp4gen("wait", task_id).out.strip()

    by_id = mp4gen("download", task_id, "--to", tmp_path)
    by_url = mp4gen("download", url, "--to", tmp_path / "b.mp4", "--json")

    assert by_id.out == f"{tmp_path / 'a.mp4'}\n"
    assert by_url.records[0]["bytes"] == (tmp_path / "b.mp4").stat().st_size


@pytest.mark.parametrize("command", ["wait", "download"])
def test_to_with_a_slash_creates_a_folder(
    service: FakeService, mp4gen: Any, tmp_path: Path, command: str
) -> None:
    """`--to videos/` creates the folder, not a file of that name."""
    task_id = mp4gen("create", "m", "a").out.strip()
    mp4gen("wait", task_id)

    ended = mp4gen(command, task_id, "--to", f"{tmp_path}/videos/")

    assert ended.out == f"{tmp_path / 'videos' / 'a.mp4'}\n"
    assert (tmp_path / "videos" / "a.mp4").stat().st_size > 0


def test_download_of_an_unfinished_task_suggests_wait(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error contains the command."""
    with FakeService(duration=1e6) as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        task_id = mp4gen("create", "m", "a").out.strip()
        ended = mp4gen("download", task_id, "--to", tmp_path)

    assert ended.code == 1
    assert f"its status is PENDING. Wait for it with: mp4gen wait {task_id}" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_tracks_escapes_control_characters(service: FakeService, mp4gen: Any) -> None:
    """A title is untrusted text."""
    service.music["m"] = [Track("m", "a", title="\x1b[2JOne\u202e", duration=61.0, tags="[red]x")]

    ended = mp4gen("tracks", "m")

    assert ended.out == "a\t\\x1b[2JOne\\u202e\t1:01\t[red]x\n"


def test_credits_prints_a_number(service: FakeService, mp4gen: Any) -> None:
    """The number is alone on its line."""
    service.credits = 812.5

    assert mp4gen("credits").out == "812.5\n"
    assert mp4gen("credits", "--json").records == [{"credits": 812.5}]


@pytest.mark.parametrize(
    ("step", "code", "message"),
    [
        ("code_401", 3, "Check the API key"),
        ("no_credits", 3, "Add credits"),
        ("code_400", 1, "The API answered 400"),
        ("maintenance", 1, "Try again in some minutes"),
    ],
)
def test_exit_code_of_an_api_error(
    service: FakeService, mp4gen: Any, step: str, code: int, message: str
) -> None:
    """3 for the key and the credits, 1 otherwise; with --json also a record."""
    service.script("create", step)

    ended = mp4gen("create", "m", "a", "--json")

    assert ended.code == code
    assert message in ended.err
    assert ended.records[0]["exit_code"] == code


def test_api_messages_cannot_control_the_terminal(service: FakeService, mp4gen: Any) -> None:
    """The message of an error is escaped, too."""
    service.script("create", "maintenance")
    service.music["m"] = []

    ended = mp4gen("create", "m", "a")

    assert "\x1b" not in ended.err


def test_allow_http_is_reported_as_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """The key and the videos can be read on the way."""
    connection = Connection(key="k", base_url="http://192.168.1.5:8787", allow_http=True)

    connection.client(FailureReporter(Output()))

    assert capsys.readouterr().err == (
        "The key and the videos travel unencrypted to 192.168.1.5.\n"
    )


@pytest.mark.parametrize("how", ["environment", "--key-file", "--key"])
def test_key_is_sent_and_never_printed(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    """The key is read from each of its sources; a wrong key is refused."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    values = {"environment": [], "--key-file": [tmp_path / "key"], "--key": [KEY]}[how]
    if how == "environment":
        monkeypatch.setenv("MP4GEN_API_KEY", KEY)
    with FakeService(api_key=KEY) as service, FakeService(api_key="another") as other:
        options = [] if how == "environment" else [how, *values]
        right = mp4gen("credits", *options, "--base-url", service.url)
        wrong = mp4gen("credits", *options, "--base-url", other.url, "--json")

    assert (right.code, wrong.code) == (0, 3)
    assert KEY not in right.out + right.err + wrong.out + wrong.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["credits"], "Set MP4GEN_API_KEY"),
        (["credits", "--key", "k", "--key-file", "f"], "Remove one of them"),
        (["credits", "--key", " "], "The value of --key is empty"),
        (["credits", "--key-file", "none"], "Cannot read none for --key-file"),
        (["credits", "--key-file", "bad"], "Use a text file with the key alone, on one line."),
        (["credits", "--key-file", "bytes"], "bytes for --key-file: it is not UTF-8. Use another"),
        (["credits", "--key-file", "big"], "big for --key-file: it has more than 4096 bytes. Use"),
        (["credits", "--base-url", "ftp://x"], "Invalid base_url: 'ftp://x'. Use a URL"),
        (["credits", "--base-url", "http://x.example", "--key", "k"], "--allow-http"),
        (["credits", "--base-url", "http://8.8.8.8", "--key", "k", "--allow-http"], "Use https"),
        (["credits", "--key", "k", "--ca-file", "none"], "Cannot read none for --ca-file"),
        (["credits", "--key", "k", "--ca-file", "bad"], "Use a PEM file with certificates"),
        (["credits", "--dialect", "x", "--key", "k"], "--dialect"),
        (["credits", "sentinel-key-7f3a"], "Too many arguments"),
        (["create", "m", "a", "--author", "x" * 51, "--key", "k"], "at most 50 characters"),
        (["create", "m"], "Missing argument: AUDIO_ID"),
        (["create", "m", "", "--key", "k"], "Invalid audio_id: must not be empty."),
        (
            ["wait", "x", "--timeout", "nan", "--base-url", "http://127.0.0.1:9"],
            "Invalid timeout: nan",
        ),
        (["wait", "x", "--timeout", "soon"], "--timeout"),
        (["nonsense"], "Unknown command: 'nonsense'"),
        (["conver"], "Did you mean 'convert'?"),
        (["--nonsense"], "Unknown"),
        (["render", "none.mp3", "--to", "x.mp4"], "does not exist: none.mp3. Check the path."),
        (["render", "a.wav", "--to", "x.mp4", "--size", "big"], "for instance 1280x720"),
        (["render", "a.wav", "--to", "x.mp4", "--size", "13x13"], "even"),
        (["serve"], "Missing argument: --music"),
        (["serve", "--backup", "copy", "--data", "none"], "folder none contains no database"),
        (["serve", "--music", "none"], "The music folder none does not exist"),
        (["serve", "--music", ".", "--port", "70000"], "Invalid port: 70000"),
        (["serve", "--music", ".", "--host", "192.0.2.1"], "Set a key"),
        (["serve", "--music", ".", "--tls-cert", "bad"], "needs tls_key, too"),
        (["serve", "--music", ".", "--tls-cert", "bad", "--tls-key", "bad"], "Invalid --tls-cert"),
        (["serve", "--music", ".", "--rate-limit", "many"], "for instance 20/10"),
        (["serve", "--music", ".", "--min-free", "some"], "K, M or G"),
        (["serve", "--music", ".", "--accounts", "bad"], "Invalid line: bad:2. Use name=key"),
        (["serve", "--music", ".", "--accounts", "bytes"], "for --accounts: it is not UTF-8. Use"),
        (["serve", "--music", ".", "--accounts", "big"], "it has more than 1048576 bytes. Use"),
        (["ledger", "none"], "No such ledger: none."),
        (["ledger", "bad"], "ledger"),
        (["ledger", "x", "--csv", "--json"], "Remove one of them"),
        (["demo", "--to", "bad"], "it is a file. Choose another folder"),
        (["convert", "--to", "v"], "Pass a table"),
        (["convert", "--nope", "--to", "v"], "Unknown option: --nope"),
        (["convert", "x.csv"], "Missing argument: --to"),
        (["convert", "x.csv", "--music-task", "m", "--to", "v"], "Remove one of them"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_prints_one_line_and_returns_2(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], message: str
) -> None:
    """It says what is wrong and what to do; nothing is sent or created."""
    monkeypatch.chdir(tmp_path)
    Path("bad").write_text("# accounts\nname\n")
    Path("bytes").write_bytes(b"\xff")
    Path("big").write_bytes(b"\n" * ((1 << 20) + 1))

    ended = mp4gen(*arguments)

    assert ended.code == 2
    assert message in ended.err
    assert ended.err.startswith("mp4gen: ")
    assert ended.err.count("\n") == 1
    assert KEY not in ended.err
    assert {path.name for path in tmp_path.iterdir()} == {"bad", "big", "bytes"}


def test_help_lists_commands_and_exit_codes(mp4gen: Any) -> None:
    """The command without arguments prints the same help."""
    help_page, bare = mp4gen("--help"), mp4gen()

    assert help_page.code == bare.code == 0
    assert help_page.out == bare.out
    for name in COMMANDS.split():
        assert f" {name} " in help_page.out
    assert "130 stopped by Ctrl-C" in help_page.out


def test_version_starts_with_the_program_name(mp4gen: Any) -> None:
    """The number follows the name."""
    assert mp4gen("--version").out.startswith("mp4gen ")


LYRICS = TimestampedLyrics("m", "a", (LyricLine(1.0, None, "Stay\x1b[2J", ()),))


def test_lyrics_prints_or_writes_lrc(service: FakeService, mp4gen: Any, tmp_path: Path) -> None:
    """The text, the file's path, or a record."""
    service.lyrics.append(LYRICS)

    assert mp4gen("lyrics", "m", "a").out == "[00:01.00]Stay\\x1b[2J\n"
    assert mp4gen("lyrics", "m", "a", "--to", f"{tmp_path}/s.lrc").out == f"{tmp_path}/s.lrc\n"
    assert (tmp_path / "s.lrc").read_text() == LYRICS.to_lrc()
    assert mp4gen("lyrics", "m", "a", "--json").records == [LYRICS.to_dict()]


def test_lyrics_of_instrumental_music_are_a_failure(
    service: FakeService, mp4gen: Any, tmp_path: Path
) -> None:
    """A script that goes on with the file must notice that there is none."""
    service.lyrics.append(TimestampedLyrics("m", "a", ()))

    ended = mp4gen("lyrics", "m", "a", "--to", str(tmp_path / "s.lrc"))

    assert (ended.code, list(tmp_path.glob("*.lrc"))) == (1, [])
    assert "The track a has no lyrics." in ended.err

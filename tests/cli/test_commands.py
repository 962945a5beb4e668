"""The single commands, on the fake service: what they print, and how they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mp4gen import Track
from mp4gen.testing import FakeService

KEY = "sentinel-key-7f3a"


@pytest.fixture
def there(mp4gen_service: FakeService, monkeypatch: pytest.MonkeyPatch) -> FakeService:
    """The service, as the one that commands talk to."""
    monkeypatch.setenv("MP4GEN_BASE_URL", mp4gen_service.url)
    return mp4gen_service


def test_create_prints_the_tasks_id(there: FakeService, mp4gen: Any) -> None:
    """Alone on its line, so that a shell can take it."""
    ended = mp4gen("create", "m", "a", "--author=-Ann", "--domain-name", "x.example")

    (task,) = there.tasks.values()
    assert (ended.code, ended.out, ended.err) == (0, f"{task.task_id}\n", "")
    assert (task.request.author, task.request.domain_name) == ("-Ann", "x.example")


def test_a_second_create_tells_the_first_task(there: FakeService, mp4gen: Any) -> None:
    """The API makes one video of a track."""
    first = mp4gen("create", "m", "a").out.strip()

    ended = mp4gen("create", "m", "a")

    assert ended.code == 1
    assert f"Wait for the existing task {first}." in ended.err
    assert ended.err.count("\n") == 1


def test_wait_prints_the_link_or_the_file(there: FakeService, mp4gen: Any, tmp_path: Path) -> None:
    """With --to it downloads as well."""
    task_id = mp4gen("create", "m", "a").out.strip()

    link, file = mp4gen("wait", task_id), mp4gen("wait", task_id, "--to", tmp_path / "x.mp4")

    assert link.out.startswith(there.url)
    assert (file.code, file.out) == (0, f"{tmp_path / 'x.mp4'}\n")
    assert (tmp_path / "x.mp4").stat().st_size > 0


def test_details_are_a_table_or_a_record(there: FakeService, mp4gen: Any) -> None:
    """With all that the API said under `raw`."""
    task_id = mp4gen("create", "m", "a").out.strip()

    table, record = mp4gen("details", task_id), mp4gen("details", task_id, "--json").records[0]

    assert "status\tSUCCESS\n" in table.out
    assert record["status"] == "SUCCESS"
    assert record["raw"]["successFlag"] == "SUCCESS"


def test_download_takes_an_id_or_a_link(there: FakeService, mp4gen: Any, tmp_path: Path) -> None:
    """A folder gets the track's name."""
    task_id = mp4gen("create", "m", "a").out.strip()
    url = mp4gen("wait", task_id).out.strip()

    by_id = mp4gen("download", task_id, "--to", tmp_path)
    by_url = mp4gen("download", url, "--to", tmp_path / "b.mp4", "--json")

    assert by_id.out == f"{tmp_path / 'a.mp4'}\n"
    assert by_url.records[0]["bytes"] == (tmp_path / "b.mp4").stat().st_size


@pytest.mark.parametrize("command", ["wait", "download"])
def test_a_new_folder_is_told_by_its_slash(
    there: FakeService, mp4gen: Any, tmp_path: Path, command: str
) -> None:
    """`--to videos/` makes the folder, and no file of that name."""
    task_id = mp4gen("create", "m", "a").out.strip()
    mp4gen("wait", task_id)

    ended = mp4gen(command, task_id, "--to", f"{tmp_path}/videos/")

    assert ended.out == f"{tmp_path / 'videos' / 'a.mp4'}\n"
    assert (tmp_path / "videos" / "a.mp4").stat().st_size > 0


def test_download_of_what_is_not_there_yet_says_so(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what to do: wait."""
    with FakeService(duration=1e6) as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        task_id = mp4gen("create", "m", "a").out.strip()
        ended = mp4gen("download", task_id, "--to", tmp_path)

    assert ended.code == 1
    assert f"its status is PENDING; wait for it with: mp4gen wait {task_id}" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_tracks_are_told_without_their_escape_sequences(there: FakeService, mp4gen: Any) -> None:
    """A title is somebody else's text."""
    there.music["m"] = [Track("m", "a", title="\x1b[2JOne\u202e", duration=61.0, tags="[red]x")]

    ended = mp4gen("tracks", "m")

    assert ended.out == "a\t\\x1b[2JOne\\u202e\t1:01\t[red]x\n"


def test_credits_are_a_number(there: FakeService, mp4gen: Any) -> None:
    """Alone on its line."""
    there.credits = 812.5

    assert mp4gen("credits").out == "812.5\n"
    assert mp4gen("credits", "--json").records == [{"credits": 812.5}]


@pytest.mark.parametrize(
    ("step", "code", "says"),
    [
        ("code_401", 3, "Check the API key"),
        ("no_credits", 3, "Add credits"),
        ("code_400", 1, "The API answered 400"),
        ("maintenance", 1, "Try again in some minutes"),
    ],
)
def test_a_refusal_has_its_exit_code(
    there: FakeService, mp4gen: Any, step: str, code: int, says: str
) -> None:
    """3 where the key or the credits are the reason, 1 otherwise; a record where one was asked."""
    there.script("create", step)

    ended = mp4gen("create", "m", "a", "--json")

    assert ended.code == code
    assert says in ended.err
    assert ended.records[0]["exit_code"] == code


def test_the_vendors_words_cannot_steer_the_terminal(there: FakeService, mp4gen: Any) -> None:
    """They come through an error, too."""
    there.script("create", "maintenance")
    there.music["m"] = []

    ended = mp4gen("create", "m", "a")

    assert "\x1b" not in ended.err


@pytest.mark.parametrize("how", ["environment", "--key-file", "--key"])
def test_the_key_is_sent_and_never_shown(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    """From wherever it comes; a wrong one is refused by its host."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    words = {"environment": [], "--key-file": [tmp_path / "key"], "--key": [KEY]}[how]
    if how == "environment":
        monkeypatch.setenv("MP4GEN_API_KEY", KEY)
    with FakeService(api_key=KEY) as service, FakeService(api_key="another") as other:
        options = [] if how == "environment" else [how, *words]
        right = mp4gen("credits", *options, "--base-url", service.url)
        wrong = mp4gen("credits", *options, "--base-url", other.url, "--json")

    assert (right.code, wrong.code) == (0, 3)
    assert KEY not in right.out + right.err + wrong.out + wrong.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["credits"], "set MP4GEN_API_KEY"),
        (["credits", "--key", "k", "--key-file", "f"], "leave one out"),
        (["credits", "--key", " "], "--key is empty"),
        (["credits", "--key-file", "none"], "--key-file: none cannot be read"),
        (["credits", "--base-url", "ftp://x"], "Invalid base_url: 'ftp://x'. Use a URL"),
        (["credits", "--base-url", "http://x.example", "--key", "k"], "unencrypted"),
        (["credits", "--dialect", "x", "--key", "k"], "--dialect"),
        (["credits", "sentinel-key-7f3a"], "Too many arguments"),
        (["create", "m", "a", "--author", "x" * 51, "--key", "k"], "at most 50 characters"),
        (["create", "m"], "AUDIO_ID is missing"),
        (["create", "m", "", "--key", "k"], "Invalid audio_id: must not be empty."),
        (
            ["wait", "x", "--timeout", "nan", "--base-url", "http://127.0.0.1:9"],
            "Invalid timeout: nan",
        ),
        (["wait", "x", "--timeout", "soon"], "--timeout"),
        (["nonsense"], "there is no command nonsense"),
        (["conver"], "did you mean convert?"),
        (["--nonsense"], "Unknown"),
        (["render", "none.mp3", "--to", "x.mp4"], "The audio file does not exist: none.mp3."),
        (["render", "a.wav", "--to", "x.mp4", "--size", "big"], "for instance 1280x720"),
        (["render", "a.wav", "--to", "x.mp4", "--size", "13x13"], "even"),
        (["serve", "--music", "none"], "the music folder none does not exist"),
        (["serve", "--music", ".", "--port", "70000"], "Invalid port: 70000"),
        (["serve", "--music", ".", "--host", "192.0.2.1"], "Set a key"),
        (["serve", "--music", ".", "--rate-limit", "many"], "for instance 20/10"),
        (["serve", "--music", ".", "--min-free", "some"], "K, M or G"),
        (["serve", "--music", ".", "--accounts", "bad"], "bad:2: each line must be name=key"),
        (["ledger", "none"], "No such ledger: none."),
        (["ledger", "bad"], "ledger"),
        (["ledger", "x", "--csv", "--json"], "not both"),
        (["demo", "--to", "bad"], "there is a file of that name"),
        (["convert", "--to", "v"], "name a table of tracks"),
        (["convert", "--nope", "--to", "v"], "there is no option --nope"),
        (["convert", "x.csv"], "--to is missing"),
        (["convert", "x.csv", "--music-task", "m", "--to", "v"], "not both"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence_and_2(
    mp4gen: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], says: str
) -> None:
    """What was wrong and what to do; nothing is sent, nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    Path("bad").write_text("# accounts\nnobody\n")

    ended = mp4gen(*words)

    assert ended.code == 2
    assert says in ended.err
    assert ended.err.startswith("mp4gen: ")
    assert ended.err.count("\n") == 1
    assert KEY not in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["bad"]


def test_help_tells_all_commands_and_codes(mp4gen: Any) -> None:
    """Also where nothing was asked."""
    asked, unasked = mp4gen("--help"), mp4gen()

    assert asked.code == unasked.code == 0
    assert asked.out == unasked.out
    for (
        word
    ) in "demo serve render convert create wait details download tracks credits ledger".split():
        assert f" {word} " in asked.out
    assert "130 stopped by Ctrl-C" in asked.out


def test_the_version_is_told(mp4gen: Any) -> None:
    """By the name of the program."""
    assert mp4gen("--version").out.startswith("mp4gen ")

"""The programs of README, pages and examples run as written; CI uses the README's commands."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer, unused_port

import mp4gen
from mp4gen.testing import CallbackBehavior, FakeService
from tests.docs.support_readme import PAUSE, README, ROOT, block_with, blocks, write_song

EXAMPLES = sorted((ROOT / ".docs" / "examples").glob("*.py"))
ERRORS = ROOT / ".docs" / "pages" / "reference" / "errors.md"
FENCED = re.MULTILINE | re.DOTALL
# Only these examples import the packages.
OPTIONAL = {
    "django_app": "django",
    "opentelemetry_spans": "opentelemetry.sdk",
    "pandas_tracks": "pandas",
}


def programs() -> Iterator[object]:
    """Yield each program of the README, of the pages, and of the examples."""
    for page in (ROOT / "README.md", *sorted((ROOT / ".docs" / "pages").rglob("*.md"))):
        for number, program in enumerate(blocks("python", page.read_text()), 1):
            if PAUSE not in program:  # it is run in test_readme_loop.py
                yield pytest.param(program, id=f"{page.stem}-{number}")
    for example in EXAMPLES:
        if not example.stem.endswith("_bot"):  # run by tests of their own: a bot ends with a signal
            yield pytest.param(example.read_text(), id=example.stem)


@pytest.fixture
def service() -> Iterator[FakeService]:
    """Run the API on loopback, with callbacks."""
    with FakeService(callbacks=CallbackBehavior()) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("program", list(programs()))
def test_programs_run_as_written(
    program: str, service: FakeService, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each program ends without an error and without a warning."""
    if module := OPTIONAL.get(request.node.callspec.id):
        pytest.importorskip(module, reason="the dev extra installs it")
    if "song.mp3" in program:
        write_song(tmp_path / "song.mp3", 0.6)
    environment = {
        **os.environ,
        "MP4GEN_BASE_URL": service.url,
        "MP4GEN_API_KEY": "a-key-for-the-readme",
        "CALLBACK_TOKEN": "a-token-for-the-readme",
        "PUBLIC_URL": "https://app.example.com",
        "DATABASE": "videos.db",
    }

    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


@pytest.mark.slow
def test_tests_of_an_app_pass(tmp_path: Path) -> None:
    """The tests of the README and of the example find the fixture, and each of them passes."""
    example = ROOT / ".docs" / "examples" / "test_an_app.py"
    texts = {"test_readme.py": block_with("mp4gen_service"), example.name: example.read_text()}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *texts],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    tests = sum(text.count("\ndef test_") for text in texts.values())
    assert tests == 4
    assert ended.stdout.splitlines()[-1].startswith(f"{tests} passed"), ended.stdout


async def test_web_app_gets_its_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's web app makes a video, of which a callback reports the end."""
    port = unused_port()
    # So long that only a callback ends the wait in time; its first poll comes after 15 s.
    async with FakeService(callbacks=CallbackBehavior(), duration=0.01) as service:
        monkeypatch.setenv("MP4GEN_BASE_URL", service.url)
        monkeypatch.setenv("MP4GEN_API_KEY", "a-key-for-the-readme")
        monkeypatch.setenv("PUBLIC_URL", f"http://127.0.0.1:{port}")
        names: dict[str, object] = {}
        exec(compile(block_with("CallbackReceiver"), "README.md", "exec"), names)  # noqa: S102

        async with TestClient(TestServer(names["app"], port=port)) as client:  # type: ignore[arg-type]
            response = await client.post("/videos", params={"track": "e231"})
            video = await response.json()

        ((task_id, _),) = service.tasks.items()
        assert video["url"] == service.file_url(task_id)
        assert [sent.status for sent in service.callbacks] == [200]


def test_set_up_takes_two_commands() -> None:
    """One line runs the demo and one the tests, each in a new environment."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if "venv" in line]

    assert [line.split(" && ")[0] for line in lines] == ["python3 -m venv .venv"] * 2
    assert "mp4gen demo" in lines[0]
    assert "pytest" in lines[1]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """`.ci/run` finds exactly one test command in the README."""
    script = (ROOT / ".ci" / "run").read_text()

    pattern = next(part for part in script.split("'") if part.startswith("^python3"))

    assert len([line for line in README.splitlines() if re.match(pattern, line)]) == 1


def test_first_screen_has_a_moving_picture_and_the_commands() -> None:
    """The picture is small enough for a page, and both commands follow it at once."""
    top = "\n".join(README.splitlines()[:15])
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", top)

    assert b"ANIM" in (ROOT / picture).read_bytes()[:64]
    assert (ROOT / picture).stat().st_size < 1_500_000
    assert top.count("python3 -m venv") == 2


def test_links_within_the_readme_lead_to_headings() -> None:
    """A heading's anchor is its words in small letters, with hyphens."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", README, flags=FENCED), re.MULTILINE
    )
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in headings}

    links = set(re.findall(r"\]\(#([^)]+)\)", README))

    assert links
    assert links - anchors == set()


def test_each_public_error_is_explained() -> None:
    """The table of errors in the reference names each exported error."""
    table = ERRORS.read_text()
    errors = {name for name in mp4gen.__all__ if name.endswith("Error")}
    details = {"ApiError", "Mp4GenError", "RenderCancelledError"}

    missing = {name for name in errors - details if f"`{name}`" not in table}

    assert missing == set()


def test_errors_of_the_readme_exist() -> None:
    """Each class in its table is exported and has the attributes that its row names."""
    table = README.partition("\n## Errors\n")[2].partition("\n## ")[0]
    rows = [re.findall(r"`(\w+)`", line) for line in table.splitlines() if "Error`" in line]
    named = [(name, row) for row in rows for name in row if name.endswith("Error")]

    wrong = [name for name, _ in named if not issubclass(getattr(mp4gen, name), mp4gen.Mp4GenError)]
    unknown = [
        (name, word)
        for name, row in named
        for word in row
        if not word.endswith("Error")
        and word not in (getattr(mp4gen, name).__doc__ or "")
        and not hasattr(mp4gen.Client, word)
    ]

    assert len(named) > 9
    assert wrong == []
    assert unknown == []

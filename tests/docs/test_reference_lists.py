"""The lists of the reference pages are those of the code: commands, codes, variables, fields."""

import inspect
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import mp4gen
from mp4gen.cli import bulk_command, exit_codes, ledger
from mp4gen.cli.track_table import Row
from mp4gen.render.looks import OWN_LOOKS
from mp4gen.render.presets import PRESETS
from mp4gen.server.rendering.video_options import ASPECT_RATIOS
from mp4gen.server.web import metrics
from mp4gen.server.web.openapi import document
from mp4gen.server.web.openapi_options import option_schemas
from mp4gen.server.web.operations import OPERATIONS
from mp4gen.testing import FAULT_MEANINGS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / ".docs"
REFERENCE = DOCS / "pages" / "reference"
PAGES = [ROOT / "README.md", *sorted((DOCS / "pages").rglob("*.md"))]
HOOKS = runpy.run_path(str(DOCS / "hooks.py"))
# Read by other programs, or described with the options of `serve`.
NOT_OURS = {"MP4GEN_SERVE_", "MP4GEN_SERVE_LOG_FORMAT"}


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """Return the options of each command that the reference page shows."""
    text = HOOKS["on_page_markdown"]("<!-- commands -->")
    _, *parts = re.split(r"^## mp4gen (\S+)\n", text, flags=re.MULTILINE)
    return {
        command: {*re.findall(r"--[a-z][a-z-]+", part)}
        for command, part in zip(parts[::2], parts[1::2], strict=True)
    }


def shown_commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the page and the words of each `mp4gen` command in a block of shell."""
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"&&|\||&|;", re.sub(r"(^|\s)#.*", "", line)):
                    words = shlex.split(part)
                    names = [number for number, word in enumerate(words) if is_program(word)]
                    if names and words[names[0] + 1 :]:
                        yield page.name, words[names[0] + 1 :]


def is_program(word: str) -> bool:
    """Return whether a word of a shell is the command itself."""
    return word == "mp4gen" or word.endswith("/bin/mp4gen")


def test_commands_of_the_pages_have_existing_options(options: dict[str, set[str]]) -> None:
    """Each command in a block of shell, and each option of it, is in the reference."""
    wrong = [
        (page, command, word)
        for page, (command, *words) in shown_commands()
        if command in options or not command.startswith("-")
        for word in words
        if word.startswith("--") and word.partition("=")[0] not in options.get(command, set())
    ]

    assert wrong == []


def test_each_command_is_shown_in_use(options: dict[str, set[str]]) -> None:
    """Each command is in a block of shell on a page."""
    shown = {words[0] for _, words in shown_commands()}

    assert set(options) - shown == set()


def test_page_of_commands_has_each_exit_code() -> None:
    """The table of exit codes is that of the module."""
    page = (REFERENCE / "command-line.md").read_text()

    listed = dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE))
    defined = dict(re.findall(r"^(\d+) +(.+)$", exit_codes.__doc__ or "", re.MULTILINE))

    assert [*listed] == [*defined]


def test_page_of_commands_has_each_variable() -> None:
    """The table of environment variables has each variable that the code reads."""
    page = (REFERENCE / "command-line.md").read_text()
    package = Path(mp4gen.__file__).parent

    named = {
        name
        for file in package.rglob("*.py")
        for name in re.findall(r"MP4GEN_\w+", file.read_text())
    }

    assert named - NOT_OURS == {*re.findall(r"`(MP4GEN_\w+)`", page)} - NOT_OURS


def rows(heading: str, page: str) -> list[str]:
    """Return the first cells of the first table that follows a text."""
    table = page[page.index(heading) :].split("| --- |", 1)[1].split("\n\n", 1)[0]
    return [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[1:]]


def test_page_of_the_server_has_each_field() -> None:
    """The table of our own fields of a submit is that of `/openapi.json`."""
    page = (REFERENCE / "server.md").read_text()

    cells = rows("The body of a submit may have fields of our own", page)

    assert re.findall(r"`(\w+)`", " ".join(cells)) == [*option_schemas()]
    for name in (*ASPECT_RATIOS, *OWN_LOOKS):
        assert f"`{name}`" in page


def test_page_of_the_server_has_each_code() -> None:
    """The table of codes has those of all operations, and 404 for what is no operation."""
    page = (REFERENCE / "server.md").read_text()

    codes = {code for operation in OPERATIONS for code in operation.codes} | {404}

    assert rows("The API's own code is in the body", page) == [str(code) for code in sorted(codes)]


def test_page_of_platforms_has_each_preset() -> None:
    """The table of presets is complete."""
    page = (DOCS / "pages" / "how-to" / "platforms.md").read_text()

    assert rows("# Make a video for a platform", page) == [f"`{name}`" for name in PRESETS]


def test_page_of_test_tools_has_each_fault() -> None:
    """The table of faults is made from the names that `script` accepts."""
    page = HOOKS["on_page_markdown"]((REFERENCE / "testing.md").read_text())

    assert {name for name in FAULT_MEANINGS if f"| `{name}` |" not in page} == set()


def test_page_of_errors_has_each_cure() -> None:
    """The table of errors has what each one's docstring says to do."""
    page = HOOKS["on_page_markdown"]((REFERENCE / "errors.md").read_text())
    names = [name for name in mp4gen.__all__ if name.endswith("Error")]

    assert [name for name, text in HOOKS["cures"]() if text] == names
    assert {name for name in names if f"| [`{name}`][mp4gen.{name}] |" not in page} == set()


def test_page_of_the_server_has_each_metric() -> None:
    """The table of metrics has those of `/metrics`, in their order, and alarms use no others."""
    page = (REFERENCE / "server.md").read_text()
    alarms = (DOCS / "pages" / "how-to" / "deployment.md").read_text()

    sent = re.findall(r'_family\(\s*"(\w+)"', inspect.getsource(metrics))
    listed = re.findall(r"^\| `mp4gen_(\w+)`", page, re.MULTILINE)

    assert listed == sent
    assert {*re.findall(r"\bmp4gen_(\w+)", alarms)} <= {*sent}


def test_page_of_the_server_has_each_field_of_its_health() -> None:
    """The table of `/healthz` has the fields and the statuses of `/openapi.json`."""
    page = (REFERENCE / "server.md").read_text()
    operation = document("0", requires_key=False)["paths"]["/healthz"]["get"]
    fields = operation["responses"]["200"]["content"]["application/json"]["schema"]["properties"]

    cells = rows("`GET /healthz` answers with status", page)

    assert re.findall(r"`(\w+)`", " ".join(cells)) == [*fields]
    assert all(f"`{status}`" in page for status in fields["status"]["enum"])


def record_fields(command: str) -> list[str]:
    """Return the names in the row of a command in the table of records, without choices."""
    page = (REFERENCE / "command-line.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith(f"| `{command}` | "))
    text = re.sub(r"\(.*?\)", "", row.partition(";")[0])
    return re.findall(r"`(\w+)`", text)[1:]


def test_page_of_commands_has_each_field_of_a_converted_track() -> None:
    """The records of `convert` and `ledger` have the fields that the page names."""
    request = mp4gen.VideoRequest("music", "track")
    record = bulk_command._record(mp4gen.Conversion(request), Row(1, request, {}))

    assert record_fields("convert") == [*record]
    assert record_fields("ledger") == [*ledger._COLUMNS]

"""The Flask, Django and serverless examples run as written, against the fake service."""

import importlib.util
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import attrs
import pytest

import mp4gen
from mp4gen.testing import FakeService

EXAMPLES = Path(__file__).parents[2] / ".docs" / "examples"
TRACK = {"task_id": "music", "audio_id": "track"}


@pytest.fixture
def service(mp4gen_service: FakeService, monkeypatch: pytest.MonkeyPatch) -> FakeService:
    """The service that the examples find in their environment."""
    monkeypatch.setenv("MP4GEN_BASE_URL", mp4gen_service.url)
    monkeypatch.setenv("MP4GEN_API_KEY", "a-key")
    return mp4gen_service


@attrs.frozen
class Page:
    """What a browser shows."""

    status: int
    text: str
    location: str | None


@pytest.fixture(scope="session")
def django_module() -> ModuleType:
    """Load the example once: Django can be configured once in a process."""
    pytest.importorskip("django", reason="the dev extra installs it")
    spec = importlib.util.spec_from_file_location("django_app", EXAMPLES / "django_app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["django_app"] = module
    with pytest.MonkeyPatch.context() as patch:
        # A client of its own replaces it in each test.
        patch.setenv("MP4GEN_API_KEY", "another-key")
        spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["flask", "django"])
def visit(
    request: pytest.FixtureRequest, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Page]]:
    """Return a function that sends a request to an example, with the fields of a form."""
    if request.param == "flask":
        names = runpy.run_path(str(EXAMPLES / "flask_app.py"), run_name="flask_app")
        browser, client = names["app"].test_client(), names["client"]
    else:
        module = request.getfixturevalue("django_module")
        client = mp4gen.sync.Client()
        monkeypatch.setattr(module, "client", client)
        from django.test import Client as Browser

        browser = Browser(SERVER_NAME="localhost")

    def send(path: str, **form: str) -> Page:
        answer = browser.post(path, data=form) if form else browser.get(path)
        text = getattr(answer, "text", None) or answer.content.decode()
        return Page(answer.status_code, text, answer.headers.get("Location"))

    with client:
        yield send


def test_form_leads_to_the_video(visit: Callable[..., Page], service: FakeService) -> None:
    """The browser is sent to the page of its video, which has the link when it is there."""
    form = visit("/")
    submitted = visit("/", **TRACK)
    page = visit(submitted.location or "")

    (task,) = service.tasks.values()
    assert (form.status, page.status) == (200, 200)
    assert submitted.status in {302, 303}
    assert service.file_url(task.task_id) in page.text


@pytest.mark.mp4gen_service(duration=1000.0)
def test_page_of_an_unfinished_video_reloads(
    visit: Callable[..., Page], service: FakeService
) -> None:
    """The page reloads until the task ends, and then shows why there is no video."""
    address = visit("/", **TRACK).location or ""
    waiting = visit(address)
    next(iter(service.tasks.values())).fail("the renderer <is> down")
    failed = visit(address)

    assert 'http-equiv="refresh"' in waiting.text
    assert "the renderer &lt;is&gt; down" in failed.text


def test_second_submit_leads_to_the_same_video(
    visit: Callable[..., Page], service: FakeService
) -> None:
    """A double click pays for nothing twice."""
    assert visit("/", **TRACK).location == visit("/", **TRACK).location
    assert len(service.tasks) == 1


@pytest.mark.parametrize(("fault", "status"), [(None, 400), ("no_credits", 502)])
def test_error_is_shown(
    visit: Callable[..., Page], service: FakeService, fault: str | None, status: int
) -> None:
    """The page shows the error's text: status 400 for bad input, 502 for all else."""
    if fault is not None:
        service.script("create", fault)

    page = visit("/", task_id="music", audio_id="track" if fault else " ")

    assert (page.status, "No video: " in page.text) == (status, True)


def test_django_allows_its_database_in_functions_of_a_call(
    django_module: ModuleType, service: FakeService
) -> None:
    """Its ORM refuses a thread with a running loop; they run in the caller's thread."""
    from django.utils.asyncio import async_unsafe

    @async_unsafe
    def query(*_: object) -> list[mp4gen.VideoRequest]:
        return [mp4gen.VideoRequest("music", "track")]

    with service.sync_client() as client:
        client.convert(query()[0], on_submitted=query)
        found = list(client.convert_many(request for request in query()))

    assert [conversion.error for conversion in found] == [None]


def test_serverless_function_submits_and_polls(service: FakeService) -> None:
    """Its client is made outside of the handler, and kept from one call to the next."""
    names = runpy.run_path(str(EXAMPLES / "serverless.py"), run_name="serverless")
    context = Mock(**{"get_remaining_time_in_millis.return_value": 30_000})

    def call(**event: Any) -> dict[str, Any]:
        found: dict[str, Any] = names["handler"](event, context)
        return found

    with names["client"]:
        task_id = call(music_task="music", audio="track", author="Ada")["video_task"]
        found = call(video_task=task_id)

    url = service.file_url(task_id)
    assert found == {"video_task": task_id, "status": "SUCCESS", "url": url}

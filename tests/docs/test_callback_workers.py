"""The callback examples for several workers and for functions run as written."""

import base64
import contextlib
import json
import runpy
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mp4gen.api.callbacks import build_callback
from mp4gen.testing import CallbackBehavior, FakeService

EXAMPLES = Path(__file__).parents[2] / ".docs" / "examples"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeService]:
    """Run the API, and set the environment of an example's process."""
    with FakeService(callbacks=CallbackBehavior()) as running:
        environment = {
            "MP4GEN_BASE_URL": running.url,
            "MP4GEN_API_KEY": "key-of-the-example",
            "CALLBACK_TOKEN": "token-of-the-example",
            "DATABASE": str(tmp_path / "videos.db"),
            "VIDEOS": str(tmp_path),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield running


def example(name: str) -> dict[str, Any]:
    """Return what the example defines."""
    return runpy.run_path(str(EXAMPLES / f"callbacks_{name}.py"), run_name="app")


def ask(url: str, body: bytes | None = None, *, method: str = "GET") -> Any:
    """Send a request; return the object of the response."""
    request = urllib.request.Request(url, body, method=method)  # noqa: S310 - on loopback
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
        return json.load(response)


def finished_task(service: FakeService) -> str:
    """Return the id of a task that has ended."""
    body = {"taskId": "music", "audioId": "track", "callBackUrl": "https://mp4gen.invalid/"}
    url = f"{service.url}/api/v1/mp4/generate"
    return str(ask(url, json.dumps(body).encode(), method="POST")["data"]["taskId"])


@pytest.mark.parametrize("encoded", [False, True])
def test_lambda_reads_text_and_base64(
    service: FakeService, capsys: pytest.CaptureFixture[str], encoded: bool
) -> None:
    """An API Gateway sends a body as text, or as base64 with a flag."""
    task_id = finished_task(service)
    body = build_callback(task_id, "https://forged.example/video.mp4")
    text = base64.b64encode(body).decode() if encoded else body.decode()
    event = {"body": text, "isBase64Encoded": encoded, "headers": {}}

    names = example("lambda")
    with names["client"]:
        answer = names["handler"](event, None)

    assert answer["statusCode"] == 200
    assert capsys.readouterr().out == f"{task_id} {service.file_url(task_id)}\n"


@pytest.mark.parametrize(
    "event", [{}, {"body": None}, {"body": "{}"}, {"body": "&&&", "isBase64Encoded": True}]
)
def test_lambda_refuses_other_bodies(service: FakeService, event: dict[str, Any]) -> None:
    """Status 400 in place of a traceback, and the API is not asked."""
    assert example("lambda")["handler"](event, None)["statusCode"] == 400
    assert service.requests == []


def test_celery_downloads_after_the_answer(service: FakeService, tmp_path: Path) -> None:
    """The queue's task fetches the video; the repeat of a callback fetches nothing."""
    names = example("celery")
    names["queue"].conf.task_always_eager = True
    task_id = finished_task(service)
    web, url = names["app"].test_client(), "/mp4gen/token-of-the-example"

    with names["client"]:
        statuses = [
            web.post(url, data=build_callback(task_id, None)).status_code,
            web.post(url, data=build_callback(task_id, None)).status_code,
            web.post(url, data=b"{}").status_code,
        ]

    assert statuses == [200, 200, 400]
    assert (tmp_path / f"{task_id}.mp4").read_bytes() == service.tasks[task_id].content
    assert service.count("file") == 1


@contextlib.contextmanager
def uvicorn_workers(monkeypatch: pytest.MonkeyPatch, count: int) -> Iterator[str]:
    """Run the FastAPI example with `count` workers; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setenv("PUBLIC_URL", url)
        command = f"-m uvicorn callbacks_workers:app --workers {count} --no-access-log"
        number = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, *command.split(), "--app-dir", EXAMPLES, "--fd", str(number)],
            pass_fds=[number],
            stderr=subprocess.DEVNULL,
        )
        try:
            yield url
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.slow
def test_four_workers_share_their_callbacks(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever worker gets a callback, all of them know the video then."""
    with uvicorn_workers(monkeypatch, 4) as url:
        new = [ask(f"{url}/videos/music/track-{n}", method="POST")["task_id"] for n in range(4)]
        expected = [service.file_url(task_id) for task_id in new]
        found: list[str] = []
        while found != expected:
            found = [ask(f"{url}/videos/{task_id}")["url"] for task_id in new]

    assert {callback.status for callback in service.callbacks} == {200}

"""`GET /metrics`, read by the parser of Prometheus, and the access log."""

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from mp4gen.server.web.access_log import AccessLogger

from .conftest import Caller, Serve, full_disk

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    if os.environ.get("CI") is not None:
        raise
    pytest.skip("no prometheus_client", allow_module_level=True)


ACCESS = "mp4gen.server.access"


async def read_metrics(caller: Caller) -> Mapping[tuple[str, str], float]:
    """Return the value of each metric by its name and its only label's value."""
    async with caller.session.get(f"{caller.url}/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type in {"counter", "gauge"} for family in families)
    return {
        (sample.name.removeprefix("mp4gen_"), next(iter(sample.labels.values()), "")): sample.value
        for family in families
        for sample in family.samples
    }


async def test_metrics_are_off_by_default(serve: Serve) -> None:
    """Without the setting there is no such path."""
    caller = await serve()

    assert (await caller.get_response("/metrics"))[0] == 404


async def test_metrics_begin_with_zeros(serve: Serve) -> None:
    """Each result has a sample from the start, so that the first failure is an increase."""
    caller = await serve(metrics=True, key="the-key-of-this-server")

    found = await read_metrics(caller)

    assert {label for name, label in found if name == "renders_total"} == {
        "done",
        "400",
        "451",
        "500",
    }
    assert found["render_retries_total", "place"] == found["callbacks_total", "failed"] == 0
    assert (found["accepts_tasks", ""], found["workers", ""]) == (1, 1)
    assert found["free_bytes", ""] > 0


@pytest.mark.slow
async def test_metrics_count_renders_and_callbacks(serve: Serve, music: Path) -> None:
    """A video, a damaged song and a callback that fails are counted once each."""
    (music / "album" / "bad.wav").write_bytes(b"no audio" * 100)
    caller = await serve(metrics=True)

    await caller.create_and_wait("album", "one", callBackUrl="http://127.0.0.1:9/")
    await caller.create_and_wait("album", "bad")
    while (found := await read_metrics(caller))["callbacks_total", "failed"] == 0:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.01)  # the callback follows the end of its task

    assert found["renders_total", "done"] == found["renders_total", "400"] == 1
    assert found["music_seconds_total", ""] == pytest.approx(1.0, abs=0.1)
    assert found["render_seconds_total", ""] > 0
    assert found["video_bytes_total", ""] > 1000
    assert found["callback_attempts_total", ""] == 1
    assert found["queued_tasks", ""] == found["rendering_tasks", ""] == 0


async def test_metrics_show_a_full_disk(serve: Serve, tmp_path: Path) -> None:
    """An alarm needs no more than the gauges."""
    caller = await serve(metrics=True, **full_disk(tmp_path))

    found = await read_metrics(caller)

    assert (found["accepts_tasks", ""], found["queue_waits", ""]) == (0, 1)


async def test_access_log_has_one_line_for_each_request(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """The line has the status and the size, and neither the query nor the name of a video."""
    caplog.set_level(logging.INFO, "mp4gen.server")
    caller = await serve(access_log=True, key="the-key-of-this-server")
    name = "A" * 24

    await caller.get_response(f"/files/{name}.mp4")
    await caller.get_response("/api/v1/mp4/record-info", taskId="secret-id")
    await caller.get_response("/page/state", token="secret-token")
    while len(lines := [one for one in caplog.records if one.name == ACCESS]) < 3:  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.01)  # a line is written after its response

    assert [one.fields["path"] for one in lines] == [  # type: ignore[attr-defined]
        "/files/...",
        "/api/v1/mp4/record-info",
        "/page/state",
    ]
    assert [one.fields["status"] for one in lines] == [404, 200, 401]  # type: ignore[attr-defined]
    assert "remote=127.0.0.1 method=GET path=/files/... status=404" in lines[0].getMessage()
    for secret in (name, "secret", "the-key-of-this-server"):
        assert secret not in caplog.text


async def test_access_log_is_off_by_default(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Requests leave no line."""
    caplog.set_level(logging.INFO)
    caller = await serve()

    await caller.get_response("/healthz")

    assert [one for one in caplog.records if one.name.startswith("mp4gen.server.access")] == []


@pytest.mark.parametrize(
    "path", ["/files/x.mp4", "/video/files/x", "/music/a/song", "/covers/x.jpg"]
)
def test_access_log_hides_what_is_a_permission(path: str, caplog: Any) -> None:
    """The name of a video or a signed link never reaches a log."""
    caplog.set_level(logging.INFO)
    logger = AccessLogger(logging.getLogger("unused"), "")

    logger.log(make_mocked_request("GET", f"{path}?signature=secret"), web.Response(), 0.5)

    assert path.rpartition("/")[2] not in caplog.messages[0]
    assert "signature" not in caplog.messages[0]

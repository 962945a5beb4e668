"""The OpenTelemetry example makes a span for each video and for each delay; no network is used."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

import mp4gen
from mp4gen.testing import FakeService

trace = pytest.importorskip("opentelemetry.sdk.trace", reason="the dev extra installs it")
export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

EXAMPLE = Path(__file__).parents[2] / ".docs" / "examples" / "opentelemetry_spans.py"
pytestmark = pytest.mark.looptime


@pytest.fixture
def exporter() -> Any:
    return export.InMemorySpanExporter()


@pytest.fixture
def recorder(exporter: Any) -> Any:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = trace.TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return runpy.run_path(str(EXAMPLE))["SpanRecorder"](provider.get_tracer("test"))


async def test_spans_of_a_video_and_a_retry(exporter: Any, recorder: Any) -> None:
    """The retry has its delay, the video its ids, polls and URL."""
    async with FakeService(duration=40) as service, service.client(on_event=recorder) as client:
        service.script("create", "code_500", "ok")
        video = await client.convert(mp4gen.VideoRequest("music", "track"))

    retry, conversion = exporter.get_finished_spans()
    assert (retry.name, conversion.name) == ("mp4gen.retry", "mp4gen.conversion")
    assert retry.attributes["path"] == "/api/v1/mp4/generate"
    assert 0 < retry.end_time - retry.start_time <= 0.5e9
    assert conversion.attributes == {
        "task_id": video.task_id, "audio_id": "track", "adopted": False, "video_url": video.url
    }  # fmt: skip
    assert {event.name for event in conversion.events} == {"poll"}
    assert conversion.status.is_unset


async def test_spans_of_failures(exporter: Any, recorder: Any) -> None:
    """A video that fails and a submit that is refused are errors with their exception."""
    async with FakeService(duration=1) as service, service.client(on_event=recorder) as client:
        service.always("details", "failed")
        with pytest.raises(mp4gen.GenerationFailedError):
            await client.convert(mp4gen.VideoRequest("music", "track"))
        service.always("create", "no_credits")
        with pytest.raises(mp4gen.InsufficientCreditsError):
            await client.convert(mp4gen.VideoRequest("music", "other"))

    spans = exporter.get_finished_spans()
    assert [span.status.is_ok for span in spans] == [False, False]
    assert [span.events[-1].name for span in spans] == ["exception", "exception"]


async def test_close_ends_the_spans_of_unfinished_videos(exporter: Any, recorder: Any) -> None:
    """A span that is never ended is never exported."""
    recorder(mp4gen.SubmittedEvent("video", "track", adopted=True))
    recorder(mp4gen.PausedEvent(10.0))
    recorder(mp4gen.MaintenanceEvent(300.0))
    recorder.close()

    names = [span.name for span in exporter.get_finished_spans()]
    assert names == ["mp4gen.pause", "mp4gen.maintenance", "mp4gen.conversion"]

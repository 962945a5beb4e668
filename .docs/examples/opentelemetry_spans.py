"""Trace conversions with OpenTelemetry: a span for each video, and for each delay."""

import asyncio
import time

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import Span, Status, StatusCode, Tracer

import mp4gen


class SpanRecorder:
    """The `on_event` hook of a client; it starts and ends spans.

    Args:
        tracer: Makes the spans.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._conversions: dict[str, Span] = {}

    def __call__(self, event: mp4gen.Event) -> None:
        """Record one event."""
        match event:
            case mp4gen.SubmittedEvent(task_id=task_id, audio_id=audio_id, adopted=adopted):
                attributes = {"task_id": task_id, "audio_id": audio_id, "adopted": adopted}
                self._conversions[task_id] = self._tracer.start_span(
                    "mp4gen.conversion", attributes=attributes
                )
            case mp4gen.PollEvent(task_id=task_id, status=status):
                if span := self._conversions.get(task_id):
                    span.add_event("poll", {"status": str(status)})
            case mp4gen.CompletedEvent(video=video):
                if span := self._conversions.pop(video.task_id, None):
                    span.set_attribute("video_url", video.url)
                    span.end()
            case mp4gen.FailedEvent(task_id=task_id, error=error):
                span = self._conversions.pop(task_id or "", None)
                span = span or self._tracer.start_span("mp4gen.conversion")
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, str(error)))
                span.end()
            case mp4gen.RetryEvent(path=path, error=error, delay=delay):
                self._record_delay("mp4gen.retry", delay, path=path, error=str(error))
            case mp4gen.PausedEvent(delay=delay):
                self._record_delay("mp4gen.pause", delay)
            case mp4gen.MaintenanceEvent(delay=delay):
                self._record_delay("mp4gen.maintenance", delay)

    def close(self) -> None:
        """End the spans of videos that are not finished; the next run goes on with them."""
        while self._conversions:
            _, span = self._conversions.popitem()
            span.end()

    def _record_delay(self, name: str, seconds: float, **attributes: str) -> None:
        start = time.time_ns()
        span = self._tracer.start_span(name, start_time=start, attributes=attributes)
        span.end(start + int(seconds * 1e9))


async def main() -> None:
    """Convert one track; replace the console by the exporter of your collector."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
    recorder = SpanRecorder(provider.get_tracer("mp4gen"))
    async with mp4gen.Client(on_event=recorder) as client:
        await client.convert(mp4gen.VideoRequest("taskId_774b", "e231"))
    recorder.close()
    provider.shutdown()


if __name__ == "__main__":
    asyncio.run(main())

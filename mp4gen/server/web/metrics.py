"""Answers `GET /metrics` with the figures of the server in the text format of Prometheus."""

from collections.abc import Iterable, Iterator, Mapping

from aiohttp import web

from mp4gen.version import package_version

from .services import Services

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Those that always have a sample, so that a first failure is an increase.
_RESULTS = ("done", "400", "451", "500")
_CALLBACK_RESULTS = ("delivered", "failed")
_TROUBLES = ("crash", "place")
_Sample = tuple[Mapping[str, str], float]


class Metrics:
    """`GET /metrics`; it needs no key, and names no account and no music.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self) -> list[web.RouteDef]:
        """Return the route, if the settings switch it on."""
        return [web.get("/metrics", self.metrics)] if self._services.config.metrics else []

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer with all figures."""
        text = "".join((*self._gauges(), *self._counters()))
        return web.Response(body=text.encode(), headers={"Content-Type": _CONTENT_TYPE})

    def _gauges(self) -> Iterator[str]:
        parts = self._services
        accepts, scheduler = parts.admission.reject_reason is None, parts.scheduler
        yield _family("info", "The version.", [({"version": package_version()}, 1)])
        yield _family("queued_tasks", "Tasks that wait to be rendered.", scheduler.queued)
        yield _family("rendering_tasks", "Running renders.", scheduler.rendering)
        yield _family("workers", "Videos rendered at once.", scheduler.slots)
        yield _family("accepts_tasks", "1 if new tasks are accepted.", accepts)
        yield _family("queue_waits", "1 if the queue waits.", scheduler.trouble is not None)
        free = parts.data.free_bytes()
        yield _family("free_bytes", "Free bytes of the disk of the data folder.", free)

    def _counters(self) -> Iterator[str]:
        counted = self._services.counters
        yield _family(
            "renders_total",
            "Tasks that ended, by their result: done, or the code of the failure.",
            _by("result", counted.renders, _RESULTS),
        )
        yield _family(
            "render_retries_total",
            "Renders that are tried again, by the reason: crash, or place (the disk, a folder).",
            _by("reason", counted.troubles, _TROUBLES),
        )
        yield _family("render_seconds_total", "Seconds of renders.", counted.render_seconds)
        yield _family("music_seconds_total", "Seconds of rendered videos.", counted.music_seconds)
        yield _family("video_bytes_total", "Bytes of rendered videos.", counted.video_bytes)
        yield _family(
            "callbacks_total",
            "Callbacks that ended, by their result.",
            _by("result", counted.callbacks, _CALLBACK_RESULTS),
        )
        attempts = counted.callback_attempts
        yield _family("callback_attempts_total", "Attempts to deliver a callback.", attempts)


def _by(label: str, counts: Mapping[str, float], known: Iterable[str]) -> list[_Sample]:
    return [({label: value}, counts.get(value, 0)) for value in sorted({*known, *counts})]


def _family(name: str, help_: str, samples: float | list[_Sample]) -> str:
    """Return one metric as text: no label here needs to be escaped."""
    kind = "counter" if name.endswith("_total") else "gauge"
    lines = [f"# HELP mp4gen_{name} {help_}", f"# TYPE mp4gen_{name} {kind}"]
    for labels, value in samples if isinstance(samples, list) else [({}, samples)]:
        inner = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"mp4gen_{name}{'{' + inner + '}' if inner else ''} {float(value):.15g}")
    return "\n".join(lines) + "\n"

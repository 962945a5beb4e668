"""The OpenAPI document against the server: schemathesis sends the requests and checks."""

import asyncio
import json
import os
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, Phase, settings

from mp4gen.options import RateLimit
from mp4gen.server import Server, ServerConfig
from mp4gen.server.web.openapi import document
from mp4gen.version import package_version

from .conftest import FAST_STYLE, write_song

try:
    import schemathesis
    from schemathesis.checks import load_all_checks
    from schemathesis.specs.openapi import checks as openapi_checks
except ImportError:
    if os.environ.get("CI") is not None:
        raise
    pytest.skip("no schemathesis", allow_module_level=True)

KEY = "the-key-of-this-server"
TRACK = {"taskId": "album", "audioId": "one"}


def contract(*, requires_key: bool) -> dict[str, Any]:
    """Return the document with an existing track as an example."""
    openapi = document(package_version(), requires_key=requires_key)
    fields = openapi["components"]["schemas"]["VideoRequest"]["properties"]
    for name, value in TRACK.items():
        fields[name] = {**fields[name], "examples": [value]}
    query = openapi["paths"]["/api/v1/generate/record-info"]["get"]["parameters"][0]
    query["examples"] = {"album": {"value": TRACK["taskId"]}}
    return openapi


class Running:
    """Two servers in a thread, the second of which requires a key."""

    def __init__(self, folder: Path) -> None:
        self.urls: list[str] = []
        self._folder, self._ready = folder, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self._server("open", None) as one, self._server("locked", KEY) as other:
                self.urls = [one.url, other.url]
                self._ready.set()
                await self._stop.wait()
        finally:
            self._ready.set()

    def _server(self, name: str, key: str | None) -> Server:
        write_song(self._folder / name / "music" / "album" / "one.wav")
        return Server(
            ServerConfig(
                music=self._folder / name / "music",
                data=self._folder / name / "data",
                port=0,
                key=key,
                style=FAST_STYLE,
                min_free_bytes=0,
                shutdown_timeout=0,
                rate_limit=RateLimit(1_000_000),
                executor=lambda: ThreadPoolExecutor(1),
            )
        )


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The URLs of the server without and with a key."""
    with Running(tmp_path_factory.mktemp("contract")) as running:
        yield running.urls


@pytest.mark.parametrize("requires_key", [False, True])
def test_openapi_document_is_served(urls: list[str], *, requires_key: bool) -> None:
    """`GET /openapi.json` returns the document that is tested below."""
    with urllib.request.urlopen(f"{urls[requires_key]}/openapi.json") as answer:  # noqa: S310 - a local URL
        served = json.load(answer)

    assert served == document(package_version(), requires_key=requires_key)


def with_api_status(response: Any) -> Any:
    """Return the response with its body's `code` as status: API errors come as HTTP 200."""
    changed = schemathesis.Response.from_any(response)
    body = changed.json() if "json" in str(changed.headers.get("content-type")) else {}
    if "code" in body:
        changed.status_code = body["code"]
    return changed


def check(case: Any, url: str, key: str | None) -> None:
    """Send one request, and run all checks on its response."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    # The first metadata worker takes seconds to start on a busy machine.
    response = case.call(base_url=url, headers=headers, timeout=60)
    load_all_checks()
    by_code = [
        openapi_checks.positive_data_acceptance,
        openapi_checks.missing_required_header,
    ]
    # The server ignores unknown parameters; schemathesis may expect an error.
    if set(case.query or {}) <= {parameter.name for parameter in case.operation.query}:
        by_code.append(openapi_checks.negative_data_rejection)
    # `ignored_auth` sends its own requests and reads only their HTTP status; requests without the
    # key are also among those with a missing header.
    excluded = [openapi_checks.ignored_auth]
    excluded += [*by_code, openapi_checks.negative_data_rejection]
    case.validate_response(response, excluded_checks=excluded)
    case.validate_response(with_api_status(response), checks=by_code)


bounded = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@schemathesis.openapi.from_dict(contract(requires_key=False)).parametrize()
@bounded
def test_server_without_key_follows_its_contract(case: Any, urls: list[str]) -> None:
    """Valid and invalid requests of every operation are answered as documented."""
    check(case, urls[0], None)


@pytest.mark.slow
@schemathesis.openapi.from_dict(contract(requires_key=True)).parametrize()
@bounded
def test_server_with_key_follows_its_contract(case: Any, urls: list[str]) -> None:
    """The same with a key, without which every request is rejected."""
    check(case, urls[1], KEY)

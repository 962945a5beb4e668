"""The published contract against the server itself: schemathesis makes the requests and judges."""

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


def contract(*, locked: bool) -> dict[str, Any]:
    """The document, with a track that there is as an example: chance would never name one."""
    told = document(package_version(), requires_key=locked)
    fields = told["components"]["schemas"]["VideoRequest"]["properties"]
    for name, value in TRACK.items():
        fields[name] = {**fields[name], "examples": [value]}
    query = told["paths"]["/api/v1/generate/record-info"]["get"]["parameters"][0]
    query["examples"] = {"album": {"value": TRACK["taskId"]}}
    return told


class Running:
    """Two servers in a thread of their own, one of which needs a key."""

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
    """Where the open server is, and where the locked one."""
    with Running(tmp_path_factory.mktemp("contract")) as running:
        yield running.urls


@pytest.mark.parametrize("locked", [False, True])
def test_the_contract_is_served(urls: list[str], *, locked: bool) -> None:
    """What is tested below is what `GET /openapi.json` tells, word for word."""
    with urllib.request.urlopen(f"{urls[locked]}/openapi.json") as answer:  # noqa: S310 - ours
        told = json.load(answer)

    assert told == document(package_version(), requires_key=locked)


def as_meant(response: Any) -> Any:
    """The response with the status that its body tells: the API's refusals come as HTTP 200."""
    meant = schemathesis.Response.from_any(response)
    told = meant.json() if "json" in str(meant.headers.get("content-type")) else {}
    if "code" in told:
        meant.status_code = told["code"]
    return meant


def judge(case: Any, url: str, key: str | None) -> None:
    """Send one request, and let every check of the tool see the answer."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    response = case.call(base_url=url, headers=headers)
    load_all_checks()
    by_code = [
        openapi_checks.positive_data_acceptance,
        openapi_checks.missing_required_header,
    ]
    # A parameter that nobody asked for is no fault to the server; to the tool it may be one.
    if set(case.query or {}) <= {parameter.name for parameter in case.operation.query}:
        by_code.append(openapi_checks.negative_data_rejection)
    # This one sends requests of its own and reads only their HTTP status. Calls without the key,
    # which it would find, are among those that miss a header.
    left_out = [openapi_checks.ignored_auth]
    left_out += [*by_code, openapi_checks.negative_data_rejection]
    case.validate_response(response, excluded_checks=left_out)
    case.validate_response(as_meant(response), checks=by_code)


bounded = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@schemathesis.openapi.from_dict(contract(locked=False)).parametrize()
@bounded
def test_an_open_server_does_what_its_contract_says(case: Any, urls: list[str]) -> None:
    """Good and bad requests of every call are answered as documented where no key is needed."""
    judge(case, urls[0], None)


@schemathesis.openapi.from_dict(contract(locked=True)).parametrize()
@bounded
def test_a_locked_server_does_what_its_contract_says(case: Any, urls: list[str]) -> None:
    """The same where a key is needed, which calls without it do not get past."""
    judge(case, urls[1], KEY)

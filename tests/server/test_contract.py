"""The OpenAPI document against the server: schemathesis sends the requests and checks."""

import asyncio
import json
import multiprocessing
import os
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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
    # A schema cannot say which texts are lyrics with times, and which times are long enough.
    fields["lyrics"] = {"enum": ["auto", "none", "[00:01.00]La", None]}
    fields["length"] = {"anyOf": [fields["length"]["anyOf"][0], {"enum": ["0:30", None]}]}
    query = openapi["paths"]["/api/v1/generate/record-info"]["get"]["parameters"][0]
    query["examples"] = {"album": {"value": TRACK["taskId"]}}
    return openapi


def create_server(folder: Path, key: str | None) -> Server:
    """Return a server with one track."""
    write_song(folder / "music" / "album" / "one.wav")
    return Server(
        ServerConfig(
            music=folder / "music",
            data=folder / "data",
            port=0,
            key=key,
            style=FAST_STYLE,
            min_free_bytes=0,
            shutdown_timeout=0,
            rate_limit=RateLimit(1_000_000),
            executor=lambda: ThreadPoolExecutor(1),
        )
    )


async def serve(folder: Path, pipe: Any) -> None:
    """Run the two servers, send their URLs, and stop on an answer."""
    async with (
        create_server(folder / "open", None) as one,
        create_server(folder / "locked", KEY) as other,
    ):
        pipe.send([one.url, other.url])
        await asyncio.to_thread(pipe.recv)


def run_servers(folder: Path, pipe: Any) -> None:
    """Run in a process of its own: in CPython 3.11, `ast.parse` fails beside busy threads."""
    asyncio.run(serve(folder, pipe))


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The URLs of the server without and with a key."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    folder = tmp_path_factory.mktemp("contract")
    process = context.Process(target=run_servers, args=(folder, theirs))
    process.start()
    yield ours.recv()
    ours.send(None)
    process.join()


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
        # A valid request for an unknown record, which the checks expect to be 404.
        changed.status_code = 404 if body["code"] == 422 else body["code"]
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
    """Valid and invalid requests are answered as documented; without the key all fail."""
    check(case, urls[1], KEY)

"""The fake service behaves like the API, and fails as a test scripts it."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, cast

import aiohttp
import av
import pytest

import mp4gen
from mp4gen.testing import (
    FAULTS,
    FakeService,
    ScriptedResponse,
    lognormal,
)
from mp4gen.testing.media import tiny_mp4
from tests.support_proxy import ConnectionFault, FaultProxy

REQUEST = mp4gen.VideoRequest("music", "track", author="Ada")
BODY = {"taskId": "music", "audioId": "track", "callBackUrl": "https://example.com/done"}


@pytest.fixture
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(web: aiohttp.ClientSession, service: FakeService, **fields: Any) -> Any:
    url = f"{service.url}/api/v1/mp4/generate"
    async with web.post(url, json={**BODY, **fields}) as response:
        return await response.json()


async def poll(web: aiohttp.ClientSession, service: FakeService, task_id: str) -> Any:
    url = f"{service.url}/api/v1/mp4/record-info?taskId={task_id}"
    async with web.get(url) as response:
        return await response.json()


async def test_service_runs_in_the_tests_loop() -> None:
    """The default client converts immediately: the service asks for polls without delay."""
    async with FakeService() as service, mp4gen.Client(base_url=service.url) as client:
        video = await client.convert(REQUEST)

    assert video.url == service.file_url(video.task_id)
    assert [call.endpoint for call in service.requests] == ["create", "details"]


def test_fixture_runs_in_its_own_thread(mp4gen_service: FakeService) -> None:
    """A test without an async plugin runs its own loop, or none."""

    async def convert() -> mp4gen.Video:
        async with mp4gen_service.client() as client:
            return await client.convert(REQUEST)

    video = asyncio.run(convert())
    with urllib.request.urlopen(video.url) as file:  # noqa: S310 - our own loopback server
        content = file.read()

    assert content == mp4gen_service.tasks[video.task_id].content


def test_fixture_has_a_blocking_client(mp4gen_service: FakeService) -> None:
    """A test without asyncio converts and downloads."""
    with mp4gen_service.sync_client() as client:
        video = client.convert(REQUEST)

    assert video.url == mp4gen_service.file_url(video.task_id)


async def test_second_submit_gets_409_and_the_first_id() -> None:
    """One video exists for each track, as at the vendor."""
    async with FakeService() as service, aiohttp.ClientSession() as web:
        first = await post(web, service)
        second = await post(web, service, author="Somebody else")

    assert first["data"]["taskId"] == second["data"]["taskId"]
    assert (first["code"], second["code"]) == (200, 409)
    assert len(service.tasks) == 1


@pytest.mark.parametrize(
    ("duplicate_policy", "expected"),
    [("without_id", (409, None)), ("new_task", (200, {"taskId": "video_000002"}))],
)
async def test_second_submit_follows_the_duplicate_policy(
    web: aiohttp.ClientSession, duplicate_policy: Any, expected: tuple[int, Any]
) -> None:
    """A host that sends no id, and one that makes a second video."""
    async with FakeService(duplicate_policy=duplicate_policy) as service:
        await post(web, service)
        response = await post(web, service)

    assert (response["code"], response["data"]) == expected


async def test_kie_refuses_a_second_submit_with_422(web: aiohttp.ClientSession) -> None:
    """The dialect decides the code and the shape of the details."""
    async with FakeService(dialect=mp4gen.Dialect.KIE) as service:
        first = await post(web, service)
        second = await post(web, service)
        details = await poll(web, service, first["data"]["taskId"])

    assert second["code"] == 422
    assert details["data"]["musicIndex"] == 0
    assert isinstance(details["data"]["createTime"], str)


@pytest.mark.looptime
async def test_rate_limit_counts_arrivals_in_a_sliding_window() -> None:
    """The 21st call within ten seconds is refused; ten seconds after the first, one is admitted."""
    async with FakeService() as service, aiohttp.ClientSession() as web:
        codes = [(await poll(web, service, "x"))["code"] for _ in range(19)]
        await asyncio.sleep(4)
        codes += [(await poll(web, service, "x"))["code"] for _ in range(2)]
        await asyncio.sleep(6)
        codes += [(await poll(web, service, "x"))["code"] for _ in range(20)]

    assert codes == [200] * 20 + [430] + [200] * 19 + [430]
    assert service.peak_requests() == 22


@pytest.mark.looptime
async def test_task_takes_its_duration(web: aiohttp.ClientSession) -> None:
    """It is pending until then, in loop time; afterwards it has its URL."""
    async with FakeService(duration=30) as service:
        task_id = (await post(web, service))["data"]["taskId"]
        early = await poll(web, service, task_id)
        await asyncio.sleep(30)
        late = await poll(web, service, task_id)

    assert (early["data"]["successFlag"], early["data"]["response"]) == ("PENDING", None)
    assert late["data"]["response"] == {"videoUrl": service.file_url(task_id)}
    assert service.tasks[task_id].poll_count == 2


@pytest.mark.looptime
async def test_durations_are_seeded_by_track(web: aiohttp.ClientSession) -> None:
    """A seed gives a track the same duration in any order of the tracks."""
    durations = []
    for tracks in ("ab", "ba"):
        async with FakeService(duration=lognormal(40, 120), seed=7) as service:
            for track in tracks:
                await post(web, service, audioId=track)
            times = {
                task.request.audio_id: round(task.completes_at - task.created_at, 3)
                for task in service.tasks.values()
            }
            durations.append(times)

    assert durations[0] == durations[1]
    assert durations[0]["a"] != durations[0]["b"]


async def test_script_answers_in_order_and_then_ends(web: aiohttp.ClientSession) -> None:
    """Each call of the endpoint takes one step; afterwards the default responses return."""
    async with FakeService() as service:
        service.script("create", "code_500", "ok", ScriptedResponse(body=b'{"code":77}'))
        codes = [(await post(web, service, audioId=str(n)))["code"] for n in range(4)]

    assert codes == [500, 200, 77, 200]
    assert len(service.tasks) == 2


async def test_always_lasts_until_clear(web: aiohttp.ClientSession) -> None:
    """An outage lasts until the test ends it."""
    async with FakeService() as service:
        service.always("*", "maintenance")
        during = [(await poll(web, service, "x"))["code"] for _ in range(3)]
        service.clear()
        after = (await poll(web, service, "x"))["code"]

    assert (during, after) == ([455] * 3, 200)


def test_unknown_fault_is_refused_with_the_list() -> None:
    """A typo fails where it is written."""
    with pytest.raises(ValueError, match=r"^Unknown fault: 'html_599'\. Use one of: .*html_504"):
        FakeService().script("create", "html_599")


def test_unknown_endpoint_is_refused_with_the_list() -> None:
    """A typo would script requests that never come."""
    service, unknown = FakeService(), cast("Any", "creat")
    for call in (
        lambda: service.script(unknown, "reset"),
        lambda: service.always(unknown, "reset"),
        lambda: service.count(unknown),
    ):
        with pytest.raises(ValueError, match=r"^Unknown endpoint: 'creat'\. Use one of: create, "):
            call()


@pytest.mark.looptime
@pytest.mark.parametrize("name", sorted(FAULTS))
async def test_service_survives_every_fault(name: str) -> None:
    """An accepted submit has left its one task."""
    async with FakeService() as service, aiohttp.ClientSession() as web:
        service.script("create", name)
        with suppress(aiohttp.ClientError, ValueError, TimeoutError, RecursionError):
            await asyncio.wait_for(post(web, service), 20)
        task_count = len(service.tasks)
        after = await post(web, service, audioId="another")

    assert after["code"] == 200
    assert task_count == int(name.endswith("_after_accept") or FAULTS[name].is_default)


async def test_requests_are_recorded_without_printing_the_key() -> None:
    """A test can compare the key, but printing a request does not show it."""
    async with FakeService() as service, service.client(api_key="sentinel-key") as client:
        await client.create_music_video(REQUEST)
    call = service.requests[0]

    assert (call.method, call.path) == ("POST", "/api/v1/mp4/generate")
    assert json.loads(call.body)["author"] == "Ada"
    assert call.key == "sentinel-key"
    assert "sentinel-key" not in f"{call!r} {service!r}"


async def test_service_refuses_a_wrong_key(web: aiohttp.ClientSession) -> None:
    """With `api_key`, no other key is accepted."""
    async with FakeService(api_key="right") as service:
        refused = await post(web, service)
        async with service.client() as client:
            task_id = await client.create_music_video(REQUEST)

    assert refused["code"] == 401
    assert task_id in service.tasks


async def test_credits_are_used_up(web: aiohttp.ClientSession) -> None:
    """Each task costs one; the next submit gets the dialect's error."""
    async with FakeService(credits=1) as service:
        codes = [(await post(web, service, audioId=str(n)))["code"] for n in range(2)]

    assert (codes, service.credits) == ([200, 429], 0)


async def test_files_support_ranges(web: aiohttp.ClientSession) -> None:
    """A range with the right validator is honoured, one with a wrong one is not."""
    async with FakeService(file_size=4096) as service:
        task_id = (await post(web, service))["data"]["taskId"]
        url = service.file_url(task_id)
        async with web.get(url) as complete:
            content, tag = await complete.read(), complete.headers["ETag"]
        async with web.get(url, headers={"Range": "bytes=100-", "If-Range": tag}) as resumed:
            part, span = await resumed.read(), resumed.headers["Content-Range"]
        async with web.get(url, headers={"Range": "bytes=100-", "If-Range": '"old"'}) as outdated:
            again = outdated.status

    assert part == content[100:]
    assert span == f"bytes 100-{len(content) - 1}/{len(content)}"
    assert again == 200


def test_tiny_mp4_is_valid(tmp_path: Any) -> None:
    """A real demuxer opens it."""
    path = tmp_path / "tiny.mp4"
    path.write_bytes(tiny_mp4("seed"))

    with av.open(str(path)) as container:
        name = container.format.name

    assert "mp4" in name


async def test_service_lists_its_music() -> None:
    """The client finds the tracks that a test adds."""
    track = mp4gen.Track("music", "a1", title="One", duration=61.5)
    async with FakeService() as service, service.client() as client:
        service.music["music"] = [track]
        tracks = await client.get_tracks("music")

    assert tracks == [track]


@pytest.mark.looptime
@pytest.mark.parametrize(
    "fault",
    [
        ConnectionFault(upstream_bytes=0),
        ConnectionFault(upstream_bytes=50),
        ConnectionFault(downstream_bytes=0),
    ],
)
async def test_proxy_cuts_at_the_scripted_byte(
    web: aiohttp.ClientSession, fault: ConnectionFault
) -> None:
    """The next connection is whole."""
    async with FakeService() as service, FaultProxy(service.url) as proxy:
        proxy.script(fault)
        url = f"{proxy.url}/api/v1/mp4/generate"
        with pytest.raises(aiohttp.ClientError):
            await web.post(url, json=BODY)
        before = len(service.tasks)
        async with web.post(url, json=BODY) as response:
            code = (await response.json())["code"]

    assert before == int(fault.downstream_bytes == 0)
    assert code == (409 if before else 200)
    assert proxy.connections == 2


@pytest.mark.looptime
async def test_proxy_drips_and_hangs(web: aiohttp.ClientSession) -> None:
    """Slow and silent connections last until the client's timeout, in virtual time."""
    async with FakeService() as service, FaultProxy(service.url) as proxy:
        for fault in (
            ConnectionFault(downstream_bytes=20, kind="hang"),
            ConnectionFault(byte_delay=1.0),
        ):
            proxy.script(fault)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30):
                    await post(web, service=proxy)  # type: ignore[arg-type]


@pytest.mark.looptime
async def test_receiver_of_a_client_is_called_without_a_server() -> None:
    """The service hands callbacks to the receivers of its own clients, at once."""
    receiver = mp4gen.CallbackReceiver("https://bot.example.com/mp4gen")
    async with FakeService(duration=40) as service:
        async with service.client(callbacks=receiver) as client:
            await client.convert(mp4gen.VideoRequest("music", "track"))
            ended = asyncio.get_running_loop().time()
        late = ended - service.tasks["video_000001"].completes_at

    assert [callback.status for callback in service.callbacks] == [200]
    assert late < 0.1


async def test_hosts_are_not_called_unless_asked() -> None:
    """A `callBackUrl` in a test may name a real host."""
    async with FakeService() as service, service.client() as client:
        await client.convert(
            mp4gen.VideoRequest("music", "track", callback_url=f"{service.url}/callback")
        )

    assert service.callbacks == []
    assert service.count("*") == 2


@pytest.mark.mp4gen_service(credits=7.0, api_key="key-of-the-fixture")
def test_marker_configures_the_fixture(mp4gen_service: FakeService) -> None:
    """Its arguments are those of `FakeService`."""
    assert mp4gen_service.credits == 7.0


async def test_scripted_status_without_a_body_is_sent(web: aiohttp.ClientSession) -> None:
    """Only the default response has the default status; a submit creates nothing."""
    async with FakeService() as service:
        service.script("create", ScriptedResponse(status=503))
        async with web.post(f"{service.url}/api/v1/mp4/generate", json={}) as response:
            assert (response.status, await response.read()) == (503, b"")

    assert service.tasks == {}


def test_busy_port_leaves_no_thread() -> None:
    """The error is the system's, and the service's own thread has ended."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        before = threading.active_count()
        with pytest.raises(OSError, match="address already in use"):
            FakeService(port=taken.getsockname()[1]).__enter__()

    assert threading.active_count() == before


def test_help_explains_each_fault() -> None:
    """`help(FakeService.script)` has a line for each name that it accepts."""
    text = FakeService.script.__doc__ or ""
    lines = {line.split()[0] for line in text.splitlines() if line.strip()}

    assert lines >= {*FAULTS, "code_N", "ok", "maintenance"}


def test_plugin_costs_other_projects_nothing() -> None:
    """Loading it imports neither aiohttp nor the client."""
    code = (
        "import sys, mp4gen.testing.plugin\n"
        "print([n for n in ('aiohttp', 'attrs', 'mp4gen.client') if n in sys.modules])"
    )

    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )

    assert output.stdout == "[]\n"

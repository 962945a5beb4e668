"""Callbacks wake the right wait, report lost submits, and cannot be forged."""

import asyncio
import base64
import io
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

import mp4gen
from mp4gen.api.callbacks import build_callback, sign_callback
from mp4gen.conversion.callbacks import MAX_BODY_BYTES
from mp4gen.testing import CallbackBehavior, FakeService, ScriptedResponse
from mp4gen.transport.sleeper import WakeableSleep
from tests.support_async import now
from tests.support_proxy import free_port
from tests.support_sentinels import RECEIVER_SECRET, shown_in, traceback_text

REQUEST = mp4gen.VideoRequest("music", "track")
UNKNOWN = mp4gen.Dialect.for_url("http://unknown")
SECRET = "test-webhook-hmac-key"


class App:
    """A receiver in an aiohttp application on a real port."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []

    async def receiver(self, **options: Any) -> mp4gen.CallbackReceiver:
        port = free_port()
        receiver = mp4gen.CallbackReceiver(f"http://127.0.0.1:{port}/hooks/mp4", **options)
        app = web.Application()
        app.add_routes(receiver.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self._runners.append(runner)
        return receiver

    async def aclose(self) -> None:
        for runner in self._runners:
            await runner.cleanup()


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    yield app
    await app.aclose()


def callback_url(service: FakeService, number: int = 0) -> str:
    """Return the callback URL of a submit, as the API received it."""
    creates = [call for call in service.requests if call.endpoint == "create"]
    url: str = json.loads(creates[number].body)["callBackUrl"]
    return url


async def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.post(url, data=body, headers=headers) as answer,
    ):
        return answer.status


# --- one track ----------------------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize(("confirm", "calls"), [(True, 2), (False, 1)])
async def test_callback_ends_the_wait_immediately(app: App, confirm: bool, calls: int) -> None:
    """Two requests for a confirmed video, one for a trusted one, and no delay."""
    receiver = await app.receiver(confirm=confirm)
    async with FakeService(duration=47, callbacks=CallbackBehavior()) as service:
        async with service.client(callbacks=receiver) as client:
            video = await client.convert(REQUEST)
        late = now() - service.tasks[video.task_id].completes_at

    assert video.url == service.file_url(video.task_id)
    assert service.count() == calls
    assert late < 0.3


@pytest.mark.looptime
@pytest.mark.parametrize("confirm", [True, False])
async def test_callback_before_the_response_to_the_submit_is_kept(app: App, confirm: bool) -> None:
    """Failure mode 29: the response can be slower than the video; no second callback is needed."""
    receiver = await app.receiver(confirm=confirm)
    async with FakeService(callbacks=CallbackBehavior()) as service:
        service.script("create", ScriptedResponse(delay=20))
        async with service.client(callbacks=receiver) as client:
            video = await client.convert(REQUEST)
        spent = now()

    assert video.task_id == "video_000001"
    assert [callback.status for callback in service.callbacks] == [200]
    assert spent < 21


@pytest.mark.looptime
@pytest.mark.parametrize("confirm", [True, False])
async def test_repeated_callbacks_have_no_effect(app: App, confirm: bool) -> None:
    """Failure mode 27: each is answered with 200, also after the end."""
    receiver = await app.receiver(confirm=confirm)
    async with FakeService(duration=30, callbacks=CallbackBehavior(copies=100)) as service:
        async with service.client(callbacks=receiver) as client:
            await client.convert(REQUEST)
        await asyncio.sleep(10)
        late = await post(
            callback_url(service), build_callback("video_000001", "https://x.example/")
        )

    assert [callback.status for callback in service.callbacks] == [200] * 100
    assert (late, service.count()) == (200, 2 if confirm else 1)


@pytest.mark.looptime
async def test_callback_of_a_failure_ends_the_wait(app: App) -> None:
    """The error carries the service's reason."""
    receiver = await app.receiver(confirm=False)
    async with (
        FakeService(duration=30, callbacks=CallbackBehavior()) as service,
        service.client(callbacks=receiver) as client,
    ):
        wait = asyncio.create_task(client.convert(REQUEST))
        await asyncio.sleep(5)
        service.tasks["video_000001"].status = mp4gen.VideoStatus.GENERATE_MP4_FAILED
        with pytest.raises(mp4gen.GenerationFailedError, match="code 500") as caught:
            await wait

    assert caught.value.task_id == "video_000001"
    assert service.count() == 1


@pytest.mark.looptime
async def test_wait_polls_if_a_callback_cannot_be_delivered(app: App) -> None:
    """Failure mode 17: the host reports CALLBACK_EXCEPTION; a poll finds the file."""
    receiver = await app.receiver()
    async with (
        FakeService(duration=30, callbacks=CallbackBehavior()) as service,
        service.client(callbacks=receiver) as client,
    ):
        wait = asyncio.create_task(client.convert(REQUEST))
        await asyncio.sleep(5)
        await app.aclose()
        video = await wait

    assert service.tasks[video.task_id].status == mp4gen.VideoStatus.CALLBACK_EXCEPTION
    assert video.url == service.file_url(video.task_id)


@pytest.mark.looptime
async def test_early_retry_after_does_not_hasten_polls_beside_callbacks(app: App) -> None:
    """Polls are a safety net: a host that asks for one each second is not asked so often."""
    receiver = await app.receiver()
    async with (
        FakeService(duration=200, retry_after=1) as service,
        service.client(callbacks=receiver) as client,
    ):
        await client.convert(REQUEST)

    assert service.count("details") <= 10


@pytest.mark.looptime
async def test_callback_url_of_a_request_wins(app: App) -> None:
    """It gets the callback, and the client polls."""
    receiver = await app.receiver()
    own = mp4gen.VideoRequest("music", "track", callback_url="https://mine.invalid/cb")
    async with FakeService(duration=30) as service, service.client(callbacks=receiver) as client:
        await client.convert(own)

    assert callback_url(service) == "https://mine.invalid/cb"


# --- many tracks --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.looptime
async def test_bulk_run_survives_lost_callbacks(app: App) -> None:
    """Failure mode 17: one callback in five never comes; polls find those videos."""
    receiver = await app.receiver()
    how = CallbackBehavior(loss_rate=0.2, delay=lambda random: random.uniform(0, 30))
    async with (
        FakeService(duration=20, latency=0.05, callbacks=how, seed=4) as service,
        service.client(callbacks=receiver) as client,
    ):
        requests = [mp4gen.VideoRequest("music", str(n)) for n in range(60)]
        found = [conversion async for conversion in client.convert_many(requests)]

    assert {conversion.error for conversion in found} == {None}
    assert 0 < 60 - len({callback.task_id for callback in service.callbacks}) < 30
    assert sum(call.rate_limited for call in service.requests) == 0


@pytest.mark.looptime
async def test_callback_reports_the_task_of_a_lost_response(app: App) -> None:
    """Without a 409 and without a second submit, no track is doubled or uncertain."""
    receiver = await app.receiver()
    lost = ["reset_after_accept", "html_502_after_accept", "truncated_after_accept"]
    async with FakeService(
        duration=20, duplicate_policy="new_task", dialect=UNKNOWN, callbacks=CallbackBehavior()
    ) as service:
        service.script("create", *(lost[n % 3] if n % 4 == 0 else "ok" for n in range(40)))
        async with service.client(callbacks=receiver) as client:
            requests = [mp4gen.VideoRequest("music", str(n)) for n in range(40)]
            found = [conversion async for conversion in client.convert_many(requests)]

    assert {conversion.error for conversion in found} == {None}
    assert len(service.tasks) == service.count("create") == 40
    assert len({conversion.task_id for conversion in found}) == 40


@pytest.mark.looptime
async def test_callback_reports_the_task_of_a_killed_run(app: App, tmp_path: Any) -> None:
    """The ledger keeps the URL of an intent: its callback gives the next run the id."""
    receiver = await app.receiver()
    async with FakeService(
        duration=100, duplicate_policy="new_task", dialect=UNKNOWN, callbacks=CallbackBehavior()
    ) as service:
        for _ in range(2):
            service.script("create", ScriptedResponse(take_effect=True, delay=50))
            async with service.client(callbacks=receiver) as client:
                run = client.convert_many([REQUEST], ledger=tmp_path / "run.sqlite")
                task = asyncio.create_task(_all(run))
                await asyncio.sleep(10)
                if service.count("create") == 1 and now() < 15:
                    task.cancel()
                await asyncio.wait([task])
    [conversion] = task.result()

    assert (conversion.error, conversion.task_id) == (None, "video_000001")
    assert service.count("create") == 1


async def _all(run: mp4gen.ConversionRun) -> list[mp4gen.Conversion]:
    return [conversion async for conversion in run]


@pytest.mark.looptime
async def test_polls_are_rare_once_callbacks_arrive(app: App) -> None:
    """A first lost callback costs a minute, a later one five; neither loses its video."""
    receiver = await app.receiver()
    late = []
    async with (
        FakeService(duration=20, callbacks=CallbackBehavior(delay=10**6)) as service,
        service.client(callbacks=receiver) as client,
    ):
        for name in ("unproven", "arrived", "proven"):
            wait = asyncio.create_task(client.convert(mp4gen.VideoRequest("music", name)))
            await asyncio.sleep(25)
            if name == "arrived":
                body = build_callback("video_000002", "https://cdn.example/v")
                await post(callback_url(service, 1), body)
            video = await wait
            late.append(now() - service.tasks[video.task_id].completes_at)

    assert 30 <= late[0] <= 50
    assert late[1] < 10
    assert 250 <= late[2] <= 310


@pytest.mark.looptime
async def test_polls_are_frequent_again_when_callbacks_stop(app: App) -> None:
    """After two tasks without their callback, the schedule is that of unproven callbacks."""
    receiver = await app.receiver()
    delays, late = iter([0, *[10**6] * 5, 0, 10**6]), []
    how = CallbackBehavior(delay=lambda _: next(delays))
    async with (
        FakeService(duration=20, callbacks=how) as service,
        service.client(callbacks=receiver) as client,
    ):
        for number in range(8):
            video = await client.convert(mp4gen.VideoRequest("music", str(number)))
            late.append(now() - service.tasks[video.task_id].completes_at)

    assert late[0] < 1
    assert all(250 <= seconds <= 310 for seconds in late[1:3])
    assert all(30 <= seconds <= 50 for seconds in late[3:6])
    assert late[6] < 1
    assert 250 <= late[7] <= 310


@pytest.mark.looptime
@pytest.mark.parametrize("confirm", [True, False])
async def test_conversions_of_one_track_are_all_woken(app: App, confirm: bool) -> None:
    """The second one adopts the task of the first, and must not take its callback away."""
    receiver = await app.receiver(confirm=confirm)
    async with (
        FakeService(duration=40, callbacks=CallbackBehavior()) as service,
        service.client(callbacks=receiver) as client,
    ):
        await client.convert(mp4gen.VideoRequest("music", "proves that callbacks arrive"))
        begun = now()
        videos = await asyncio.gather(*(client.convert(REQUEST) for _ in range(3)))

    assert len({video.task_id for video in videos}) == 1
    assert sorted(video.adopted for video in videos) == [False, True, True]
    assert now() - begun < 50


@pytest.mark.looptime
async def test_end_that_one_wait_finds_wakes_the_others(app: App) -> None:
    """The callback is lost: the adopting conversion polls often, the other one hardly ever."""
    receiver = await app.receiver()
    async with (
        FakeService(duration=40, callbacks=CallbackBehavior(loss_rate=1.0)) as service,
        service.client(callbacks=receiver) as client,
    ):
        receiver._has_received = True
        await asyncio.gather(client.convert(REQUEST), client.convert(REQUEST))

    assert now() < 60


# --- forgeries ----------------------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize("confirm", [True, False])
async def test_forged_callbacks_have_no_effect(app: App, confirm: bool) -> None:
    """Failure mode 28: guessed URLs get 404, other tasks 403; no additional poll."""
    receiver = await app.receiver(confirm=confirm)
    async with (
        FakeService(duration=30, callbacks=CallbackBehavior(forged=40)) as service,
        service.client(callbacks=receiver) as client,
    ):
        video = await client.convert(REQUEST)
    statuses = {callback.status for callback in service.callbacks if callback.forged}

    assert statuses == {403, 404}
    assert video.url == service.file_url(video.task_id)
    assert service.count("details") == int(confirm)


@pytest.mark.slow
@pytest.mark.looptime
async def test_confirmed_callback_only_wakes_the_wait(app: App) -> None:
    """Failure mode 28: a changed URL is never used, even from a known address; one poll in 5 s."""
    receiver = await app.receiver()
    async with FakeService(duration=52) as service, service.client(callbacks=receiver) as client:
        wait = asyncio.create_task(client.convert(REQUEST))
        await asyncio.sleep(1)
        body = build_callback("video_000001", "https://evil.example/video.mp4")
        for _ in range(300):
            await post(callback_url(service), body)
            await asyncio.sleep(0.1)
        polls = service.count("details")
        video = await wait

    assert polls <= 30 / 5 + 1
    assert video.url == service.file_url(video.task_id)


@pytest.mark.slow
@pytest.mark.looptime
@pytest.mark.parametrize(
    "url", ["http://cdn.example/v.mp4", "ftp://x/v.mp4", "file:///etc", "", "https://"]
)
async def test_trusted_callback_needs_https(app: App, url: str) -> None:
    """Failure mode 28: another URL only wakes the wait, at most once in 5 s."""
    receiver = await app.receiver(confirm=False)
    async with FakeService(duration=22) as service, service.client(callbacks=receiver) as client:
        wait = asyncio.create_task(client.convert(REQUEST))
        await asyncio.sleep(1)
        for _ in range(100):
            await post(callback_url(service), build_callback("video_000001", url))
            await asyncio.sleep(0.1)
        polls = service.count("details")
        video = await wait

    assert polls <= 10 / 5 + 1
    assert video.url == service.file_url(video.task_id)


@pytest.mark.looptime
@pytest.mark.parametrize("code", [{}, {"code": 200}, {"code": 0}, {"code": "0"}])
async def test_url_of_a_trusted_callback_is_used(app: App, code: dict[str, object]) -> None:
    """With `confirm=False`, a URL under the right token needs no poll; 0 is kie's success."""
    receiver = await app.receiver(confirm=False)
    async with FakeService(duration=1000) as service, service.client(callbacks=receiver) as client:
        wait = asyncio.create_task(client.convert(REQUEST))
        await asyncio.sleep(1)
        data = {"taskId": "video_000001", "videoUrl": "https://cdn.example/v"}
        body = json.dumps({**code, "data": data})
        await post(callback_url(service), body.encode())
        video = await wait

    assert video.url == "https://cdn.example/v"
    assert service.count() == 1


@pytest.mark.looptime
async def test_secret_requires_a_valid_signature(app: App) -> None:
    """Missing, wrong, stale and foreign signatures get 401; the right one wakes the wait."""
    receiver = await app.receiver(secret=SECRET)
    body, seconds = build_callback("video_000001", "https://x.example/v.mp4"), int(time.time())
    signed = sign_callback("video_000001", SECRET, seconds)
    wrong = [
        {},
        sign_callback("video_000001", "another-key", seconds),
        sign_callback("video_000001", SECRET, seconds - 301),
        sign_callback("video_000001", SECRET, seconds + 400),
        sign_callback("video_000002", SECRET, seconds),
        {**signed, "X-Webhook-Signature": "garbage"},
        {**signed, "X-Webhook-Timestamp": "-1"},
        {**signed, "X-Webhook-Timestamp": "9" * 400},
    ]
    async with (
        FakeService(duration=20, callbacks=CallbackBehavior(secret=SECRET)) as service,
        service.client(callbacks=receiver) as client,
    ):
        wait = asyncio.create_task(client.convert(REQUEST))
        await asyncio.sleep(1)
        statuses = [await post(callback_url(service), body, headers) for headers in wrong]
        await wait

    assert statuses == [401] * len(wrong)
    assert service.count("details") == 1
    assert [callback.status for callback in service.callbacks] == [200]


@pytest.mark.parametrize(
    "url", ["", "bot.example.com", "ftp://x", "https://", "https://x/?a", "http://["]
)
def test_receiver_rejects_an_invalid_public_url(url: str) -> None:
    """The error says what to use."""
    with pytest.raises(mp4gen.ConfigurationError, match="Invalid public_url: "):
        mp4gen.CallbackReceiver(url)


@pytest.mark.parametrize(
    ("secret", "problem"), [("", "empty"), (" ", "empty"), (b"sentinel-receiver-91c2", "bytes")]
)
def test_receiver_rejects_an_invalid_secret(secret: Any, problem: str) -> None:
    """A forgotten variable does not silently disable the verification; no traceback shows it."""
    with pytest.raises(
        mp4gen.ConfigurationError, match=f"Invalid secret: {problem}. Use"
    ) as caught:
        mp4gen.CallbackReceiver("https://bot.example.com", secret=secret)

    assert shown_in(traceback_text(caught.value)) == []


def test_receiver_refuses_a_word_for_confirm() -> None:
    """The text "no" would count as True."""
    wrong: Any = "no"

    with pytest.raises(mp4gen.ConfigurationError, match=r"^Invalid confirm: 'no'\. Use True"):
        mp4gen.CallbackReceiver("https://bot.example.com", confirm=wrong)


@pytest.mark.parametrize("url", [5, None, b"https://bot.example.com", Path("x")])
def test_receiver_refuses_other_types_of_url(url: Any) -> None:
    """One sentence says what to use."""
    with pytest.raises(mp4gen.ConfigurationError, match="Invalid public_url: "):
        mp4gen.CallbackReceiver(url)


def test_receiver_with_a_wrong_url_shows_no_secret() -> None:
    """Failure mode 34: a constructor that fails later has hidden the secret before."""
    with pytest.raises(mp4gen.ConfigurationError) as caught:
        mp4gen.CallbackReceiver("ftp://bot.example.com", secret=RECEIVER_SECRET)

    assert shown_in(traceback_text(caught.value)) == []


# --- bodies -------------------------------------------------------------------------------------


@pytest.fixture
async def waiting(app: App) -> AsyncIterator[tuple[FakeService, mp4gen.CallbackReceiver, str]]:
    """Start a conversion that waits for its callback; yield its receiver and URL."""
    receiver = await app.receiver()
    async with (
        FakeService(duration=10**6) as service,
        service.client(callbacks=receiver) as client,
    ):
        wait = asyncio.create_task(client.convert(REQUEST))
        while not service.tasks:  # noqa: ASYNC110 - there is no event to await
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        yield service, receiver, callback_url(service)
        wait.cancel()
        await asyncio.wait([wait])


GOOD = build_callback("video_000001", "https://x.example/v.mp4")


@pytest.mark.slow
@pytest.mark.looptime
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"null", {}, 400),
        (b"\xff\xfe\x00", {}, 400),
        (b"[" * 50_000, {}, 400),
        (b'{"code":NaN}', {}, 400),
        (b'{"data":{"task_id":7.5}}', {}, 400),
        (b'{"data":{"task_id":7}}', {}, 403),
        (GOOD + b" " * MAX_BODY_BYTES, {}, 413),
        (GOOD, {"Content-Encoding": "gzip"}, 415),
        (GOOD, {"Content-Encoding": "br"}, 415),
        (GOOD.replace(b"000001", b"000002"), {}, 403),
        (GOOD, {}, 200),
    ],
)
async def test_handle_returns_the_status_of_each_body(
    waiting: tuple[FakeService, mp4gen.CallbackReceiver, str],
    body: bytes,
    headers: dict[str, str],
    status: int,
) -> None:
    """Failure mode 30: over the socket and by `handle`, from the loop's thread and from another."""
    service, receiver, url = waiting
    path = url.partition("/hooks")[2]
    by_hand = receiver.handle("POST", path, headers, body)[0]
    from_thread = await asyncio.to_thread(receiver.handle, "post", path, headers, body)
    # A body that the socket's parser cannot inflate never reaches the receiver.
    over_socket = status if "Content-Encoding" in headers else await post(url, body, headers)

    assert (by_hand, from_thread[0], over_socket) == (status,) * 3
    assert service.count("details") == 0 or status == 200


@pytest.mark.looptime
async def test_handle_bounds_endless_and_slow_bodies(
    waiting: tuple[FakeService, mp4gen.CallbackReceiver, str],
) -> None:
    """Failure mode 30: a body without a length is cut at 64 KiB, a slow one after ten seconds."""
    _, _, url = waiting

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    statuses = []
    async with aiohttp.ClientSession() as http:
        for body in (endless(), slow()):
            try:
                async with http.post(url, data=body) as answer:
                    statuses.append(answer.status)
            except aiohttp.ClientError:
                statuses.append(0)

    assert statuses[0] in (413, 0)
    assert statuses[1] == 408


@pytest.mark.looptime
async def test_handle_rejects_compressed_bodies_by_their_header(
    waiting: tuple[FakeService, mp4gen.CallbackReceiver, str],
) -> None:
    """Failure mode 30: 415 over a raw socket, before the body is inflated."""
    _, _, url = waiting
    host, _, rest = url.removeprefix("http://").partition("/")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    packed = "Content-Encoding: gzip\r\nContent-Length: 100000000"
    writer.write(f"POST /{rest} HTTP/1.1\r\nHost: {host}\r\n{packed}\r\n\r\n".encode())
    status = await reader.readline()
    writer.close()

    assert b" 415 " in status


@pytest.mark.looptime
async def test_handle_rejects_other_methods_and_unknown_tokens(
    waiting: tuple[FakeService, mp4gen.CallbackReceiver, str],
) -> None:
    """405 for other methods, 404 for an unknown token, whatever the body."""
    _, receiver, url = waiting
    base = url.rpartition("/")[0]
    statuses = [
        receiver.handle("GET", url, {}, b"")[0],
        receiver.handle("POST", "/", {}, GOOD)[0],
        receiver.handle("POST", f"{base}/guessed", {}, GOOD)[0],
        await post(f"{base}/guessed", GOOD),
        receiver.handle("POST", f"{url}?x=1", {}, GOOD)[0],
    ]

    assert statuses == [405, 404, 404, 404, 200]


async def test_handle_answers_with_the_status_as_json(app: App) -> None:
    """A body that is no callback gets 400, even under a known token; all responses are JSON."""
    receiver = await app.receiver()
    receiver._subscribe("endsWithX")
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{receiver.public_url}/endsWithX", data=GOOD) as answer,
    ):
        response = answer.status, answer.content_type, await answer.read()

    assert response == (200, "application/json", b'{"status":"received"}')
    assert receiver.handle("POST", "/endsWithX/", {}, b"{}") == (400, b'{"status":"refused"}')


def test_receiver_drops_only_the_slash_at_the_end_of_its_url() -> None:
    """A path may end in any letter."""
    receiver = mp4gen.CallbackReceiver("https://bot.example.com/hookX/")

    assert receiver.public_url == "https://bot.example.com/hookX"


def test_repr_of_a_receiver_shows_whether_it_confirms() -> None:
    """As it was constructed, with its URL."""
    receiver = mp4gen.CallbackReceiver("https://bot.example.com/cb", confirm=False)

    assert repr(receiver) == "CallbackReceiver('https://bot.example.com/cb', confirm=False)"


async def test_handle_never_raises() -> None:
    """Arguments of the wrong type get a response too."""
    receiver = mp4gen.CallbackReceiver("https://bot.example.com/cb")
    wrong: Any = [None, 7, [], object()]
    statuses = [receiver.handle(*([value] * 4))[0] for value in wrong]

    assert statuses == [500] * 4


# --- fuzzing ------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["POST", "post", "GET", ""]),
    tail=st.text(max_size=40),
    headers=st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=4),
    body=st.one_of(st.binary(max_size=200), st.just(GOOD)),
)
def test_handle_rejects_arbitrary_requests(
    method: str, tail: str, headers: dict[str, str], body: bytes
) -> None:
    """Failure mode 28: any text and any bytes get a status from 400 to 415."""
    receiver = mp4gen.CallbackReceiver("https://bot.example.com/cb", secret=SECRET)

    status, _ = receiver.handle(method, f"/cb/{tail}", headers, body)

    assert status in {400, 401, 403, 404, 405, 413, 415}


@pytest.mark.looptime
async def test_handle_rejects_ten_thousand_forgeries(
    waiting: tuple[FakeService, mp4gen.CallbackReceiver, str],
) -> None:
    """Failure mode 28: none accepted, no exception, no poll, from four threads at once."""
    service, receiver, url = waiting
    statuses: list[int] = []

    def forge(seed: int) -> None:
        random = Random(seed)
        for _ in range(2500):
            token = base64.urlsafe_b64encode(random.randbytes(24)).decode()
            wrong = url[:-1] + random.choice("-_=.~".replace(url[-1], ""))
            path = random.choice([f"/{token}", url + "x", wrong, url.swapcase()])
            body = random.choice([GOOD, random.randbytes(40), b"{}"])
            statuses.append(receiver.handle("POST", path, {}, body)[0])

    threads = [threading.Thread(target=forge, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await asyncio.sleep(30)

    assert len(statuses) == 10_000
    assert set(statuses) == {404}
    assert service.count("details") == 0


# --- logging ------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_token_is_never_logged(app: App) -> None:
    """At DEBUG, with failures, timeouts and invalid calls, no log line, repr or error shows it."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    receiver = await app.receiver()
    nonsense: Callable[..., Any] = receiver.handle
    errors = []
    try:
        async with FakeService(duration=50, callbacks=CallbackBehavior()) as service:
            service.script("create", "code_500", "ok", "reset_after_accept")
            async with service.client(callbacks=receiver) as client:
                for name, timeout in (("a", 10.0), ("b", 100.0), ("c", 100.0)):
                    try:
                        request = mp4gen.VideoRequest("music", name)
                        await client.convert(request, timeout=timeout)
                    except mp4gen.Mp4GenError as error:
                        errors.append(repr(error) + str(error))
                nonsense("POST", callback_url(service), None, GOOD)
    finally:
        logging.getLogger().removeHandler(handler)
    tokens = [callback_url(service, n).rpartition("/")[2] for n in range(service.count("create"))]

    assert len(errors) == 1
    assert log.getvalue()
    assert not any(token in log.getvalue() + "".join(errors) for token in tokens)
    assert not any(token in repr(receiver) for token in tokens)


@pytest.mark.looptime
@pytest.mark.parametrize("end", ["completed", "failed", "refused", "bulk"])
async def test_callback_of_an_ended_task_has_no_effect(app: App, end: str) -> None:
    """It is answered with 200, and does not prove that callbacks arrive: polls stay frequent."""
    receiver = await app.receiver()
    async with (
        FakeService(duration=20, callbacks=CallbackBehavior(loss_rate=1)) as service,
        service.client(callbacks=receiver) as client,
    ):
        if end == "failed":
            service.script("details", "failed")
        elif end == "refused":
            service.script("create", "code_400")
        if end == "bulk":
            await _all(client.convert_many([REQUEST]))
        else:
            with suppress(mp4gen.Mp4GenError):
                await client.convert(REQUEST)
        status = await post(callback_url(service), GOOD)
        begun = now()
        await client.convert(mp4gen.VideoRequest("music", "next"))

    assert status == 200
    assert 50 <= now() - begun <= 70


def test_tokens_of_ended_tasks_are_bounded() -> None:
    """Ten thousand are enough for late duplicates; the oldest is unknown again."""

    async def urls_of_ended_tasks() -> list[str]:
        subscription = receiver._subscribe()
        urls = [subscription.new_url() for _ in range(10_001)]
        subscription.close()
        return urls

    receiver = mp4gen.CallbackReceiver("https://bot.example.com/cb")
    oldest, second, *_, newest = asyncio.run(urls_of_ended_tasks())
    statuses = [receiver.handle("POST", url, {}, GOOD)[0] for url in (oldest, second, newest)]

    assert statuses == [404, 200, 200]


async def test_callback_wakes_all_waits_of_its_task() -> None:
    """Two parts of an app can wait for one task; without a wait, the next one is woken."""
    receiver = mp4gen.CallbackReceiver("http://127.0.0.1:1/hooks")
    subscription = receiver._subscribe()
    url = subscription.new_url()
    both = [subscription.wake_on_callback(WakeableSleep(30)) for _ in range(2)]

    receiver.handle("POST", url, {}, build_callback("video", None))

    assert await asyncio.gather(*both) == [True, True]
    receiver.handle("POST", url, {}, build_callback("video", None))
    await asyncio.sleep(0)
    assert await subscription.wake_on_callback(WakeableSleep(30))
    assert not await subscription.wake_on_callback(WakeableSleep(0))

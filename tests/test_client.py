"""The client: settings, keys, events, shared limits, and what a cancel leaves behind."""

import asyncio
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

import mp4gen
from mp4gen import Client
from mp4gen.testing import FAULTS, FakeService, ScriptedResponse
from mp4gen.testing.service import FAKE_KEY
from tests.support_sentinels import PROXY_PASSWORD, RECEIVER_SECRET, shown_in, traceback_text

REQUEST = mp4gen.VideoRequest("music", "track", author="Ada")
virtual = pytest.mark.looptime


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with FakeService(duration=5, file_size=300_000) as service:
        service.music["music"] = [mp4gen.Track("music", "track")]
        yield service


# --- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "No API key for api.api.box. Pass api_key or set MP4GEN_API_KEY; "),
        ({"api_key": "  "}, "No API key for api.api.box. "),
        ({"api_key": "a b\nc"}, "Invalid API key: it is empty or contains line"),
        ({"api_key": "clé"}, "Invalid API key: it is empty or contains line"),
        ({"api_key": 7}, "Invalid api_key: int. Use a string or a callable"),
        ({"api_key": b"key"}, "Invalid api_key: bytes. Use a string"),
        (
            {"api_key": "k", "base_url": "api.api.box"},
            "Invalid base_url: 'api.api.box'. Use a URL such",
        ),
        ({"api_key": "k", "base_url": "ftp://api.api.box"}, "Invalid base_url: "),
        ({"api_key": "k", "base_url": "https://"}, "Invalid base_url: 'https:'. "),
        ({"api_key": "k", "base_url": "https://a b"}, "Invalid base_url: "),
        ({"api_key": "k", "base_url": "https://a.com/?q=1"}, "Invalid base_url: it holds a user"),
        ({"api_key": "k", "base_url": "https://u:p@a.com"}, "Invalid base_url: it holds a user"),
        (
            {"api_key": "k", "base_url": "http://a.com"},
            "The key would be sent unencrypted: http://a.com. Use",
        ),
        (
            {"api_key": "k", "base_url": "http://10.0.0.1"},
            "The key would be sent unencrypted: http",
        ),
        ({"api_key": "k", "concurrency": 0}, "Invalid concurrency: 0. Use a whole number above 0."),
        (
            {"api_key": "k", "on_uncertain_submit": "hope"},
            "Invalid on_uncertain_submit: 'hope'. Use",
        ),
        ({"api_key": "k", "rate_limit": "20"}, "Invalid rate_limit: '20'. Use a RateLimit"),
    ],
)
def test_client_refuses_invalid_settings(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], expected: str
) -> None:
    """One sentence says what is wrong and what to use."""
    monkeypatch.delenv("MP4GEN_API_KEY", raising=False)
    monkeypatch.delenv("MP4GEN_BASE_URL", raising=False)

    with pytest.raises(mp4gen.ConfigurationError) as caught:
        Client(**settings)

    assert str(caught.value).startswith(expected)


def test_refused_setting_does_not_show_the_key() -> None:
    """Failure mode 34: neither the text nor a traceback with the locals of our frames."""
    for settings in ({"base_url": "http://a.com"}, {"concurrency": 0}, {"rate_limit": "1"}):
        with pytest.raises(mp4gen.ConfigurationError) as caught:
            Client(FAKE_KEY, **settings)  # type: ignore[arg-type]

        assert shown_in(traceback_text(caught.value)) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": FAKE_KEY.encode()},
        {"api_key": FAKE_KEY, "proxy": f"socks5://me:{PROXY_PASSWORD}@proxy.example"},
        {"api_key": FAKE_KEY, "proxy": f"http://me:{PROXY_PASSWORD}@"},
        {"api_key": FAKE_KEY, "proxy": f"http://me:{PROXY_PASSWORD}@h:1", "concurrency": 0},
    ],
)
def test_refused_setting_shows_no_secret(settings: dict[str, Any]) -> None:
    """Failure mode 34: neither a key of the wrong type nor a proxy's password."""
    with pytest.raises(mp4gen.ConfigurationError) as caught:
        Client(base_url="https://api.example.com", **settings)

    assert shown_in(traceback_text(caught.value)) == []


@pytest.mark.parametrize(
    "kind",
    [
        Client,
        mp4gen.CallbackReceiver,
        mp4gen.ConversionRun,
        mp4gen.SlidingWindowLimiter,
        FakeService,
    ],
)
def test_repr_of_a_half_made_object_does_not_raise(kind: Any) -> None:
    """An error reporter may show an object whose constructor failed."""
    assert repr(kind.__new__(kind))


def test_client_needs_no_loop_and_shows_no_key() -> None:
    """An app may make it at import time."""
    client = Client(FAKE_KEY, base_url="https://api.kie.ai/")

    assert repr(client) == "<mp4gen.Client https://api.kie.ai (kie)>"
    assert FAKE_KEY not in f"{client!r} {vars(client)}"


def test_client_reads_defaults_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`MP4GEN_BASE_URL` and `MP4GEN_API_KEY` are read when the client is made."""
    monkeypatch.setenv("MP4GEN_BASE_URL", "https://api.kie.ai")
    monkeypatch.setenv("MP4GEN_API_KEY", "from-environment")

    assert Client().base_url == "https://api.kie.ai"
    assert Client("k", base_url="https://x.example.com").base_url == "https://x.example.com"


def test_second_client_of_one_key_warns() -> None:
    """Each keeps the limit by itself; one limiter for both is fine."""
    with pytest.warns(UserWarning, match="Share one client, or pass one rate_limit object"):
        first, second = Client("shared-key"), Client("shared-key")
    limiter = mp4gen.SlidingWindowLimiter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pair = [Client("pair-key", rate_limit=limiter) for _ in range(2)]
        other = Client("shared-key", base_url="https://api.kie.ai")

    assert len({first, second, other, *pair}) == 5


def test_second_client_without_key_does_not_warn() -> None:
    """A server on this machine has no account whose limit they share."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clients = [Client(base_url="http://127.0.0.1:9") for _ in range(2)]

    assert len(clients) == 2


@virtual
async def test_callable_key_is_called_for_each_request(service: FakeService) -> None:
    """A rotated key needs no restart."""
    keys = iter(["first", "second\n"])
    async with service.client(api_key=lambda: next(keys)) as client:
        await client.get_credits()
        await client.get_credits()

    assert [call.key for call in service.requests] == ["first", "second"]


@virtual
async def test_invalid_rotated_key_is_not_sent(service: FakeService) -> None:
    """No request goes out with half a header."""
    async with service.client(api_key=lambda: "bad\nkey") as client:
        with pytest.raises(mp4gen.ConfigurationError, match="Invalid API key"):
            await client.get_credits()

    assert service.requests == []


@virtual
async def test_clients_share_a_limiter(service: FakeService) -> None:
    """Forty calls of two clients keep one limit."""
    limiter = mp4gen.SlidingWindowLimiter()
    one, two = (service.client(rate_limit=limiter) for _ in range(2))
    async with one, two:
        await asyncio.gather(*(client.get_credits() for client in (one, two) * 20))

    assert not any(call.rate_limited for call in service.requests)
    assert service.peak_requests() == 20


@virtual
async def test_invalid_ids_and_timeouts_send_nothing(service: FakeService) -> None:
    """An empty id, a line break, a timeout of 0."""
    async with service.client() as client:
        for work in (
            client.get_music_video_details(""),
            client.wait_for_video("a\nb"),
            client.get_tracks(" "),
        ):
            with pytest.raises(
                mp4gen.ValidationError, match="task_id: must be a non-empty printable string"
            ):
                await work
        for timeout in (0, -1, float("nan"), True, "60"):
            with pytest.raises(mp4gen.ConfigurationError, match="Invalid timeout: "):
                await client.convert(REQUEST, timeout=timeout)  # type: ignore[arg-type]

    assert service.requests == []


@virtual
async def test_closed_client_refuses_every_call(service: FakeService) -> None:
    """A second `aclose` does nothing."""
    client = service.client()
    await client.get_credits()
    await client.aclose()
    await client.aclose()

    for work in (
        client.get_credits(),
        client.convert(REQUEST),
        client.download("http://e.com", "x"),
    ):
        with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
            await work


@virtual
@pytest.mark.parametrize("delay", [1.0, 20.0])
async def test_wait_ends_when_its_client_is_closed(service: FakeService, delay: float) -> None:
    """It raises the same error between two polls and during one: the task goes on."""
    service.always("details", "hang")
    async with service.client() as client:
        task_id = await client.create_music_video(REQUEST)
        wait = asyncio.create_task(client.wait_for_video(task_id))
        await asyncio.sleep(delay)

    with pytest.raises(mp4gen.ConfigurationError, match="This client is closed"):
        await wait


# --- events -----------------------------------------------------------------------------------


@virtual
async def test_conversion_emits_events_in_order(
    service: FakeService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each event is also a line of the log."""
    events: list[mp4gen.Event] = []
    service.script("create", "code_500", "rate_limited")
    with caplog.at_level(logging.DEBUG, "mp4gen"):
        async with service.client(on_event=events.append) as client:
            video = await client.convert(REQUEST)
            await client.download(video, tmp_path)
    names = [type(event).__name__ for event in events]

    assert names[:4] == ["RetryEvent", "PausedEvent", "RetryEvent", "SubmittedEvent"]
    assert names[4:6] == ["PollEvent", "CompletedEvent"]
    assert set(names[6:]) == {"DownloadProgressEvent"}
    assert len([r for r in caplog.records if r.name == "mp4gen"]) == len(events)


@virtual
async def test_failing_hook_does_not_end_a_conversion(service: FakeService) -> None:
    """The log holds its exception, and the call returns the video."""

    def broken(_: mp4gen.Event) -> None:
        raise RuntimeError("the hook's own fault")

    async with service.client(on_event=broken) as client:
        video = await client.convert(REQUEST)

    assert video.url


# --- odd records -------------------------------------------------------------------------------


@virtual
@pytest.mark.parametrize(
    "odd",
    [
        {"completeTime": "9999-12-31T00:00:00Z", "createTime": "0001-01-01T00:00:00+14:00"},
        {"completeTime": 253402300799999, "createTime": 10**30},
        {"audioId": "\ud800", "musicId": 7, "errorMessage": "\udfff"},
        {"taskId": "\ud800", "audioId": ["track"], "musicId": {}, "callbackUrl": 5},
        {"errorCode": "none", "errorMessage": {"text": "none"}, "musicIndex": "first"},
    ],
)
async def test_odd_side_fields_cost_no_video(
    service: FakeService, tmp_path: Path, odd: dict[str, Any]
) -> None:
    """Converted, downloaded, and kept in the ledger; a resumed run reads it again."""
    service.always("details", ScriptedResponse(data=odd))
    for _ in range(2):
        async with (
            service.client() as client,
            client.convert_many([REQUEST], ledger=tmp_path / "l", download_to=tmp_path) as run,
        ):
            conversions = [conversion async for conversion in run]

        assert [conversion.path for conversion in conversions] == [tmp_path / "track.mp4"]
        assert conversions[0].result().url
    assert len(service.tasks) == 1


# --- refusals that hosts word differently ---------------------------------------------------------


def refusal(
    code: int | None, message: str, status: int = 200, **fields: object
) -> ScriptedResponse:
    body = {"code": code, "msg": message, "data": None, **fields}
    return ScriptedResponse(status=status, body=json.dumps(body).encode())


@virtual
@pytest.mark.parametrize(
    "conflict",
    [
        refusal(409, "Conflict", data={"taskId": "video_000001"}),
        refusal(422, "Mp4 record already exists", task_id="video_000001"),
        refusal(None, "", 409, taskId="video_000001"),
        refusal(200, "success", 409, data={"taskId": "video_000001"}),
        refusal(
            400, "mp4 record ALREADY EXISTS", 400, data={"record": {"task_id": "video_000001"}}
        ),
    ],
)
async def test_existing_video_is_adopted_however_the_host_says_so(
    service: FakeService, conflict: ScriptedResponse
) -> None:
    """By the HTTP status, the code or the text, with the id in any place."""
    async with service.client() as client:
        first = await client.create_music_video(REQUEST)
        service.script("create", conflict)
        video = await client.convert(REQUEST)

    assert (video.task_id, video.adopted) == (first, True)


@virtual
@pytest.mark.parametrize(
    "passing",
    [
        refusal(400, "Service is temporarily unavailable"),
        refusal(422, "Failed to add Suno MP4 generation task", 422),
        refusal(404, "upstream timeout"),
        refusal(401, "Internal error, try again later"),
    ],
)
async def test_submit_refused_for_a_passing_reason_is_sent_again(
    service: FakeService, passing: ScriptedResponse
) -> None:
    """The text says that the failure passes, whatever its code is."""
    service.script("create", passing, passing)
    async with service.client() as client:
        video = await client.convert(REQUEST)

    assert video.url
    assert (service.count("create"), len(service.tasks)) == (3, 1)


@virtual
@pytest.mark.parametrize(
    "empty_account",
    [
        refusal(402, "Insufficient credits"),
        refusal(402, "", 402),
        refusal(433, "Sub-key Usage Exceeds Limit"),
        refusal(400, "The current credits are insufficient"),
    ],
)
async def test_unknown_host_without_credits_ends_a_run(
    service: FakeService, empty_account: ScriptedResponse
) -> None:
    """A reseller may use the codes of either vendor; nothing more is submitted."""
    service.always("create", empty_account)
    requests = [mp4gen.VideoRequest("music", str(number)) for number in range(100)]
    dialect = mp4gen.Dialect.for_url("https://reseller.example.com")
    async with service.client(dialect=dialect, concurrency=2) as client:
        run = client.convert_many(requests)
        with pytest.raises(mp4gen.InsufficientCreditsError):
            async for _ in run:
                pass

    assert run.summary.stop_reason == "InsufficientCreditsError"
    assert run.summary.remaining >= 98
    assert service.count("create") <= 2


# --- the key, over every fault ------------------------------------------------------------------


class BrokenLimiter(mp4gen.SlidingWindowLimiter):
    """Raises an error of its own for each call."""

    def slot(self, priority: mp4gen.Priority = mp4gen.Priority.INTERACTIVE) -> Any:
        raise LookupError("limit\nkept elsewhere")


@virtual
@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.convert(REQUEST),
        lambda client: client.create_music_video(REQUEST),
        lambda client: client.wait_for_video("t1"),
        lambda client: client.get_music_video_details("t1"),
        lambda client: client.get_tracks("t1"),
        lambda client: client.get_credits(),
    ],
    ids="convert create wait details tracks credits".split(),
)
async def test_unforeseen_error_is_one_of_ours(
    service: FakeService, call: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """`except Mp4GenError` catches everything but what the hooks raise; the log has the place."""
    async with service.client(rate_limit=BrokenLimiter()) as client:
        with pytest.raises(mp4gen.UnexpectedError) as caught:
            await call(client)

    assert str(caught.value).startswith("Unexpected LookupError: limit kept elsewhere. The log has")
    assert isinstance(caught.value.__cause__, LookupError)
    assert "Traceback" in caplog.text


@virtual
@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_no_error_shows_the_key(service: FakeService, fault: str) -> None:
    """Failure mode 34: text, repr, and traceback with locals of every cause.

    The service is its own proxy, so that a password is sent, too.
    """
    shown = []
    proxy = service.url.replace("//", f"//me:{PROXY_PASSWORD}@")
    receiver = mp4gen.CallbackReceiver("https://bot.example.com", secret=RECEIVER_SECRET)
    async with service.client(
        on_uncertain_submit="raise", proxy=proxy, callbacks=receiver
    ) as client:
        for endpoint, work in (
            ("create", client.create_music_video),
            ("details", lambda _: client.wait_for_video("t1", timeout=5)),
        ):
            service.always(endpoint, fault)  # type: ignore[arg-type]
            try:
                async with asyncio.timeout(1000):
                    await work(REQUEST)  # type: ignore[operator]
            except (mp4gen.Mp4GenError, TimeoutError) as error:
                shown.append(traceback_text(error) + repr(error))
            service.clear()

    assert shown_in("".join(shown)) == []


@virtual
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("call", ["convert", "download"])
async def test_traceback_of_a_cancelled_call_shows_no_secret(
    tmp_path: Path, scheme: str, call: str
) -> None:
    """Failure mode 34: aiohttp's frames are part of the traceback of a caller's timeout."""
    never = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    proxy = f"http://me:{PROXY_PASSWORD}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    receiver = mp4gen.CallbackReceiver("https://bot.example.com", secret=RECEIVER_SECRET)
    base_url = f"{scheme}://127.0.0.1:9"
    async with Client(FAKE_KEY, base_url=base_url, proxy=proxy, callbacks=receiver) as client:
        work: Awaitable[object] = (
            client.convert(REQUEST)
            if call == "convert"
            else client.download(f"{scheme}://files.example.com/v.mp4", tmp_path)
        )
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(1):
                await work
    text = traceback_text(caught.value)
    never.set()
    server.close()
    await server.wait_closed()

    assert "aiohttp" in text
    assert shown_in(text) == []


# --- failure mode 53: no descriptors left -------------------------------------------------------

# A new process: the first call must not need to import a module.
_CONVERT_WITHOUT_DESCRIPTORS = """
import asyncio, os, resource
import mp4gen
from mp4gen.testing import FakeService

async def main():
    taken = []

    def free_all(event):
        if isinstance(event, mp4gen.RetryEvent):
            print(event)
            while taken:
                os.close(taken.pop())

    async with FakeService() as service, service.client(
        on_event=free_all,
        polling=mp4gen.Polling(initial_delay=0.01),
        retry=mp4gen.Retry(initial_delay=0.01),
    ) as client:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        video = await client.convert(mp4gen.VideoRequest("music", "track"))
        print(video.task_id)

asyncio.run(main())
"""


@pytest.mark.slow
def test_call_without_descriptors_is_retried() -> None:
    """Failure mode 53: the first call meets EMFILE and is sent when descriptors are free again."""
    done = subprocess.run(
        [sys.executable, "-c", _CONVERT_WITHOUT_DESCRIPTORS],
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "Too many open files" in done.stdout
    assert done.stdout.splitlines()[-1] == "video_000001"


# --- failure mode 40: cancel everywhere --------------------------------------------------------


@virtual
async def test_accepted_task_is_reported_before_a_cancel(service: FakeService) -> None:
    """Failure mode 40: `on_submitted` and the log have the id when the wait is cancelled."""
    reported: list[str] = []
    async with service.client() as client:
        work = asyncio.create_task(client.convert(REQUEST, on_submitted=reported.append))
        await asyncio.sleep(1)
        work.cancel()
        await asyncio.wait([work])

    assert reported == list(service.tasks)


@virtual
async def test_cancelled_conversions_free_their_slots(
    service: FakeService,
) -> None:
    """Failure mode 40: the others use the slots, and the service sees no call too many."""
    requests = [mp4gen.VideoRequest("music", str(n)) for n in range(60)]
    async with service.client(concurrency=10) as client:
        works = [asyncio.create_task(client.convert(request)) for request in requests]
        await asyncio.sleep(12)
        for work in works[::2]:
            work.cancel()
        ended = await asyncio.gather(*works, return_exceptions=True)

    assert all(isinstance(video, mp4gen.Video) for video in ended[1::2])
    assert not any(call.rate_limited for call in service.requests)


@virtual
async def test_suspended_client_sends_no_burst(service: FakeService) -> None:
    """Failure mode 19: after hours of sleep the limit holds, and no deadline has passed."""
    requests = [mp4gen.VideoRequest("music", str(n)) for n in range(50)]
    async with service.client() as client:
        works = [asyncio.create_task(client.convert(request)) for request in requests[:20]]
        await asyncio.sleep(1)
        await asyncio.sleep(8 * 3600)
        works += [asyncio.create_task(client.convert(request)) for request in requests[20:]]
        await asyncio.gather(*works)

    assert not any(call.rate_limited for call in service.requests)


async def test_failing_on_submitted_leaves_a_resumable_task() -> None:
    """The caller gets the exception of the hook; `wait_for_video` still returns the paid video."""

    def broken(task_id: str) -> None:
        raise LookupError(task_id)

    async with FakeService() as service, service.client() as client:
        with pytest.raises(LookupError) as caught:
            await client.convert(REQUEST, on_submitted=broken)
        video = await client.wait_for_video(str(caught.value.args[0]))

        assert video.url
        assert len(service.tasks) == 1

"""The blocking client has the calls of the async one, and works in threads and in notebooks."""

import asyncio
import contextvars
import inspect
import json
import logging
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import mp4gen
import mp4gen.sync
from mp4gen.sync import caller, loop_thread
from mp4gen.testing import FakeService
from mp4gen.testing.service import FAKE_KEY
from tests.support_sentinels import PROXY_PASSWORD, shown_in, traceback_text

REQUEST = mp4gen.VideoRequest("music", "track", author="Ada")
MakeClient = Callable[..., mp4gen.sync.Client]


def public(kind: type) -> dict[str, Any]:
    """Return the public attributes of a class and of its bases."""
    names = (name for name in dir(kind) if not name.startswith("_"))
    return {name: inspect.getattr_static(kind, name) for name in names}


def arguments(function: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())[1:]


# --- the same calls -----------------------------------------------------------------------------


def test_client_has_the_methods_of_the_async_client() -> None:
    """Same names and arguments; the same docstring unless the run itself differs."""
    theirs, ours = public(mp4gen.Client), public(mp4gen.sync.Client)
    theirs["close"] = theirs.pop("aclose")
    methods = {name: method for name, method in theirs.items() if inspect.isfunction(method)}
    calls = {name for name, method in methods.items() if inspect.iscoroutinefunction(method)}

    assert {*theirs} - {*ours} == set()
    assert {*ours} - {*theirs} == {"base_url", "dialect"}
    assert {name: arguments(ours[name]) for name in methods} == {
        name: arguments(method) for name, method in methods.items()
    }
    assert {name for name in calls if inspect.iscoroutinefunction(ours[name])} == set()
    assert {name: ours[name].__doc__ for name in calls - {"close"}} == {
        name: methods[name].__doc__ for name in calls - {"close"}
    }
    assert inspect.signature(mp4gen.sync.Client) == inspect.signature(mp4gen.Client)


def test_run_has_the_methods_of_the_async_run() -> None:
    """Only `close` has another name."""
    theirs, ours = public(mp4gen.ConversionRun), public(mp4gen.sync.ConversionRun)
    theirs["close"] = theirs.pop("aclose")

    assert {*ours} == {*theirs}
    assert {name: ours[name].__doc__ for name in ("close", "summary")} == {
        name: theirs[name].__doc__ for name in ("close", "summary")
    }


def test_convert_many_documents_the_same_arguments() -> None:
    """The two docstrings differ in what concerns threads only."""

    def documented(kind: Any) -> list[str]:
        lines = inspect.getdoc(kind.convert_many).split("Returns:")[0].splitlines()  # type: ignore[union-attr]
        return [line for line in lines if line and "thread" not in line and "requests:" not in line]

    ours, theirs = documented(mp4gen.sync.Client), documented(mp4gen.Client)

    assert [line for line in theirs if line not in ours] == [
        "        one runs on the event loop and must not block it."
    ]


def test_each_call_returns_what_the_async_one_does(
    client: mp4gen.sync.Client, service: FakeService, tmp_path: Path
) -> None:
    """A program goes the whole way without asyncio."""
    (track,) = client.get_tracks("music")
    task_id = client.create_music_video(track)
    details = client.get_music_video_details(task_id)
    video = client.wait_for_video(task_id, timeout=60)
    adopted = client.convert(REQUEST)
    path = client.download(video, tmp_path)

    assert details.ready
    assert (video.task_id, adopted.task_id, adopted.adopted) == (task_id, task_id, True)
    assert path.read_bytes() == service.tasks[task_id].content
    assert client.get_credits() == 999.0


def test_properties_are_those_of_the_async_client() -> None:
    """The properties need no call, and equal those of the async client."""
    client = mp4gen.sync.Client(FAKE_KEY, base_url="https://api.kie.ai/")

    assert (client.base_url, client.dialect) == ("https://api.kie.ai", mp4gen.Dialect.KIE)
    assert (client.rejects_duplicates, client.has_sent) == (False, False)
    assert repr(client) == "<mp4gen.sync.Client https://api.kie.ai (kie)>"


def test_wrong_arguments_raise_in_the_caller(client: mp4gen.sync.Client) -> None:
    """Wrong arguments raise in the caller, whether Python or mp4gen refuses them."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'request'"):
        client.convert()  # type: ignore[call-arg]
    with pytest.raises(mp4gen.ValidationError, match="Invalid task_id"):
        client.get_music_video_details("")
    with pytest.raises(mp4gen.ConfigurationError, match="Invalid requests"):
        client.convert_many("music")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [{"api_key": FAKE_KEY, "concurrency": 0}, {"proxy": f"socks5://me:{PROXY_PASSWORD}@proxy"}],
)
def test_refused_setting_shows_no_secret(settings: dict[str, Any]) -> None:
    """Failure mode 34: nor does a traceback with the variables of our frames."""
    with pytest.raises(mp4gen.ConfigurationError) as caught:
        mp4gen.sync.Client(**{"api_key": FAKE_KEY, **settings})

    assert shown_in(traceback_text(caught.value)) == []


def test_half_made_objects_have_a_repr() -> None:
    """An error reporter may show an object whose constructor failed."""
    assert repr(mp4gen.sync.Client.__new__(mp4gen.sync.Client))
    assert repr(mp4gen.sync.ConversionRun.__new__(mp4gen.sync.ConversionRun))


def test_warning_about_a_second_client_names_the_users_line() -> None:
    """The warning names the user's line, not one of mp4gen, for both clients."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clients = [mp4gen.sync.Client("one-key"), mp4gen.sync.Client("one-key")]
        clients.append(mp4gen.Client("one-key"))  # type: ignore[arg-type]

    assert [warning.filename for warning in caught] == [__file__, __file__]
    assert len(clients) == 3


# --- threads and loops --------------------------------------------------------------------------


async def test_client_works_inside_a_running_loop(
    client: mp4gen.sync.Client, service: FakeService
) -> None:
    """As in a notebook, whose cells run in a loop."""
    with client.convert_many([REQUEST]) as run:
        conversions = list(run)

    assert [conversion.result().adopted for conversion in conversions] == [False]
    assert client.get_credits() == 999.0


def test_client_serves_several_threads_at_once(
    client: mp4gen.sync.Client, service: FakeService
) -> None:
    """Each thread gets the result of its own call."""
    with ThreadPoolExecutor(8) as threads:
        videos = list(
            threads.map(
                lambda n: client.convert(mp4gen.VideoRequest("music", f"track-{n}")), range(40)
            )
        )

    found = [service.tasks[video.task_id].request.audio_id for video in videos]
    assert found == [f"track-{n}" for n in range(40)]


def test_functions_of_a_call_run_in_the_callers_thread(
    client: mp4gen.sync.Client, tmp_path: Path
) -> None:
    """So they may use its database connection, and even the client."""
    threads: list[threading.Thread] = []
    statuses: list[object] = []

    def on_submitted(task_id: str) -> None:
        threads.append(threading.current_thread())
        statuses.append(client.get_music_video_details(task_id).status)

    def on_progress(received: int, total: int | None) -> None:
        threads.append(threading.current_thread())

    video = client.convert(REQUEST, on_submitted=on_submitted)
    client.download(video, tmp_path, on_progress=on_progress)

    assert statuses == [mp4gen.VideoStatus.SUCCESS]
    assert {*threads} == {threading.current_thread()}
    assert len(threads) >= 2


def test_async_functions_of_a_call_are_awaited(client: mp4gen.sync.Client) -> None:
    """Async functions of a call are awaited, as by the async client."""
    submitted = []

    async def on_submitted(task_id: str) -> None:
        await asyncio.sleep(0)
        submitted.append(task_id)

    video = client.convert(REQUEST, on_submitted=on_submitted)

    assert submitted == [video.task_id]


def test_async_on_event_is_awaited(service: FakeService, make_client: MakeClient) -> None:
    """In the client's thread, until the client is closed."""
    seen = []

    async def on_event(event: mp4gen.Event) -> None:
        await asyncio.sleep(0)
        seen.append((type(event), threading.current_thread().name))

    with make_client(service, on_event=on_event) as client:
        client.convert(REQUEST)

    kinds = [mp4gen.SubmittedEvent, mp4gen.PollEvent, mp4gen.CompletedEvent]
    assert seen == [(kind, "mp4gen.sync.Client") for kind in kinds]


@pytest.mark.parametrize("error", [LookupError("no row"), StopIteration()])
def test_error_of_a_function_ends_its_call(client: mp4gen.sync.Client, error: Exception) -> None:
    """The caller gets it, and can resume the wait by the id that the function got."""
    submitted: list[str] = []

    def on_submitted(task_id: str) -> None:
        submitted.append(task_id)
        raise error

    with pytest.raises((LookupError, RuntimeError)):
        client.convert(REQUEST, on_submitted=on_submitted)

    assert client.wait_for_video(submitted[0]).task_id == submitted[0]


def test_error_of_on_progress_aborts_the_download(
    client: mp4gen.sync.Client, tmp_path: Path
) -> None:
    """There is no file, as with the async client."""
    video = client.convert(REQUEST)

    def on_progress(received: int, total: int | None) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        client.download(video, tmp_path, on_progress=on_progress)

    assert list(tmp_path.glob("*.mp4")) == []


def test_hooks_see_the_context_of_the_caller(service: FakeService, make_client: MakeClient) -> None:
    """A log filter finds the id of the web request that made the call."""
    request_id = contextvars.ContextVar("request_id", default="none")
    seen = []
    client = make_client(service, on_event=lambda _: seen.append(request_id.get()))

    token = request_id.set("request 1")
    client.convert(REQUEST)
    request_id.reset(token)

    assert {*seen} == {"request 1"}


def test_call_from_the_clients_own_thread_is_refused(
    service: FakeService, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """It would wait for itself; the log names the hook, and the conversion continues."""
    with caplog.at_level(logging.ERROR, logger="mp4gen"):
        client = make_client(service, on_event=lambda _: client.get_credits())
        video = client.convert(REQUEST)

    errors = {str(record.exc_info[1]) for record in caplog.records if record.exc_info}
    assert video.url == service.file_url(video.task_id)
    assert len(errors) == 1
    assert "was called from its own thread, as from on_event, and would wait" in errors.pop()


def test_exit_in_a_hook_reaches_the_caller(service: FakeService, make_client: MakeClient) -> None:
    """The client's thread goes on."""

    def on_event(event: mp4gen.Event) -> None:
        if isinstance(event, mp4gen.SubmittedEvent):
            raise SystemExit(3)

    client = make_client(service, on_event=on_event)

    with pytest.raises(SystemExit) as caught:
        client.convert(REQUEST)

    assert caught.value.code == 3
    assert client.get_credits() == 999.0


def test_callback_from_another_thread_ends_a_wait(
    slow_service: FakeService, make_client: MakeClient
) -> None:
    """`CallbackReceiver.handle` of a web framework wakes a call of the blocking client."""
    receiver = mp4gen.CallbackReceiver("https://bot.example.com/mp4gen", confirm=False)
    client = make_client(slow_service, callbacks=receiver)
    link = "https://files.example.com/video.mp4"

    def call_back(task_id: str) -> None:
        url = slow_service.tasks[task_id].request.callback_url or ""
        data = {"task_id": task_id, "video_url": link}
        body = json.dumps({"code": 200, "msg": "MP4 generated", "data": data}).encode()
        threading.Thread(target=receiver.handle, args=("POST", url, {}, body)).start()

    video = client.convert(REQUEST, on_submitted=call_back)

    assert video.url == link


# --- Ctrl-C -------------------------------------------------------------------------------------


def test_ctrl_c_cancels_the_call(
    slow_service: FakeService, make_client: MakeClient, ctrl_c: Callable[..., None]
) -> None:
    """The wait ends at once, nothing goes on, and the client can be used again."""
    client = make_client(slow_service, on_event=ctrl_c)

    with pytest.raises(KeyboardInterrupt):
        client.convert(REQUEST)

    assert client._thread._calls == set()
    assert len(slow_service.tasks) == 1
    assert client.get_credits() == 999.0


def test_ctrl_c_in_a_function_cancels_the_call(
    slow_service: FakeService, make_client: MakeClient
) -> None:
    """The interrupt may come while the caller's thread runs `on_submitted`."""
    client = make_client(slow_service)

    with pytest.raises(KeyboardInterrupt):
        client.convert(REQUEST, on_submitted=lambda _: signal.raise_signal(signal.SIGINT))

    assert client._thread._calls == set()


def test_ctrl_c_does_not_wait_for_a_long_clean_up(
    monkeypatch: pytest.MonkeyPatch, client: mp4gen.sync.Client, ctrl_c: Callable[..., None]
) -> None:
    """It goes on without its caller, whose wait ends within a second."""
    assert loop_thread._INTERRUPTED_TIMEOUT < 1
    monkeypatch.setattr(loop_thread, "_INTERRUPTED_TIMEOUT", 0.01)
    may_end, cleaned_up = asyncio.Event(), threading.Event()

    async def work() -> None:
        try:
            asyncio.get_running_loop().call_soon(ctrl_c)
            await asyncio.Event().wait()
        finally:
            await may_end.wait()
            cleaned_up.set()

    with pytest.raises(KeyboardInterrupt):
        client._thread.run(work)

    assert not cleaned_up.is_set()
    client._thread._loop.call_soon_threadsafe(may_end.set)
    assert cleaned_up.wait(10)


def test_ctrl_c_works_where_waits_cannot_be_interrupted(
    monkeypatch: pytest.MonkeyPatch, slow_service: FakeService, make_client: MakeClient
) -> None:
    """On Windows a thread waits in slices, and is interrupted between two of them."""
    monkeypatch.setattr(caller, "_MAX_WAIT", 0.001)
    interrupted = threading.Event()
    client = make_client(slow_service, on_event=lambda _: interrupted.set())

    def handler(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        waiter = threading.Thread(
            target=lambda: (interrupted.wait(), signal.raise_signal(signal.SIGINT))
        )
        waiter.start()
        with pytest.raises(KeyboardInterrupt):
            client.convert(REQUEST)
        waiter.join()
    finally:
        signal.signal(signal.SIGINT, before)

    assert client._thread._calls == set()

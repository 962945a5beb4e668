"""A wait polls late, survives failed polls, and ends at its deadline."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

import mp4gen
from mp4gen import Polling, VideoStatus
from mp4gen.testing import FakeService, ScriptedResponse, lognormal
from tests.support_async import failure, now

pytestmark = pytest.mark.looptime
REQUEST = mp4gen.VideoRequest("music", "track")


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with FakeService(duration=40) as service:
        yield service


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[mp4gen.Client]:
    async with service.client() as client:
        client.random.seed(1)
        yield client


def poll_times(service: FakeService) -> list[float]:
    return [call.received_at for call in service.requests if call.endpoint == "details"]


async def test_wait_polls_late_first_and_then_often(service: FakeService) -> None:
    """Ages 15, 19.5, 25.4, 33, 40.8: five polls of a task of forty seconds."""
    async with service.client(polling=Polling(jitter=0)) as client:
        video = await client.convert(REQUEST)

    assert poll_times(service) == pytest.approx([15, 19.5, 25.35, 32.96, 40.96], abs=0.1)
    assert video == mp4gen.Video(
        task_id=video.task_id,
        url=service.file_url(video.task_id),
        audio_id="track",
        created_at=video.created_at,
        completed_at=video.completed_at,
        expires_at=video.expires_at,
    )
    assert (video.expires_at - video.completed_at).days == 15  # type: ignore[operator]


async def test_wait_polls_immediately_after_a_restart(service: FakeService) -> None:
    """The age of the task is unknown: it may have finished long ago."""
    async with service.client() as before:
        task_id = await before.create_music_video(REQUEST)
    await asyncio.sleep(100)
    async with service.client() as after:
        video = await after.wait_for_video(task_id)

    assert poll_times(service) == pytest.approx([100], abs=0.1)
    assert video.task_id == task_id


async def test_wait_polls_an_adopted_task_immediately(service: FakeService) -> None:
    """The age of a task that an earlier process submitted is unknown, too."""
    async with service.client() as before:
        await before.create_music_video(REQUEST)
    await asyncio.sleep(100)
    async with service.client() as after:
        video = await after.convert(REQUEST)

    assert video.adopted
    assert poll_times(service) == pytest.approx([100], abs=0.1)


async def test_wait_subtracts_the_age_of_the_task(service: FakeService) -> None:
    """The time since the submit counts."""
    async with service.client(polling=Polling(jitter=0)) as client:
        task_id = await client.create_music_video(REQUEST)
        await asyncio.sleep(10)
        await client.wait_for_video(task_id)

    assert poll_times(service)[0] == pytest.approx(15, abs=0.1)


async def test_on_submitted_is_called_before_the_first_poll(
    service: FakeService, client: mp4gen.Client
) -> None:
    """The hook is a plain or a coroutine function."""
    calls: list[tuple[str, int]] = []

    async def later(task_id: str) -> None:
        await asyncio.sleep(1)
        calls.append((task_id, service.count("details")))

    await client.convert(REQUEST, on_submitted=lambda task_id: calls.append((task_id, -1)))
    await client.convert(mp4gen.VideoRequest("music", "other"), on_submitted=later)

    assert calls[0] == ("video_000001", -1)
    assert calls[1][0] == "video_000002"


async def test_wait_uses_the_task_age_after_a_failed_hook(
    service: FakeService,
) -> None:
    """The submission is stored before the hook runs: the first poll is not immediate."""
    task_ids = []

    def raises(task_id: str) -> None:
        task_ids.append(task_id)
        raise KeyError(task_id)

    async with service.client(polling=Polling(jitter=0)) as client:
        with pytest.raises(KeyError):
            await client.convert(REQUEST, on_submitted=raises)
        await client.wait_for_video(task_ids[0])

    assert poll_times(service)[0] == pytest.approx(15, abs=0.1)


POLL_FAULTS = (
    "reset close_without_answer half_headers truncated garbage hang slow_drip html_200 html_404 "
    "html_429 html_500 html_502 html_503 html_504 empty blocked redirect data_null record_null "
    "code_400 code_404 code_500 code_299 maintenance rate_limited no_credits wrong_types hang "
    "slow_drip huge deep_json nan_code unknown_track"
).split()


@pytest.mark.parametrize("fault", POLL_FAULTS)
async def test_wait_survives_failed_polls(
    service: FakeService, client: mp4gen.Client, fault: str
) -> None:
    """Failure mode 4: whatever one or two polls meet, the client waits for the video."""
    task_id = await client.create_music_video(REQUEST)
    await client.get_music_video_details(task_id)
    service.script("details", "ok", fault, fault)

    video = await client.wait_for_video(task_id)

    assert video.url == service.file_url(task_id)


async def test_wait_ends_at_once_if_the_key_is_refused(
    service: FakeService, client: mp4gen.Client
) -> None:
    """Failure mode 14: another poll would not help."""
    service.script("details", "unauthorized")

    assert type(await failure(client.convert(REQUEST))) is mp4gen.AuthenticationError
    assert service.count("details") == 1


async def test_wait_survives_the_login_page_of_a_firewall(
    service: FakeService, client: mp4gen.Client
) -> None:
    """Failure mode 14: a 401 that is not the API's own says nothing of the key."""
    service.script("details", ScriptedResponse(status=401, body=b"Log in to this network."))

    assert (await client.convert(REQUEST)).url
    assert service.count("details") > 1


async def test_failed_wait_emits_its_error(service: FakeService) -> None:
    """The last event names the task and what was raised."""
    events: list[mp4gen.Event] = []
    service.script("details", "unauthorized")

    async with service.client(on_event=events.append) as client:
        error = await failure(client.convert(REQUEST))

    assert events[-1] == mp4gen.FailedEvent(next(iter(service.tasks)), error)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("data_null", mp4gen.NotFoundError),
        ("record_null", mp4gen.NotFoundError),
        ("unknown_track", mp4gen.NotFoundError),
        ("code_400", mp4gen.InvalidRequestError),
        ("blocked", mp4gen.AuthenticationError),
    ],
)
async def test_wait_ends_if_an_error_persists_beyond_the_grace(
    service: FakeService, client: mp4gen.Client, fault: str, expected: type
) -> None:
    """An unknown task ends the wait after 60 s and three polls, not at the deadline."""
    service.always("details", fault)

    assert type(await failure(client.wait_for_video("unknown"))) is expected
    assert 60 <= now() <= 120
    assert service.count("details") >= 3


async def test_wait_for_a_task_that_was_found_survives_pages_for_it_alone(
    service: FakeService,
) -> None:
    """A firewall that blocks the polls of one task, of another process, for minutes."""
    async with service.client() as before:
        task_id = await before.create_music_video(REQUEST)
    service.script("details", "pending", *["blocked"] * 12)

    async with service.client() as after:
        video = await after.wait_for_video(task_id)

    assert video.url == service.file_url(task_id)
    assert now() > 70
    assert service.count("details") == 14


async def test_wait_ends_if_the_host_is_not_the_api(
    service: FakeService, client: mp4gen.Client
) -> None:
    """The first poll of a client that has seen no valid response of this host."""
    service.always("details", "html_404")

    error = await failure(client.wait_for_video("t1"))

    assert type(error) is mp4gen.ConfigurationError
    assert "is not the API" in str(error)
    assert service.count() == 1


async def test_poll_that_hangs_ends_at_the_deadline(
    service: FakeService, client: mp4gen.Client
) -> None:
    """The request has no more time than the wait."""
    task_id = await client.create_music_video(REQUEST)
    service.always("details", "hang")

    error = await failure(client.wait_for_video(task_id, timeout=20))

    assert type(error) is mp4gen.WaitTimeoutError
    assert now() < 25


async def test_each_poll_emits_the_status(service: FakeService) -> None:
    """A program can show how far a task is."""
    events: list[mp4gen.Event] = []
    async with service.client(polling=Polling(jitter=0), on_event=events.append) as client:
        await client.convert(REQUEST)
    polls = [event for event in events if isinstance(event, mp4gen.PollEvent)]

    assert [poll.status for poll in polls] == [VideoStatus.PENDING] * 4 + [VideoStatus.SUCCESS]


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ("pending", VideoStatus.PENDING),
        ("unknown_flag", "QUEUED_FOR_REVIEW"),
        ("success_without_url", VideoStatus.SUCCESS),
        ("callback_exception_without_url", VideoStatus.CALLBACK_EXCEPTION),
    ],
)
async def test_wait_times_out_at_the_deadline(
    service: FakeService, client: mp4gen.Client, step: str, status: str
) -> None:
    """Failure modes 15 and 16: the error carries the id, for another wait, and the last details."""
    service.always("details", step)

    error = await failure(client.convert(REQUEST, timeout=300))

    assert type(error) is mp4gen.WaitTimeoutError
    assert error.task_id in service.tasks
    assert error.details is not None
    assert error.details.status == status
    assert now() == pytest.approx(300, abs=1)
    assert "wait for the same id again" in str(error)


async def test_timeout_escapes_an_unknown_status(
    service: FakeService, client: mp4gen.Client
) -> None:
    """The status is the host's own text: it adds no line and steers no terminal."""
    odd = ScriptedResponse(data={"successFlag": "QUEUED\n\x1b[2J", "response": None})
    service.always("details", odd)

    error = await failure(client.convert(REQUEST, timeout=60))

    assert type(error) is mp4gen.WaitTimeoutError
    assert str(error).isprintable()
    assert r"(its last status was 'QUEUED\n\x1b[2J'). It may still finish" in str(error)


async def test_callback_exception_with_a_url_is_a_success(
    service: FakeService, client: mp4gen.Client
) -> None:
    """Failure mode 17: the host could not deliver its callback, but the video exists."""
    service.script("details", "callback_exception")

    video = await client.convert(REQUEST)

    assert video.url == service.file_url(video.task_id)


async def test_unknown_status_returns_its_url_at_the_deadline(
    service: FakeService, client: mp4gen.Client
) -> None:
    """The URL is returned at the deadline at the latest."""
    url = "https://example.com/v.mp4"
    odd = ScriptedResponse(data={"successFlag": "READY", "response": {"videoUrl": url}})
    service.always("details", odd)

    assert (await client.convert(REQUEST, timeout=60)).url == url
    assert now() <= 61


@pytest.mark.parametrize(
    ("step", "flag"), [("failed", "GENERATE_MP4"), ("create_failed", "CREATE")]
)
async def test_failed_task_raises(
    service: FakeService, client: mp4gen.Client, step: str, flag: str
) -> None:
    """The error carries the service's reason, the id and the details."""
    service.script("details", step)

    error = await failure(client.convert(REQUEST))

    assert type(error) is mp4gen.GenerationFailedError
    assert flag in str(error)
    assert error.details is not None
    assert error.details.failed


async def test_retry_after_wins_over_the_schedule() -> None:
    """The server knows its own progress."""
    async with FakeService(duration=30, retry_after=10) as service, service.client() as client:
        await client.convert(REQUEST)

    assert poll_times(service) == pytest.approx([10, 20, 30], abs=0.1)


async def test_retry_after_is_capped_by_the_deadline() -> None:
    """The last poll comes at the deadline, however late the server wants it."""
    async with FakeService(duration=100, retry_after=86_400) as service, service.client() as client:
        video = await client.convert(REQUEST, timeout=120)

    assert poll_times(service) == pytest.approx([120], abs=0.1)
    assert video.url


@pytest.mark.parametrize("first", ["submit", "poll", "failed poll"])
async def test_retry_after_of_an_hour_does_not_hold_up_a_task_of_a_minute(first: str) -> None:
    """Failure mode 68: it is asked again after two minutes, then at most at twice its age."""
    hour = {"Retry-After": "3600"}
    async with FakeService(duration=60) as service, service.client() as client:
        if first == "submit":
            service.script("create", ScriptedResponse(headers=hour, take_effect=True))
        busy = ScriptedResponse(status=503, body=b"busy", headers=hour)
        late = ScriptedResponse(data={"successFlag": "PENDING"}, headers=hour)
        service.script("details", busy if first == "failed poll" else late)
        await client.convert(REQUEST)

    assert all(later <= 2 * earlier + 121 for earlier, later in pairwise(poll_times(service)))
    assert now() <= 260


async def test_retry_after_of_zero_keeps_a_minimum_interval() -> None:
    """At least half a second between two polls."""
    async with FakeService(duration=5, retry_after=0, rate_limit=None) as service:
        limit = mp4gen.RateLimit(1000, per=1.0)
        async with service.client(rate_limit=limit) as client:
            await client.convert(REQUEST)

    assert service.count("details") <= 12


async def test_timeout_excludes_the_wait_for_the_rate_limit(
    service: FakeService,
) -> None:
    """The clock stops meanwhile: a timeout of 60 s outlives ten minutes of queueing."""
    async with service.client(rate_limit=mp4gen.RateLimit(1, per=600.0)) as client:
        video = await client.convert(REQUEST, timeout=60)

    assert video.url
    assert now() >= 600


async def test_timeout_excludes_maintenance(service: FakeService) -> None:
    """An hour of 455 with a timeout of a minute."""
    async with service.client(retry=mp4gen.Retry(maintenance_timeout=7200)) as client:
        loop = asyncio.get_running_loop()
        loop.call_later(5, service.always, "*", "maintenance")
        loop.call_later(3600, service.clear)
        video = await client.convert(REQUEST, timeout=60)

    assert video.url
    assert 3600 <= now() <= 3600 + 400


async def test_concurrency_is_held_from_submit_to_end(service: FakeService) -> None:
    """Three at a time: the fourth is submitted when one has ended."""
    requests = [mp4gen.VideoRequest("music", str(n)) for n in range(7)]
    async with service.client(concurrency=3) as client:
        await asyncio.gather(*(client.convert(request) for request in requests))
    starts = sorted(task.created_at for task in service.tasks.values())

    assert starts[2] < 1
    assert starts[3] >= 40
    assert starts[6] >= 80


@pytest.mark.slow
@pytest.mark.parametrize("count", [20, 50, 200])
async def test_many_conversions_finish_within_the_limit(count: int) -> None:
    """At the exact limit of the service, no request is refused and no track is lost."""
    requests = [mp4gen.VideoRequest("music", str(n)) for n in range(count)]
    service = FakeService(duration=lognormal(40, 120), seed=count)
    async with service, service.client() as client:
        videos = await asyncio.gather(*(client.convert(request) for request in requests))

    assert len({video.task_id for video in videos}) == count
    assert service.peak_requests() <= 20
    assert not any(call.rate_limited for call in service.requests)


async def test_wait_ignores_the_wall_clock(
    service: FakeService, client: mp4gen.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failure mode 18: a year forward, a year back; waits and deadlines are loop time."""
    real = __import__("time").time
    shift = iter([365 * 86400.0, -365 * 86400.0] * 10_000)
    monkeypatch.setattr("time.time", lambda: real() + next(shift))

    video = await client.convert(REQUEST, timeout=60)

    assert video.url
    assert now() <= 50


async def test_failed_polls_emit_a_retry_event(service: FakeService) -> None:
    """One for each failure, with the seconds until the next poll; none for a new task's 404."""
    events: list[mp4gen.Event] = []
    service.script("details", "record_null", "reset", "html_502")

    async with service.client(on_event=events.append) as client:
        await client.convert(REQUEST)

    retries = [event for event in events if isinstance(event, mp4gen.RetryEvent)]
    assert [type(event.error) for event in retries] == [mp4gen.TransportError, mp4gen.ServerError]
    assert all(event.delay > 1 for event in retries)
    assert {event.path for event in retries} == {"/api/v1/mp4/record-info"}


async def test_refused_poll_emits_no_retry_event(service: FakeService) -> None:
    """The pause of the limiter has an event of its own."""
    events: list[mp4gen.Event] = []
    service.script("details", "html_429")

    async with service.client(on_event=events.append) as client:
        await client.convert(REQUEST)

    assert sum(isinstance(event, mp4gen.PausedEvent) for event in events) == 1
    assert [event for event in events if isinstance(event, mp4gen.RetryEvent)] == []


async def test_wait_for_an_unknown_id_reports_it_at_once(
    service: FakeService,
) -> None:
    """The task may still appear, but a mistyped id must not be silent for a minute."""
    events: list[mp4gen.Event] = []

    async with service.client(on_event=events.append) as client:
        with pytest.raises(mp4gen.NotFoundError):
            await client.wait_for_video("mistyped")

    assert isinstance(events[0], mp4gen.RetryEvent)
    assert isinstance(events[0].error, mp4gen.NotFoundError)

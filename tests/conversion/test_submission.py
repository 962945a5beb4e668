"""A submit is accepted once: refusals are retried, lost responses are resolved."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

import mp4gen
from mp4gen import Retry
from mp4gen.testing import FakeService, ScriptedResponse
from tests.support_async import failure
from tests.support_proxy import ConnectionFault, FaultProxy, full_backlog

pytestmark = pytest.mark.looptime
REQUEST = mp4gen.VideoRequest("music", "track", author="Ada")

# The submit is accepted, and its response is lost.
LOST_RESPONSE = (
    "reset_after_accept close_after_accept half_headers_after_accept truncated_after_accept "
    "hang_after_accept slow_drip_after_accept html_502_after_accept html_504_after_accept "
    "empty_after_accept data_null_after_accept"
).split()
# The submit is not accepted, which the client cannot know.
NOT_ACCEPTED = (
    "reset close_without_answer half_headers truncated garbage hang html_200 html_500 html_502 "
    "html_503 html_504 empty utf8_bom nan_code deep_json wrong_types huge gzip_bomb data_null"
).split()


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    async with FakeService() as service:
        yield service


@pytest.mark.parametrize("fault", LOST_RESPONSE + NOT_ACCEPTED)
async def test_submit_creates_one_task_after_a_lost_response(
    service: FakeService, fault: str
) -> None:
    """Failure modes 2 and 3: the client resends immediately and adopts the task of a 409."""
    service.script("create", fault)
    async with service.client() as client:
        task_id = await client.create_music_video(REQUEST)

    assert list(service.tasks) == [task_id]
    assert service.count("create") == 2


@pytest.mark.parametrize("fault", LOST_RESPONSE + NOT_ACCEPTED)
async def test_submit_is_sent_once_under_raise(service: FakeService, fault: str) -> None:
    """The default for unknown hosts: one request, and an error about the unknown outcome."""
    service.script("create", fault)
    async with mp4gen.Client(base_url=service.url) as client:
        error = await failure(client.convert(REQUEST))

    assert type(error) is mp4gen.SubmitUncertainError
    assert error.request == REQUEST
    assert isinstance(error.__cause__, mp4gen.Mp4GenError)
    assert service.count("create") == 1
    assert len(service.tasks) == int(fault in LOST_RESPONSE)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["reset", "close", "hang"])
async def test_submit_creates_one_task_wherever_the_connection_is_cut(
    service: FakeService, how: Any
) -> None:
    """Failure mode 2: for each number of bytes that got through there is one task."""
    async with FaultProxy(service.url) as proxy:
        service.rate_limit = None
        limit = mp4gen.RateLimit(10_000, per=0.001)
        settings: dict[str, Any] = {"base_url": proxy.url, "rate_limit": limit}
        async with service.client(**settings) as client:
            for number, after in enumerate([*range(0, 420, 11), None]):
                cut = (
                    ConnectionFault(upstream_bytes=after, kind=how)
                    if after is not None
                    else ConnectionFault(downstream_bytes=0)
                )
                proxy.script(cut)
                request = mp4gen.VideoRequest("music", str(number))
                task_id = await client.create_music_video(request)

                assert service.tasks[task_id].request.audio_id == str(number)
                assert len(service.tasks) == number + 1


async def test_submit_retries_a_refused_connection_under_raise(
    service: FakeService,
) -> None:
    """Failure mode 1: no byte was sent, so even "raise" retries; one task."""
    async with FaultProxy(service.url) as gone:
        port = int(gone.url.rpartition(":")[2])
    async with mp4gen.Client(base_url=gone.url, on_uncertain_submit="raise") as client:
        submit = asyncio.create_task(client.create_music_video(REQUEST))
        await asyncio.sleep(3)
        async with FaultProxy(service.url, port=port):
            await submit

    assert len(service.tasks) == 1
    assert asyncio.get_running_loop().time() >= 3


@pytest.mark.parametrize("policy", ["raise", "resubmit"])
async def test_submit_that_never_connected_is_not_uncertain(policy: Any) -> None:
    """Failure mode 41: an ordinary network error after `Retry.timeout`, since nothing was sent."""
    with full_backlog() as url:
        settings: dict[str, Any] = {"base_url": url, "on_uncertain_submit": policy}
        async with mp4gen.Client(retry=Retry(timeout=60), **settings) as client:
            error = await failure(client.convert(REQUEST))

    assert type(error) is mp4gen.TransportError
    assert "no connection within 10 s" in str(error)


@pytest.mark.parametrize("policy", ["raise", "resubmit"])
async def test_closed_client_knows_whether_a_submit_was_sent(
    service: FakeService, policy: Any
) -> None:
    """Failure mode 41: a call in progress ends at once; uncertain if its head was sent."""
    service.always("create", "hang_after_accept")
    errors = []
    with full_backlog() as connecting:
        for url in (connecting, service.url):
            client = mp4gen.Client(base_url=url, on_uncertain_submit=policy)
            submit = asyncio.create_task(failure(client.convert(REQUEST)))
            await asyncio.sleep(1)
            await client.aclose()
            done, _ = await asyncio.wait([submit], timeout=1)
            errors += [type(task.result()) for task in done]

    assert errors == [mp4gen.ConfigurationError, mp4gen.SubmitUncertainError]


@pytest.mark.parametrize("policy", ["raise", "resubmit"])
async def test_submit_retries_a_code_500_in_the_body(service: FakeService, policy: Any) -> None:
    """Failure mode 5: HTTP 200 with code 500 means that the API itself did not accept it."""
    service.script("create", "code_500", "code_500")
    async with service.client(on_uncertain_submit=policy) as client:
        await client.create_music_video(REQUEST)

    assert len(service.tasks) == 1
    assert service.count("create") == 3


async def test_conflict_raises_from_create_and_is_adopted_by_convert(
    service: FakeService,
) -> None:
    """`create_music_video` reports the first id; `convert` continues with it and sets `adopted`."""
    async with service.client() as client:
        first = await client.create_music_video(REQUEST)
        error = await failure(client.create_music_video(REQUEST))
        video = await client.convert(REQUEST)

    assert type(error) is mp4gen.AlreadyExistsError
    assert error.existing_task_id == first == video.task_id
    assert video.adopted
    assert len(service.tasks) == 1


async def test_conflict_of_kie_is_a_422() -> None:
    """Recognized by its text; the dialect does not resend by default."""
    async with FakeService(dialect=mp4gen.Dialect.KIE) as service, service.client() as client:
        first = await client.create_music_video(REQUEST)
        video = await client.convert(REQUEST)

    assert (video.task_id, video.adopted) == (first, True)


async def test_conflict_without_an_id_cannot_be_adopted() -> None:
    """The error says that the API did not report the task."""
    async with FakeService(duplicate_policy="without_id") as service, service.client() as client:
        await client.create_music_video(REQUEST)
        error = await failure(client.convert(REQUEST))

    assert type(error) is mp4gen.AlreadyExistsError
    assert error.existing_task_id is None
    assert "did not name the existing task" in str(error)


async def test_lost_response_and_a_conflict_without_id_raise() -> None:
    """The resend shows that a task exists; it is neither doubled nor found."""
    async with FakeService(duplicate_policy="without_id") as service, service.client() as client:
        service.script("create", "reset_after_accept")
        error = await failure(client.convert(REQUEST))

    assert type(error) is mp4gen.AlreadyExistsError
    assert len(service.tasks) == 1


async def test_adopted_task_that_had_failed_raises(service: FakeService) -> None:
    """The API creates no second one: the error gives the reason and the task."""
    async with service.client() as client:
        task_id = await client.create_music_video(REQUEST)
        service.tasks[task_id].fail("no picture")
        error = await failure(client.convert(REQUEST))

    assert type(error) is mp4gen.AlreadyExistsError
    assert "had failed (GENERATE_MP4_FAILED: no picture, code 500)" in str(error)
    assert error.existing_task_id == task_id


async def test_adopted_task_whose_file_is_deleted_raises(service: FakeService) -> None:
    """The host keeps files for 15 days."""
    async with service.client() as client:
        task_id = await client.create_music_video(REQUEST)
        month = 30 * 24 * 3600
        service.tasks[task_id].created_at -= month
        service.tasks[task_id].completes_at -= month
        error = await failure(client.convert(REQUEST))

    assert type(error) is mp4gen.AlreadyExistsError
    assert "was deleted by the host at" in str(error)


@pytest.mark.parametrize("date", ["", "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", "Date: x\r\n"])
async def test_clock_of_this_machine_does_not_make_a_file_deleted(
    service: FakeService, date: str
) -> None:
    """Failure mode 55: a clock that is ahead by months says nothing about the host's file."""
    async with service.client() as client:
        task_id = await client.create_music_video(REQUEST)
        month = 30 * 24 * 3600
        service.tasks[task_id].created_at -= month
        service.tasks[task_id].completes_at -= month
        raw = (await client.get_music_video_details(task_id)).raw
        body = json.dumps({"code": 200, "data": raw}, default=dict)
        head = f"HTTP/1.1 200 OK\r\n{date}Content-Length: {len(body)}\r\n\r\n"
        service.always("details", ScriptedResponse(raw_bytes=f"{head}{body}".encode()))
        video = await client.convert(REQUEST)

    assert video.adopted
    assert video.expires_at


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ("no_credits", mp4gen.SubmitUncertainError),
        ("unauthorized", mp4gen.SubmitUncertainError),
        ("code_400", mp4gen.SubmitUncertainError),
    ],
)
async def test_refusal_after_a_lost_response_stays_uncertain(
    service: FakeService, later: str, expected: type
) -> None:
    """The first attempt may have been accepted and have used the last credit."""
    service.script("create", "reset_after_accept", later)
    async with service.client() as client:
        error = await failure(client.create_music_video(REQUEST))

    assert type(error) is expected
    assert isinstance(error.__cause__, mp4gen.ApiError)


async def test_submit_is_uncertain_after_lost_responses(service: FakeService) -> None:
    """After `Retry.timeout`, not after one attempt, and never as a plain network error."""
    service.always("create", "reset")
    async with service.client(retry=Retry(timeout=60)) as client:
        error = await failure(client.create_music_video(REQUEST))

    assert type(error) is mp4gen.SubmitUncertainError
    assert 4 <= service.count("create") <= 12


async def test_retry_time_excludes_the_wait_for_a_slot(service: FakeService) -> None:
    """A submit that queued for ten minutes can still be retried."""
    service.always("create", "ok")
    async with service.client(rate_limit=mp4gen.RateLimit(1, per=600.0)) as client:
        await client.get_credits()
        service.script("create", "code_500")
        await client.create_music_video(REQUEST)

    assert service.count("create") == 2


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("no_credits", mp4gen.InsufficientCreditsError),
        ("unauthorized", mp4gen.AuthenticationError),
        ("unknown_track", mp4gen.NotFoundError),
        ("html_404", mp4gen.ConfigurationError),
        ("redirect", mp4gen.ConfigurationError),
        ("code_400", mp4gen.InvalidRequestError),
    ],
)
async def test_submit_sends_one_request_after_a_permanent_refusal(
    service: FakeService, fault: str, expected: type
) -> None:
    """Failure modes 13 and 14: no credits, a bad key, an unknown track, no API: one request."""
    service.script("create", fault)
    async with service.client() as client:
        error = await failure(client.convert(REQUEST))

    assert type(error) is expected
    assert service.count() == 1


async def test_submit_trusts_a_valid_body_over_its_status(service: FakeService) -> None:
    """Failure mode 6: HTTP 500 with code 200 and an id means accepted."""
    service.script(
        "create", ScriptedResponse(status=500, body=b'{"code":200,"data":{"taskId":"t7"}}')
    )
    async with service.client(on_uncertain_submit="raise") as client:
        assert await client.create_music_video(REQUEST) == "t7"


async def test_submit_sends_a_placeholder_without_a_callback(service: FakeService) -> None:
    """The field is required; the reserved host leads nowhere."""
    async with service.client() as client:
        await client.create_music_video(REQUEST)
    (task,) = service.tasks.values()

    assert task.request.callback_url == "https://mp4gen.invalid/no-callback"

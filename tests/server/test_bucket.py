"""Videos in a bucket of a real S3 server: stored, sent, deleted, and nothing else touched."""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import mp4gen
from mp4gen.errors import ConfigurationError
from mp4gen.server import Server, ServerConfig
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.queue import retries
from mp4gen.server.queue.recovery import encode_record, recover
from mp4gen.server.queue.retention import delete_task
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task_renderer import TaskRenderer

from .conftest import FINISHED_TASK, Caller, Serve, Visitor, read_tasks, run_check
from .support_s3 import CREDENTIALS, Proxy, S3Server, run_proxy

obstore = pytest.importorskip("obstore", reason="the s3 extra installs it")
pytest.importorskip("moto", reason="the dev extra installs it")

from mp4gen.server.videos import bucket  # noqa: E402
from mp4gen.server.videos.bucket import Bucket, StorageError  # noqa: E402
from mp4gen.server.videos.bucket_videos import MARKER, BucketVideos  # noqa: E402

NAME = FINISHED_TASK.filename
RECORD = f"{NAME.removesuffix('.mp4')}.json"
CONTENT = bytes(range(256)) * 40
MIB = 1 << 20


@pytest.fixture
async def proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    """A proxy in front of the server, which the variables of AWS name instead."""
    async with run_proxy(s3.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
async def videos(bucket_name: str, data: DataDirectory) -> BucketVideos:
    """The videos of a server below the prefix `a/b`."""
    videos = BucketVideos(Bucket(bucket_name, "a/b"), data)
    await videos.open()
    return videos


def rendered(data: DataDirectory, size: int = 5) -> Path:
    path = data.work / "video.mp4"
    path.write_bytes(b"video" if size == 5 else bytes(size))
    return path


# --- storing ---------------------------------------------------------------------------------


async def test_publish_stores_video_and_record(
    s3: S3Server, bucket_name: str, videos: BucketVideos, data: DataDirectory
) -> None:
    """Both are in the bucket under their names, and the disk is free again."""
    size = await videos.publish(rendered(data), NAME, b"{}")

    assert size == 5
    assert s3.get(f"/{bucket_name}/a/b/{NAME}") == b"video"
    assert s3.get(f"/{bucket_name}/a/b/{RECORD}") == b"{}"
    assert await videos.names() == {NAME}
    assert await videos.read_record(NAME) == b"{}"
    assert [*data.videos.iterdir(), *data.work.iterdir()] == []


async def test_record_is_replaced_where_its_video_is(
    s3: S3Server, bucket_name: str, videos: BucketVideos, data: DataDirectory
) -> None:
    """A video that is kept for ever is found as such, stored already or not yet."""
    await videos.publish(rendered(data), NAME, b"{}")
    waiting = NAME.replace("A", "B")
    data.publish(rendered(data), waiting, b"{}")

    for name in (NAME, waiting):
        await videos.write_record(name, b'{"kept": true}')

    assert s3.get(f"/{bucket_name}/a/b/{RECORD}") == b'{"kept": true}'
    assert await videos.read_record(waiting) == b'{"kept": true}'
    assert not data.record_path(NAME).exists()


@pytest.mark.slow
async def test_large_video_is_stored_in_parts(
    s3: S3Server, bucket_name: str, videos: BucketVideos, data: DataDirectory
) -> None:
    """Each part is a request of its own; the object is the file."""
    size = await videos.publish(rendered(data, 17 * MIB), NAME, b"{}")

    stored = s3.get(f"/{bucket_name}/a/b/{NAME}")
    assert (size, len(stored)) == (17 * MIB, 17 * MIB)
    assert (await videos.find(NAME)).etag.endswith('-3"')


@pytest.mark.slow
async def test_cut_upload_stores_nothing_and_is_finished_later(
    s3: S3Server, bucket_name: str, proxy: Proxy, videos: BucketVideos, data: DataDirectory
) -> None:
    """The finished file stays in the data directory, and the next call stores it."""
    proxy.cut_after = 4 * MIB
    with pytest.raises(StorageError, match=r"^The object storage cannot be used: "):
        await videos.publish(rendered(data, 17 * MIB), NAME, b"{}")
    after = s3.keys(bucket_name), data.video_names()
    proxy.cut_after = None

    size = await videos.publish(None, NAME, b"{}")

    assert after == ([f"a/b/{RECORD}", f"a/b/{MARKER}"], {NAME})
    assert size == 17 * MIB
    assert len(s3.get(f"/{bucket_name}/a/b/{NAME}")) == 17 * MIB
    assert s3.uploads(bucket_name) == []
    assert data.video_names() == set()


@pytest.mark.slow
async def test_cancelled_upload_is_aborted(
    s3: S3Server,
    bucket_name: str,
    proxy: Proxy,
    data: DataDirectory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing appears, and no part stays."""
    monkeypatch.setattr(bucket, "_ABORT_TIMEOUT", 60.0)  # the last part may take long
    # moto answers some aborts with 500 if the upload of a part was cut off.
    monkeypatch.setattr(bucket, "_MAX_RETRIES", 3)
    videos = BucketVideos(Bucket(bucket_name, "a/b"), data)
    await videos.open()
    started = asyncio.Event()
    real = bucket._parts

    def parts(*args: Any) -> Iterator[bytes]:
        for number, part in enumerate(real(*args)):
            if number == 3:
                loop.call_soon_threadsafe(started.set)
            yield part

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(bucket, "_parts", parts)
    publishing = asyncio.create_task(videos.publish(rendered(data, 80 * MIB), NAME, b"{}"))
    await started.wait()
    publishing.cancel()
    ended = await asyncio.gather(publishing, return_exceptions=True)

    assert isinstance(ended[0], asyncio.CancelledError)
    assert f"a/b/{NAME}" not in s3.keys(bucket_name)
    assert s3.uploads(bucket_name) == []
    assert data.video_names() == {NAME}


@pytest.mark.slow
async def test_storage_that_does_not_answer_is_trouble(
    bucket_name: str, proxy: Proxy, data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait has an end, and the file stays."""
    monkeypatch.setattr(bucket, "_REQUEST_TIMEOUT", 0.3)
    videos = BucketVideos(Bucket(bucket_name, ""), data)
    await videos.open()
    proxy.is_stalled = True

    with pytest.raises(StorageError, match="it does not answer in time"):
        await videos.publish(rendered(data), NAME, b"{}")

    assert data.video_names() == {NAME}


async def test_denied_access_is_trouble(
    s3: S3Server, videos: BucketVideos, data: DataDirectory
) -> None:
    """The error says what the storage says, and neither a key nor the host."""
    with s3.denied(), pytest.raises(StorageError) as raised:
        await videos.publish(rendered(data), NAME, b"{}")

    assert raised.value.reason == "InvalidAccessKeyId"
    assert not set(CREDENTIALS.values()) & set(re.split("[^a-z-]", str(raised.value)))
    assert "127.0.0.1" not in str(raised.value)
    assert raised.value.__suppress_context__


# --- whose objects they are --------------------------------------------------------------------


FOREIGN = {
    "mine.mp4": b"mine",
    "C" * 24 + ".MP4": b"mine",
    f"copy/{'D' * 24}.json": b"{}",
    f"copy/{NAME}": b"mine",
}


async def test_foreign_objects_are_never_touched(
    s3: S3Server, bucket_name: str, videos: BucketVideos, data: DataDirectory, store: Store
) -> None:
    """Deletions, the start and the retention leave everything that the server has not made."""
    for key, content in FOREIGN.items():
        s3.request("PUT", f"/{bucket_name}/a/b/{key}", content)
    s3.request("PUT", f"/{bucket_name}/a/bc/{NAME}", b"mine")
    s3.request("PUT", f"/{bucket_name}/{NAME}", b"mine")
    await store.add(FINISHED_TASK)
    await videos.publish(rendered(data), NAME, encode_record(FINISHED_TASK))
    s3.request("PUT", f"/{bucket_name}/a/b/{'E' * 24}.json", b"{}")

    await recover(store, data, videos)
    await delete_task(store, videos, FINISHED_TASK, "by a test")
    gone = await videos.remove([*FOREIGN, "../../a", MARKER])

    left = [f"a/b/{key}" for key in FOREIGN] + [f"a/bc/{NAME}", f"a/b/{MARKER}", NAME]
    assert sorted(s3.keys(bucket_name)) == sorted(left)
    assert store.removed_videos() == []
    assert gone == [*FOREIGN, "../../a", MARKER]


async def test_prefix_with_other_objects_is_refused(
    s3: S3Server, bucket_name: str, data: DataDirectory
) -> None:
    """Also one whose objects look like the server's: without the marker they are not."""
    s3.request("PUT", f"/{bucket_name}/{'E' * 24}.json", b"{}")

    with pytest.raises(ConfigurationError, match=f"not the server's: {'E' * 24}"):
        await BucketVideos(Bucket(bucket_name, ""), data).open()

    assert s3.keys(bucket_name) == [f"{'E' * 24}.json"]


async def test_prefix_of_another_server_is_refused(
    s3: S3Server, bucket_name: str, videos: BucketVideos, tmp_path: Path
) -> None:
    """Two servers would delete each other's videos. The hint makes the prefix this server's own."""
    other = DataDirectory(tmp_path / "other")
    other.open()
    second = BucketVideos(Bucket(bucket_name, "a/b"), other)
    with pytest.raises(ConfigurationError, match="belongs to another server") as raised:
        await second.open()
    hint = re.search("`(owner: .+)`", str(raised.value))[1]

    s3.request("PUT", f"/{bucket_name}/a/b/{MARKER}", hint.encode())
    await second.open()
    other.close()

    with pytest.raises(ConfigurationError, match="belongs to another server"):
        await videos.open()


async def test_failed_deletion_is_tried_again(
    s3: S3Server, videos: BucketVideos, data: DataDirectory, store: Store
) -> None:
    """The task is gone; the note about its video stays until the bucket can be used."""
    await store.add(FINISHED_TASK)
    await videos.publish(rendered(data), NAME, encode_record(FINISHED_TASK))
    with s3.denied():
        await delete_task(store, videos, FINISHED_TASK, "by a test")
    noted = store.removed_videos()

    await recover(store, data, videos)

    assert noted == [NAME]
    assert await videos.find(NAME) is None
    assert store.removed_videos() == []
    assert store.filenames() == set()


async def test_lost_database_loses_no_video(
    videos: BucketVideos, data: DataDirectory, store: Store
) -> None:
    """A task is found again by the record of its video in the bucket."""
    await videos.publish(rendered(data), NAME, encode_record(FINISHED_TASK))

    await recover(store, data, videos)

    assert store.get("1").filename == NAME
    assert store.get("1").size == 5


# --- a server with a bucket --------------------------------------------------------------------


@pytest.fixture(params=["bucket", "older video in the folder"])
async def caller(
    serve: Serve, s3: S3Server, bucket_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Caller:
    """A server with one known file among its videos."""
    caller = await serve(files=f"s3://{bucket_name}/a")
    if request.param == "bucket":
        s3.request("PUT", f"/{bucket_name}/a/{NAME}", CONTENT)
    else:
        (tmp_path / "data" / "videos" / NAME).write_bytes(CONTENT)
    return caller


async def fetch(caller: Caller, method: str = "GET", name: str = NAME, **headers: str) -> Any:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    url = f"{caller.url}/files/{name}"
    async with caller.session.request(method, url, headers=sent) as response:
        return response.status, response.headers, await response.read()


async def test_complete_file_is_sent(caller: Caller) -> None:
    """Its headers are those of a file in the folder."""
    status, headers, body = await fetch(caller)
    head = await fetch(caller, "HEAD")
    unknown = await fetch(caller, name="B" * 24 + ".mp4")

    assert (status, body) == (200, CONTENT)
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Type"] == "video/mp4"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (head[0], head[1]["Content-Length"], head[2]) == (200, str(len(CONTENT)), b"")
    assert unknown[0] == 404


@pytest.mark.parametrize(
    ("header", "part", "content_range"),
    [
        ("bytes=0-99", slice(0, 100), "bytes 0-99/10240"),
        ("bytes=10000-", slice(10_000, None), "bytes 10000-10239/10240"),
        ("bytes=10000-99999", slice(10_000, None), "bytes 10000-10239/10240"),
        ("bytes=-40", slice(-40, None), "bytes 10200-10239/10240"),
        ("bytes=10240-", None, "bytes */10240"),
        ("bytes=a-b", slice(None), None),
        ("bytes=0-1,4-5", slice(None), None),
    ],
)
async def test_range_is_sent(
    caller: Caller, header: str, part: slice | None, content_range: str | None
) -> None:
    """A range is answered with 206, one beyond the end with 416; an invalid one is ignored."""
    status, headers, body = await fetch(caller, Range=header)

    assert status == (416 if part is None else 206 if content_range else 200)
    assert headers.get("Content-Range") == content_range
    assert part is None or body == CONTENT[part]


async def test_conditions_are_met(caller: Caller) -> None:
    """A range of another version is the complete file; an unchanged file is not sent again."""
    _, headers, _ = await fetch(caller)
    tag, date, old = headers["ETag"], headers["Last-Modified"], "Mon, 01 Jan 2001 00:00:00 GMT"

    statuses = [
        (await fetch(caller, **sent))[0]
        for sent in (
            {"Range": "bytes=5-", "If_Range": tag},
            {"Range": "bytes=5-", "If_Range": '"another"'},
            {"Range": "bytes=5-", "If_Range": date},
            {"Range": "bytes=5-", "If_Range": old},
            {"If_None_Match": tag},
            {"If_None_Match": '"another"'},
            {"If_Modified_Since": date},
            {"If_Modified_Since": old},
            {"If_Match": '"another"'},
            {"If_Match": tag},
            {"If_Unmodified_Since": old},
        )
    ]

    assert statuses == [206, 200, 206, 200, 304, 200, 304, 200, 412, 200, 412]


async def test_large_video_is_streamed(serve: Serve, s3: S3Server, bucket_name: str) -> None:
    """It is read in chunks, each complete."""
    content = bytes(range(251)) * 15_000
    caller = await serve(files=f"s3://{bucket_name}")
    s3.request("PUT", f"/{bucket_name}/{NAME}", content)

    status, _, body = await fetch(caller)

    assert (status, body == content) == (200, True)


@pytest.mark.slow
async def test_storage_that_fails_while_a_video_is_sent_cuts_the_connection(
    serve: Serve, s3: S3Server, bucket_name: str
) -> None:
    """A client must not take a part for the complete video."""
    caller = await serve(files=f"s3://{bucket_name}")
    s3.request("PUT", f"/{bucket_name}/{NAME}", bytes(30 * MIB))

    async with caller.session.get(f"{caller.url}/files/{NAME}") as response:
        await response.content.read(1)
        with s3.denied(), pytest.raises(aiohttp.ClientError):
            await response.read()
    with s3.denied():
        refused = await fetch(caller)

    assert refused[0] == 503
    assert json.loads(refused[2])["code"] == 455


@pytest.mark.slow
async def test_presigned_links_lead_to_the_bucket(
    serve: Serve, s3: S3Server, bucket_name: str, tmp_path: Path
) -> None:
    """The link of the API stays the same; each request is redirected, and our client follows."""
    caller = await serve(files=f"s3://{bucket_name}/a", file_links="presigned")
    task = await caller.create_and_wait("album", "one")
    url = task["response"]["videoUrl"]

    answers = [
        await caller.session.request(method, url, allow_redirects=False)
        for method in ("GET", "HEAD")
    ]
    async with caller.session.get(url, headers={"Range": "bytes=4-7"}) as response:
        part = (response.status, await response.read(), response.headers["Content-Type"])
    async with caller.session.head(url, allow_redirects=True) as response:
        size = int(response.headers["Content-Length"])
    async with mp4gen.Client("key", base_url=caller.url) as client:
        path = await client.download(url, tmp_path / "downloaded")
    async with caller.session.get(f"{caller.url}/files/{'B' * 24}.mp4") as response:
        unknown = response.status

    assert url.startswith(f"{caller.url}/files/")
    assert [answer.status for answer in answers] == [302, 302]
    assert all(answer.headers["Location"].startswith(f"{s3.url}/") for answer in answers)
    assert all(answer.headers["Cache-Control"] == "no-store" for answer in answers)
    assert part == (206, b"ftyp", "video/mp4")
    assert path.stat().st_size == size
    assert unknown == 404


async def test_page_may_play_presigned_links(
    serve: Serve, bucket_name: str, visit: Any, tmp_path: Path
) -> None:
    """Its policy allows media of other hosts only then."""
    policies = []
    for number, links in enumerate(("streamed", "presigned")):
        caller = await serve(
            files=f"s3://{bucket_name}/{number}", file_links=links, data=tmp_path / f"{number}"
        )
        _, headers, _ = await visit(caller).ask("GET", "/")
        policies.append(headers["Content-Security-Policy"])
        await caller.server.__aexit__(None, None, None)

    assert "media-src 'self';" in policies[0]
    assert policies[1] == policies[0].replace("media-src 'self'", "media-src 'self' http: https:")


@pytest.mark.slow
async def test_thumbnail_is_read_from_the_bucket(
    serve: Serve, bucket_name: str, visit: Any, tmp_path: Path
) -> None:
    """It is an image of the stored video, without a copy of the video here."""
    caller = await serve(files=f"s3://{bucket_name}/a")
    task = await caller.create_and_wait("album", "one")
    visitor: Visitor = visit(caller)
    await visitor.open()

    status, _, image = await visitor.ask("GET", "/page/thumbnail", params={"id": task["taskId"]})

    assert (status, image[:2]) == (200, b"\xff\xd8")
    assert list((tmp_path / "data" / "videos").iterdir()) == []


async def test_retention_deletes_in_the_bucket(
    serve: Serve, s3: S3Server, bucket_name: str
) -> None:
    """After the retention the video and the task are gone."""
    caller = await serve(files=f"s3://{bucket_name}/a", retention_days=1e-9)
    task = await caller.create_and_wait("album", "one")
    stored = s3.keys(bucket_name)

    await caller.server.delete_expired()

    assert len(stored) == 3
    assert s3.keys(bucket_name) == [f"a/{MARKER}"]
    assert await caller.details(task["taskId"]) is None


@pytest.mark.slow
async def test_video_that_is_gone_from_the_bucket_is_made_again(
    serve: Serve, s3: S3Server, bucket_name: str
) -> None:
    """A request for the file finds it out, and the next poll queues the task again."""
    caller = await serve(files=f"s3://{bucket_name}/a")
    task = await caller.create_and_wait("album", "one")
    video = task["response"]["videoUrl"].rpartition("/")[2]
    s3.request("DELETE", f"/{bucket_name}/a/{video}")

    missing = await fetch(caller, name=video)
    queued = await caller.details(task["taskId"])
    again = await caller.wait_until_finished(task["taskId"])

    assert missing[0] == 404
    assert (queued["successFlag"], again["successFlag"]) == ("PENDING", "SUCCESS")
    assert (await fetch(caller, name=video))[0] == 200


@pytest.mark.slow
async def test_upload_that_fails_makes_the_task_wait(
    serve: Serve, s3: S3Server, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done only when it is stored, and it is rendered once."""
    monkeypatch.setattr(retries, "INITIAL_DELAY", 0.05)
    caller = await serve(files=f"s3://{bucket_name}/a")
    real, denials = bucket.Bucket.put_file, 0
    render, renders = TaskRenderer._render, 0

    async def count(*args: Any) -> Any:
        nonlocal renders
        renders += 1
        return await render(*args)

    async def deny_twice(*args: Any, **options: Any) -> None:
        nonlocal denials
        denials += 1
        if denials > 2:
            return await real(*args, **options)
        with s3.denied():
            return await real(*args, **options)

    monkeypatch.setattr(bucket.Bucket, "put_file", deny_twice)
    monkeypatch.setattr(TaskRenderer, "_render", count)
    created = await caller.generate("album", "one")
    seen = set()
    while (task := await caller.details(created["data"]["taskId"]))["successFlag"] == "PENDING":
        seen.add((task["trouble"], len(list((tmp_path / "data" / "videos").glob("*.mp4"))) > 0))

    assert ("The object storage cannot be used: InvalidAccessKeyId.", True) in seen
    assert task["successFlag"] == "SUCCESS"
    assert (denials, renders) == (3, 1)
    assert read_tasks(tmp_path / "data", "attempts, troubles") == [(0, 2)]
    assert len(s3.keys(bucket_name)) == 3


@pytest.mark.slow
async def test_stop_during_an_upload_renders_nothing_again(
    serve: Serve, s3: S3Server, bucket_name: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next server stores the file that the last one rendered."""
    real, uploading = bucket.Bucket.put_file, asyncio.Event()

    async def stall(*args: Any, **options: Any) -> None:
        proxy.is_stalled = True
        uploading.set()
        await real(*args, **options)

    caller = await serve(files=f"s3://{bucket_name}/a")
    with monkeypatch.context() as patch:
        patch.setattr(bucket.Bucket, "put_file", stall)
        created = await caller.generate("album", "one")
        await uploading.wait()
        await caller.server.__aexit__(None, None, None)
    stored = s3.keys(bucket_name)
    proxy.is_stalled = False

    monkeypatch.setattr(TaskRenderer, "_render", None)
    caller = await serve(files=f"s3://{bucket_name}/a")
    task = await caller.wait_until_finished(created["data"]["taskId"])

    assert len(stored) == 2
    assert task["successFlag"] == "SUCCESS"
    assert len(s3.keys(bucket_name)) == 3


async def test_start_without_the_bucket_is_refused(
    s3: S3Server, music: Path, tmp_path: Path
) -> None:
    """The error says what to do, and nothing is lost."""
    config = ServerConfig(music=music, data=tmp_path / "data", port=0, files="s3://no-such-bucket")

    with pytest.raises(ConfigurationError, match=r"--files cannot be used: NoSuchBucket. Check"):
        await Server(config).__aenter__()


# --- checks ------------------------------------------------------------------------------------


async def test_check_stores_reads_and_deletes_an_object(
    s3: S3Server, bucket_name: str, music: Path, tmp_path: Path
) -> None:
    """It leaves nothing, and makes nothing the server's own."""
    config = ServerConfig(music=music, data=tmp_path / "data", files=f"s3://{bucket_name}/a")

    passed = await run_check(config, "files")
    with s3.denied():
        denied = await run_check(config, "files")
    s3.request("PUT", f"/{bucket_name}/a/mine.txt", b"mine")
    foreign = await run_check(config, "files")

    assert passed.passed
    assert not denied.passed
    assert "InvalidAccessKeyId" in denied.message
    assert not foreign.passed
    assert s3.keys(bucket_name) == ["a/mine.txt"]
    assert not (tmp_path / "data").exists()


async def test_credentials_are_never_logged(
    serve: Serve, s3: S3Server, bucket_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither by a server that works, nor by one whose access is denied."""
    caplog.set_level(logging.DEBUG)
    caller = await serve(files=f"s3://{bucket_name}/a", file_links="presigned")
    await caller.create_and_wait("album", "one")
    with s3.denied():
        await caller.generate("album", "two")
        await fetch(caller)

    assert "test-secret" not in caplog.text
    assert "test-key" not in caplog.text
    assert "Signature" not in caplog.text

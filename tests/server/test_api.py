"""The API's own calls over real sockets, as the vendor's pages describe them."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from mp4gen.errors import ConfigurationError
from mp4gen.options import RateLimit
from mp4gen.server import Server, ServerConfig

from .conftest import CALLBACK, Serve, write_song


async def test_a_track_becomes_a_video_with_the_documented_answers(serve: Serve) -> None:
    """Submit, pending with a Retry-After, then success with one URL of a playable file."""
    caller = await serve()
    expected_keys = {
        "taskId",
        "musicId",
        "callbackUrl",
        "audioId",
        "completeTime",
        "response",
        "successFlag",
        "createTime",
        "errorCode",
        "errorMessage",
    }

    await caller.generate("album", "two")
    created = await caller.generate("album", "one", author="A", domainName="d.example")
    task_id = created["data"]["taskId"]
    status, headers, first = await caller.get_response("/api/v1/mp4/record-info", taskId=task_id)
    data = await caller.wait_until_finished(task_id)

    assert created == {"code": 200, "msg": "success", "data": {"taskId": task_id}}
    assert status == 200
    assert first["data"]["successFlag"] == "PENDING"
    assert first["data"]["response"] is None
    assert int(headers["Retry-After"]) >= 1
    assert set(data) == expected_keys
    assert data["successFlag"] == "SUCCESS"
    assert data["audioId"] == "one"
    assert data["musicId"] == "album"
    assert data["callbackUrl"] == CALLBACK
    assert data["completeTime"] >= data["createTime"] > 1_600_000_000_000
    async with caller.session.get(data["response"]["videoUrl"]) as response:
        video = await response.read()
    assert response.status == 200
    assert response.content_type == "video/mp4"
    assert video[4:8] == b"ftyp"
    _, headers, _ = await caller.get_response("/api/v1/mp4/record-info", taskId=task_id)
    assert "Retry-After" not in headers


async def test_a_second_submit_names_the_first(serve: Serve) -> None:
    """One video for each track: the second submit is refused with the first one's id."""
    caller = await serve()

    first = await caller.generate("album", "one")
    second = await caller.generate("album", "one", author="somebody else")

    assert second == {"code": 409, "msg": "Mp4 record already exists", "data": first["data"]}


async def test_a_failed_track_may_be_submitted_again(serve: Serve, music: Path) -> None:
    """Music that cannot be read fails with a sentence, and does not stand in the way after."""
    (music / "album" / "bad.mp3").write_text("not music at all")
    caller = await serve()

    failed = await caller.create_and_wait("album", "bad")
    write_song(music / "album" / "bad.mp3")
    again = await caller.create_and_wait("album", "bad")

    assert failed["successFlag"] == "GENERATE_MP4_FAILED"
    assert failed["errorCode"] == 400
    assert "bad.mp3" in failed["errorMessage"]
    assert failed["response"] is None
    assert again["successFlag"] == "SUCCESS"


@pytest.mark.parametrize(
    ("body", "code", "part"),
    [
        ({}, 400, "taskId is required"),
        ({"taskId": "album"}, 400, "audioId is required"),
        ({"taskId": "album", "audioId": "one"}, 400, "callBackUrl is required"),
        ({"taskId": "album", "audioId": "one", "callBackUrl": "x"}, 400, "callBackUrl must be"),
        ({"taskId": 5, "audioId": "one", "callBackUrl": CALLBACK}, 400, "taskId must be text"),
        (
            {"taskId": "album", "audioId": "one", "callBackUrl": CALLBACK, "author": "x" * 51},
            400,
            "author must be at most 50",
        ),
        ([], 400, "JSON object"),
        ("text", 400, "JSON object"),
        ({"taskId": "no", "audioId": "one", "callBackUrl": CALLBACK}, 404, "does not exist"),
        ({"taskId": "album", "audioId": "no", "callBackUrl": CALLBACK}, 404, "does not exist"),
        ({"taskId": "..", "audioId": "one", "callBackUrl": CALLBACK}, 404, "does not exist"),
        ({"taskId": "a", "audioId": "o" * 70_000, "callBackUrl": CALLBACK}, 413, "more than 65536"),
    ],
)
async def test_a_wrong_submit_says_what_is_wrong(
    serve: Serve, body: Any, code: int, part: str
) -> None:
    """Each fault has its documented code and one sentence; nothing is queued."""
    caller = await serve()

    answer = await caller.post(body)

    assert answer["code"] == code
    assert part in answer["msg"]
    assert answer["data"] is None
    assert caller.server.config.queue_limit == (await caller.get(CREDITS))["data"]


CREDITS = "/api/v1/generate/credit"


async def test_an_unknown_task_has_no_data(serve: Serve) -> None:
    """A task that nobody made is answered with `data: null`; a missing id is a bad request."""
    caller = await serve()
    expected = {"code": 200, "msg": "success", "data": None}

    assert await caller.get("/api/v1/mp4/record-info", taskId="nobody") == expected
    assert await caller.get("/api/v1/generate/record-info", taskId="nobody") == expected
    assert (await caller.get("/api/v1/mp4/record-info"))["code"] == 400
    assert (await caller.get("/api/v1/generate/record-info"))["code"] == 400


async def test_a_folder_is_told_as_a_music_task(serve: Serve) -> None:
    """The music details list a folder's tracks by the ids that a submit takes."""
    caller = await serve()

    data = (await caller.get("/api/v1/generate/record-info", taskId="album"))["data"]

    assert data["status"] == "SUCCESS"
    assert data["taskId"] == "album"
    tracks = data["response"]["sunoData"]
    assert [track["id"] for track in tracks] == ["one", "two"]
    assert [track["duration"] for track in tracks] == [1.0, 1.0]
    deep = await caller.get("/api/v1/generate/record-info", taskId="Artist/Nachtmusik")
    assert [track["id"] for track in deep["data"]["response"]["sunoData"]] == ["夜の窓"]
    loose = await caller.get("/api/v1/generate/record-info", taskId=".")
    assert [track["id"] for track in loose["data"]["response"]["sunoData"]] == ["loose"]


async def test_the_key_is_needed_where_one_is_set(serve: Serve) -> None:
    """Without the key, or with another, every call is code 401 under HTTP 200."""
    caller = await serve(key="right-key")
    paths = ["/api/v1/mp4/record-info", "/api/v1/generate/record-info", CREDITS]

    assert (await caller.get(CREDITS))["code"] == 200
    for wrong in (None, "Bearer wrong", "Bearer", "Basic right-key", "right-key"):
        caller.headers = {} if wrong is None else {"Authorization": wrong}
        assert [(await caller.get(path, taskId="x"))["code"] for path in paths] == [401] * 3
        assert (await caller.generate("album", "one"))["code"] == 401


async def test_without_a_key_any_or_no_bearer_is_accepted(serve: Serve) -> None:
    """A newcomer needs no key, and one who sends some is the same caller."""
    caller = await serve()

    created = await caller.generate("album", "one")
    caller.headers = {"Authorization": "Bearer anything"}

    assert (await caller.details(created["data"]["taskId"])) is not None
    assert (await caller.generate("album", "one"))["code"] == 409


async def test_accounts_do_not_see_each_other(serve: Serve) -> None:
    """A task belongs to the account that made it; to others it does not exist."""
    caller = await serve(account_keys={"anna": "key-a", "ben": "key-b"})

    caller.headers = {"Authorization": "Bearer key-a"}
    annas = (await caller.generate("album", "one"))["data"]["taskId"]
    caller.headers = {"Authorization": "Bearer key-b"}
    bens = await caller.generate("album", "one")

    assert await caller.details(annas) is None
    assert bens["code"] == 200
    assert bens["data"]["taskId"] != annas


async def test_the_twenty_first_submit_in_a_window_is_refused(serve: Serve) -> None:
    """20 submits in 10 s and key: the next is code 430 and says when to come again."""
    caller = await serve()
    expected = [404] * 20 + [430]

    answers = await asyncio.gather(*(caller.generate("album", f"no-{i}") for i in range(21)))

    assert sorted(answer["code"] for answer in answers) == expected
    refused = next(answer for answer in answers if answer["code"] == 430)
    assert refused["msg"].startswith("Your call frequency is too high")
    looks = [await caller.details("nobody") for _ in range(30)]
    assert looks == [None] * 30


async def test_the_window_is_each_accounts_own(serve: Serve) -> None:
    """One account's submits leave another's window alone."""
    caller = await serve(account_keys={"a": "ka", "b": "kb"}, rate_limit=RateLimit(1, per=60))
    codes = []
    for key in ("ka", "ka", "kb"):
        caller.headers = {"Authorization": f"Bearer {key}"}
        codes.append((await caller.generate("album", "no"))["code"])

    assert codes == [404, 430, 404]


async def test_a_full_queue_is_refused_in_words(serve: Serve) -> None:
    """Where too many tasks wait, a submit is told so and queued nowhere."""
    caller = await serve(queue_limit=1)

    codes = [
        (await caller.generate(*track))["code"]
        for track in (("album", "one"), ("album", "two"), (".", "loose"))
    ]

    assert codes == [200, 200, 430]
    assert (await caller.get(CREDITS))["data"] == 0


async def test_a_full_disk_and_maintenance_are_code_455(serve: Serve, tmp_path: Path) -> None:
    """Neither takes new tasks; maintenance answers nothing else either."""
    full = await serve(min_free_bytes=1 << 60)
    closed = await serve(maintenance=True, data=tmp_path / "other")

    said = await full.generate("album", "one")

    assert said["code"] == 455
    assert "disk is full" in said["msg"]
    assert (await full.get(CREDITS))["code"] == 200
    assert (await closed.generate("album", "one"))["code"] == 455
    assert (await closed.details("x")) is None
    assert (await closed.get(CREDITS)) == {"code": 455, "msg": "System maintenance", "data": None}


async def test_wrong_paths_and_methods_are_the_apis_404(serve: Serve) -> None:
    """Code 404 as the page says, under the HTTP status that web servers use."""
    caller = await serve()
    expected = {"code": 404, "msg": "Invalid request method or path", "data": None}

    status, _, body = await caller.get_response("/api/v1/nothing")
    assert (status, body) == (404, expected)
    status, headers, body = await caller.get_response("/api/v1/mp4/generate")
    assert (status, body) == (405, expected)
    assert headers["Allow"] == "POST"


async def test_a_name_that_is_not_ours_is_not_answered(serve: Serve) -> None:
    """A browser led here by a stranger's name gets nothing; our own names and addresses do."""
    caller = await serve(allowed_hosts=("music.example.com",))
    port = caller.url.rpartition(":")[2]
    seen = {}
    for host in ("evil.example", "music.example.com", f"localhost:{port}", "[::1]:1", "10.1.2.3"):
        caller.headers = {"Host": host}
        seen[host] = (await caller.get_response(CREDITS))[0]

    assert seen.pop("evil.example") == 403
    assert set(seen.values()) == {200}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_sites_page_cannot_submit(serve: Serve, headers: dict[str, str]) -> None:
    """A form on the internet that a browser posts here is refused, also where no key is needed."""
    caller = await serve()
    body = json.dumps({"taskId": "album", "audioId": "one", "callBackUrl": CALLBACK})
    plain = {"Content-Type": "text/plain", **headers}

    url = caller.url + "/api/v1/mp4/generate"
    async with caller.session.post(url, data=body, headers=plain) as answer:
        told = await answer.json()

    assert (answer.status, told["code"]) == (403, 403)
    assert (await caller.get(CREDITS))["data"] == 10_000


async def test_the_video_url_is_below_the_callers_own_address(serve: Serve) -> None:
    """The URL has the host that the caller used, or the public one where that is known."""
    caller = await serve()
    task_id = (await caller.generate("album", "one"))["data"]["taskId"]
    await caller.wait_until_finished(task_id)

    caller.headers = {"Host": "localhost:99"}

    data = await caller.details(task_id)
    assert data["response"]["videoUrl"].startswith("http://localhost:99/files/")


def refused(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        ServerConfig(**{"music": ".", **settings})
    return str(caught.value)


def test_settings_that_cannot_work_are_told_in_a_sentence() -> None:
    """What is wrong with the settings is said when they are made."""
    assert "Set a key" in refused(host="0.0.0.0")  # noqa: S104
    assert "Set a key" in refused(host="192.168.1.5")
    assert "Invalid key. Use printable ASCII" in refused(key="ключ")
    assert "same key" in refused(key="k", account_keys={"a": "k"})
    assert "Invalid workers: 0. Use" in refused(workers=0)
    assert "Invalid port: 70000. Use" in refused(port=70_000)
    assert "Invalid public_url" in refused(public_url="ftp://x")


def test_the_key_is_not_in_the_settings_text() -> None:
    """A configuration that lands in a log does not carry its secrets there."""
    config = ServerConfig(
        music=".", key="s3cret", account_keys={"a": "s3cret2"}, callback_secret="s3cret3"
    )

    assert "s3cret" not in repr(config)


async def start(**settings: Any) -> None:
    async with Server(ServerConfig(**settings)):
        raise AssertionError("the server should not have started")


async def test_what_keeps_a_server_from_starting_is_told(tmp_path: Path, music: Path) -> None:
    """No music folder, a port or a data folder in use, a data folder that cannot be made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="in use by another program"):
            await start(music=music, data=tmp_path / "d", port=port)
    with pytest.raises(ConfigurationError, match="does not exist"):
        await start(music=tmp_path / "no", data=tmp_path / "d", port=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await start(music=music, data=tmp_path / "file" / "d", port=0)
    async with Server(ServerConfig(music=music, data=tmp_path / "d", port=0)):
        with pytest.raises(ConfigurationError, match="Another server uses"):
            await start(music=music, data=tmp_path / "d", port=0)

"""The API's operations over real sockets, as the vendor's pages describe them."""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

import av
import pytest

import mp4gen
from mp4gen.errors import ConfigurationError
from mp4gen.options import RateLimit
from mp4gen.server import Server, ServerConfig
from tests.support_proxy import ConnectionFault, FaultProxy

from .conftest import CALLBACK, Serve, full_disk, write_song


async def test_track_becomes_a_video_with_documented_responses(serve: Serve) -> None:
    """A submit, a pending poll with Retry-After, then success with the URL of a playable file."""
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
        "trouble",
        "warnings",
    }

    # The only worker is busy, so the task is queued during its first poll.
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


async def test_second_submit_returns_409_with_the_first_id(serve: Serve) -> None:
    """A submit that would make the same video is rejected with the first one's id."""
    caller = await serve()

    first = await caller.generate("album", "one", author="An author")
    second = await caller.generate("album", "one", author="An author")

    assert second == {"code": 409, "msg": "Mp4 record already exists", "data": first["data"]}


async def test_every_response_says_that_duplicates_are_rejected(serve: Serve) -> None:
    """A client learns it from any of them, also from a refusal."""
    caller = await serve(key="secret")

    _, accepted, _ = await caller.get_response("/api/v1/generate/credit")
    caller.headers = {}
    _, refused, body = await caller.get_response("/api/v1/generate/credit")

    assert body["code"] == 401
    assert accepted["Mp4gen-Duplicates"] == refused["Mp4gen-Duplicates"] == "rejected"


async def test_submit_whose_response_was_lost_is_adopted_by_our_client(serve: Serve) -> None:
    """The client does not know the host, asks it, and sends the submit again: one task."""
    caller = await serve()
    async with FaultProxy(caller.url) as proxy, mp4gen.Client(base_url=proxy.url) as client:
        proxy.script(ConnectionFault(downstream_bytes=0))
        video = await client.convert(mp4gen.VideoRequest("album", "one"))
        submits = proxy.connections

    assert video.adopted
    assert submits >= 3


async def test_failed_track_can_be_submitted_again(serve: Serve, music: Path) -> None:
    """An unreadable file fails with a sentence, and its track can be submitted again."""
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


async def test_video_follows_its_options(serve: Serve, tmp_path: Path) -> None:
    """The optional fields of the body reach the render."""
    caller = await serve()

    data = await caller.create_and_wait(
        "album", "one", aspectRatio="4:5", title="Another", start=0.25, length="0:00.5", look="bars"
    )
    video = tmp_path / "v.mp4"
    async with caller.session.get(data["response"]["videoUrl"]) as response:
        video.write_bytes(await response.read())

    with av.open(str(video)) as file:
        stream = file.streams.video[0]
        assert (stream.width, stream.height) == (144, 180)
        assert float(stream.duration * stream.time_base) == pytest.approx(0.5, abs=0.05)
        assert file.metadata["title"] == "Another"


async def test_start_after_the_end_of_the_song_fails_the_task(serve: Serve) -> None:
    """Only the render knows the length of the song, and the sentence says it."""
    caller = await serve()

    data = await caller.create_and_wait("album", "one", start=60)

    assert (data["successFlag"], data["errorCode"]) == ("GENERATE_MP4_FAILED", 400)
    assert "Invalid start: 1:00, but the audio of one.wav ends at" in data["errorMessage"]


async def test_client_sends_options_as_extra_fields(serve: Serve) -> None:
    """The SDK needs no names of its own for them."""
    caller = await serve()
    requests = [
        mp4gen.VideoRequest("album", "one", extra={"title": "Another"}),
        mp4gen.VideoRequest("album", "one", extra={"look": "disco"}),
    ]

    async with mp4gen.Client("any", base_url=caller.url) as client:
        task_id = await client.create_music_video(requests[0])
        with pytest.raises(mp4gen.InvalidRequestError, match=r"Unknown look: 'disco'\. Use one"):
            await client.create_music_video(requests[1])

    assert (await caller.details(task_id)) is not None


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
        (
            {"taskId": "album", "audioId": "one", "callBackUrl": CALLBACK, "look": "disco"},
            400,
            "Unknown look: 'disco'. Use one of: bars, ring",
        ),
        ([], 400, "JSON object"),
        ("text", 400, "JSON object"),
        ({"taskId": "no", "audioId": "one", "callBackUrl": CALLBACK}, 422, "does not exist"),
        ({"taskId": "album", "audioId": "no", "callBackUrl": CALLBACK}, 422, "does not exist"),
        ({"taskId": "..", "audioId": "one", "callBackUrl": CALLBACK}, 422, "does not exist"),
        (
            {"taskId": "a", "audioId": "o" * 270_000, "callBackUrl": CALLBACK},
            413,
            "than 262144",
        ),
    ],
)
async def test_invalid_submit_names_the_problem(
    serve: Serve, body: Any, code: int, part: str
) -> None:
    """Each error has its documented code and one sentence; nothing is queued."""
    caller = await serve()

    answer = await caller.post(body)

    assert answer["code"] == code
    assert part in answer["msg"]
    assert answer["data"] is None
    assert caller.server.config.queue_limit == (await caller.get(CREDITS))["data"]


CREDITS = "/api/v1/generate/credit"


async def test_unknown_task_has_no_data(serve: Serve) -> None:
    """An unknown task is answered with `data: null`; a missing id is a bad request."""
    caller = await serve()
    expected = {"code": 200, "msg": "success", "data": None}

    assert await caller.get("/api/v1/mp4/record-info", taskId="unknown") == expected
    assert await caller.get("/api/v1/generate/record-info", taskId="unknown") == expected
    assert (await caller.get("/api/v1/mp4/record-info"))["code"] == 400
    assert (await caller.get("/api/v1/generate/record-info"))["code"] == 400


async def test_folder_is_a_music_task(serve: Serve) -> None:
    """The music details list a folder's tracks by the ids that a submit accepts."""
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


async def test_wrong_key_is_code_401(serve: Serve) -> None:
    """Without the key, or with another, every operation is code 401 under HTTP 200."""
    caller = await serve(key="right-key")
    paths = ["/api/v1/mp4/record-info", "/api/v1/generate/record-info", CREDITS]

    assert (await caller.get(CREDITS))["code"] == 200
    for wrong in (None, "Bearer wrong", "Bearer", "Basic right-key", "right-key"):
        caller.headers = {} if wrong is None else {"Authorization": wrong}
        assert [(await caller.get(path, taskId="x"))["code"] for path in paths] == [401] * 3
        assert (await caller.generate("album", "one"))["code"] == 401


@pytest.mark.slow
async def test_server_without_key_accepts_any_bearer(serve: Serve) -> None:
    """Clients with any key and without one share one account."""
    caller = await serve()

    created = await caller.generate("album", "one")
    caller.headers = {"Authorization": "Bearer anything"}

    assert (await caller.details(created["data"]["taskId"])) is not None
    assert (await caller.generate("album", "one"))["code"] == 409


async def test_accounts_do_not_see_each_other(serve: Serve) -> None:
    """A task exists only for the account that submitted it."""
    caller = await serve(account_keys={"anna": "key-a", "ben": "key-b"})

    caller.headers = {"Authorization": "Bearer key-a"}
    annas = (await caller.generate("album", "one"))["data"]["taskId"]
    caller.headers = {"Authorization": "Bearer key-b"}
    bens = await caller.generate("album", "one")

    assert await caller.details(annas) is None
    assert bens["code"] == 200
    assert bens["data"]["taskId"] != annas


async def test_submit_beyond_the_rate_limit_is_code_430(serve: Serve) -> None:
    """After 20 submits in 10 s the next is code 430; polls are not limited."""
    caller = await serve()
    expected = [422] * 20 + [430]

    answers = await asyncio.gather(*(caller.generate("album", f"no-{i}") for i in range(21)))

    assert sorted(answer["code"] for answer in answers) == expected
    refused = next(answer for answer in answers if answer["code"] == 430)
    assert refused["msg"].startswith("Your call frequency is too high")
    polls = [await caller.details("unknown") for _ in range(30)]
    assert polls == [None] * 30


async def test_rate_limit_applies_to_each_account(serve: Serve) -> None:
    """The submits of one account do not count for another."""
    caller = await serve(account_keys={"a": "ka", "b": "kb"}, rate_limit=RateLimit(1, per=60))
    codes = []
    for key in ("ka", "ka", "kb"):
        caller.headers = {"Authorization": f"Bearer {key}"}
        codes.append((await caller.generate("album", "no"))["code"])

    assert codes == [422, 430, 422]


async def test_full_queue_is_code_430(serve: Serve) -> None:
    """If too many tasks are queued, a submit is rejected."""
    caller = await serve(queue_limit=1)

    codes = [
        (await caller.generate(*track))["code"]
        for track in (("album", "one"), ("album", "two"), (".", "loose"))
    ]

    assert codes == [200, 200, 430]
    assert (await caller.get(CREDITS))["data"] == 0


async def test_full_disk_and_maintenance_are_code_455(serve: Serve, tmp_path: Path) -> None:
    """Both reject submits; maintenance rejects all other operations too."""
    full = await serve(**full_disk(tmp_path))
    maintained = await serve(maintenance=True, data=tmp_path / "other")

    response = await full.generate("album", "one")

    assert response["code"] == 455
    assert response["msg"].startswith("The disk of the data folder has ")
    assert (await full.get(CREDITS))["code"] == 200
    assert (await maintained.generate("album", "one"))["code"] == 455
    assert (await maintained.details("x")) is None
    assert (await maintained.get(CREDITS)) == {
        "code": 455,
        "msg": "System maintenance",
        "data": None,
    }


async def test_data_folder_that_is_away_is_code_455(serve: Serve, tmp_path: Path) -> None:
    """The response does not say that a disk is full, which no user could find out."""
    caller = await serve()
    os.rename(tmp_path / "data", tmp_path / "unplugged")  # noqa: PTH104 - a rename takes no time

    response = await caller.generate("album", "one")
    os.rename(tmp_path / "unplugged", tmp_path / "data")  # noqa: PTH104 - as above

    assert response["code"] == 455
    assert response["msg"] == "The data folder cannot be used: No such file or directory."
    assert (await caller.generate("album", "one"))["code"] == 200


async def test_unknown_path_or_method_is_code_404(serve: Serve) -> None:
    """Code 404 as documented, under HTTP 404 or 405."""
    caller = await serve()
    expected = {"code": 404, "msg": "Invalid request method or path", "data": None}

    status, _, body = await caller.get_response("/api/v1/nothing")
    assert (status, body) == (404, expected)
    status, headers, body = await caller.get_response("/api/v1/mp4/generate")
    assert (status, body) == (405, expected)
    assert headers["Allow"] == "POST"


async def test_unknown_host_name_is_rejected(serve: Serve) -> None:
    """DNS rebinding: only allowed names and plain addresses are answered."""
    caller = await serve(allowed_hosts=("music.example.com",))
    port = caller.url.rpartition(":")[2]
    statuses = {}
    for host in ("evil.example", "music.example.com", f"localhost:{port}", "[::1]:1", "10.1.2.3"):
        caller.headers = {"Host": host}
        statuses[host] = (await caller.get_response(CREDITS))[0]

    assert statuses.pop("evil.example") == 403
    assert set(statuses.values()) == {200}


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
async def test_cross_site_submit_is_rejected(serve: Serve, headers: dict[str, str]) -> None:
    """A form of another site that a browser posts here is rejected, also without a key."""
    caller = await serve()
    request = json.dumps({"taskId": "album", "audioId": "one", "callBackUrl": CALLBACK})
    plain = {"Content-Type": "text/plain", **headers}

    url = caller.url + "/api/v1/mp4/generate"
    async with caller.session.post(url, data=request, headers=plain) as response:
        body = await response.json()

    assert (response.status, body["code"]) == (403, 403)
    assert (await caller.get(CREDITS))["data"] == 10_000


@pytest.mark.slow
async def test_video_url_has_the_clients_host(serve: Serve) -> None:
    """The URL has the host of the client's request."""
    caller = await serve()
    task_id = (await caller.generate("album", "one"))["data"]["taskId"]
    await caller.wait_until_finished(task_id)

    caller.headers = {"Host": "localhost:99"}

    data = await caller.details(task_id)
    assert data["response"]["videoUrl"].startswith("http://localhost:99/files/")


def config_error(**settings: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        ServerConfig(**{"music": ".", **settings})
    return str(caught.value)


def test_invalid_settings_raise_configuration_error() -> None:
    """The error names the setting, when the configuration is created."""
    assert "Set a key" in config_error(host="0.0.0.0")  # noqa: S104
    assert "Set a key" in config_error(host="192.168.1.5")
    assert "Invalid key. Use printable ASCII" in config_error(key="ключ")
    assert "same key" in config_error(key="k", account_keys={"a": "k"})
    assert "Invalid workers: 0. Use" in config_error(workers=0)
    assert "Invalid port: 70000. Use" in config_error(port=70_000)
    assert "Invalid public_url" in config_error(public_url="ftp://x")


def test_config_repr_hides_secrets() -> None:
    """A configuration in a log shows no secrets."""
    config = ServerConfig(
        music=".", key="s3cret", account_keys={"a": "s3cret2"}, callback_secret="s3cret3"
    )

    assert "s3cret" not in repr(config)


async def start(**settings: Any) -> None:
    async with Server(ServerConfig(**settings)):
        raise AssertionError("the server should not have started")


async def test_server_start_fails_with_configuration_error(tmp_path: Path, music: Path) -> None:
    """No music folder, a port or a data folder in use, a data folder that cannot be created."""
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
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


async def test_every_field_of_a_response_is_documented(serve: Serve) -> None:
    """The OpenAPI document names what the server sends, down to each track."""
    caller = await serve()
    paths = (await caller.get("/openapi.json"))["paths"]
    done = await caller.create_and_wait("album", "one")

    for path, task_id in (
        ("/api/v1/generate/record-info", "album"),
        ("/api/v1/mp4/record-info", done["taskId"]),
    ):
        content = paths[path]["get"]["responses"]["200"]["content"]
        schema = content["application/json"]["schema"]
        assert undocumented(await caller.get(path, taskId=task_id), schema) == []


def undocumented(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return the names of the fields that the schema does not have."""
    schema = next((one for one in schema.get("anyOf", [schema]) if one != {"type": "null"}), schema)
    if isinstance(value, list):
        return [name for one in value for name in undocumented(one, schema["items"])]
    if not isinstance(value, dict):
        return []
    known = schema["properties"]
    return [name for name in value if name not in known] + [
        name
        for field in value
        if field in known
        for name in undocumented(value[field], known[field])
    ]

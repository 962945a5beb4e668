"""The page's sessions: the key, the cookie and the CSRF token."""

import time
from typing import Any

import pytest

from .conftest import Serve

ONE = {"task": "album", "audio": "one"}


async def test_page_requires_the_key_of_an_account(serve: Serve, visit: Any) -> None:
    """Without a key nothing is shown; with it, only the videos of its account."""
    caller = await serve(account_keys={"anna": "key-a", "ben": "key-b"})
    anna, ben = visit(caller), visit(caller)
    await anna.ask("GET", "/")
    paths = ("state", "events", "cover", "music", "preview")

    without_key = [(await anna.ask("GET", f"/page/{path}"))[0] for path in paths]
    wrong = await anna.ask("POST", "/page/login", json={"key": "key-c"})
    right = await anna.ask("POST", "/page/login", json={"key": "key-a"})
    await ben.ask("POST", "/page/login", json={"key": "key-b"})
    await anna.state()
    await ben.state()
    created = await anna.create(**ONE)

    assert without_key == [401] * 5
    assert (wrong[0], right[0]) == (401, 200)
    assert [video["id"] for video in (await anna.state())["videos"]] == [created]
    assert (await ben.state())["videos"] == []
    assert (await ben.ask("DELETE", f"/page/videos/{created}"))[0] == 404


async def test_changes_need_the_csrf_token_of_the_page(serve: Serve, visit: Any) -> None:
    """A change needs the session's token, and no other origin."""
    visitor = visit(await serve())
    await visitor.open()

    responses = [
        await visitor.ask("POST", "/page/videos", json=ONE, headers={"X-Mp4gen-Token": token})
        for token in ("", "x", "é")
    ]
    other_origin = {"Origin": "http://evil.example"}
    responses.append(await visitor.ask("POST", "/page/videos", json=ONE, headers=other_origin))
    responses.append(await visitor.ask("DELETE", "/page/videos/x", headers={"X-Mp4gen-Token": ""}))
    own_origin = {"Origin": visitor.url}

    assert [status for status, _, _ in responses] == [403] * 5
    assert (await visitor.ask("POST", "/page/videos", json=ONE, headers=own_origin))[0] == 200


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
async def test_session_cookie_is_secure_over_https(
    serve: Serve, visit: Any, scheme: str, secure: bool
) -> None:
    """Behind an https proxy the cookie is never sent over http."""
    visitor = visit(await serve(key="key-a"))
    origin = {"Origin": visitor.url.replace("http", scheme)}

    login = await visitor.ask("POST", "/page/login", json={"key": "key-a"}, headers=origin)

    assert login[0] == 200
    assert ("Secure" in login[1]["Set-Cookie"]) is secure


@pytest.mark.parametrize(
    "value",
    ["", "x", "61.9.x", "616e6e61.99999999999.00", "é", "a=.1.1", "..", "ff.99999999999.00"],
)
async def test_forged_cookie_is_rejected(serve: Serve, value: str) -> None:
    """Only a cookie with the server's signature is a session."""
    caller = await serve(account_keys={"anna": "key-a"})
    name = f"mp4gen_session_{caller.url.rpartition(':')[2]}"
    caller.headers = {"Cookie": f"{name}={value}"}

    assert (await caller.get_response("/page/state"))[0] == 401


async def test_session_expires_after_30_days(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server rejects an old cookie, whatever the browser does with it."""
    caller = await serve(key="key-a")
    login = await visit(caller).ask("POST", "/page/login", json={"key": "key-a"})
    caller.headers = {"Cookie": login[1]["Set-Cookie"].partition(";")[0]}
    start = time.time()

    statuses = []
    for days in (0.0, 29.9, 30.1):
        monkeypatch.setattr(time, "time", lambda now=start + days * 86400: now)
        statuses.append((await caller.get_response("/page/state"))[0])

    assert statuses == [200, 200, 401]
    assert "Max-Age=2592000" in login[1]["Set-Cookie"]


async def test_session_ends_when_the_key_changes(serve: Serve, visit: Any) -> None:
    """A restart keeps the session; a new key of the account invalidates it."""
    caller = await serve(key="key-a")
    login = await visit(caller).ask("POST", "/page/login", json={"key": "key-a"})
    name, _, cookie = login[1]["Set-Cookie"].partition(";")[0].partition("=")
    port = int(name.rpartition("_")[2])
    statuses = []
    for key in ("key-a", "key-b"):
        await caller.server.__aexit__(None, None, None)
        caller = await serve(key=key, port=port)
        caller.headers = {"Cookie": f"{name}={cookie}"}
        statuses.append((await caller.get_response("/page/state"))[0])

    assert statuses == [200, 401]

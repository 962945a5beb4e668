"""Wrong keys: counted for each address, logged, and never at the cost of the right key."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from mp4gen.errors import ApiError
from mp4gen.server.config import ServerConfig
from mp4gen.server.web.accounts import Accounts
from mp4gen.server.web.client_address import ClientAddresses
from mp4gen.server.web.key_guard import MAX_GUESSES, KeyGuard

from .conftest import Serve

STRONG, WEAK = "0123456789abcdef0123456789abcdef", "secret"


def request_from(peer: str, forwarded: str | None = None) -> Any:
    """Return a request of a client at this address."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    transport = SimpleNamespace(get_extra_info=lambda name: (peer, 1) if name == "peername" else {})
    return make_mocked_request("GET", "/", headers=headers, transport=transport)


def guard_of(**keys: str) -> KeyGuard:
    return KeyGuard(Accounts(keys), ClientAddresses(ServerConfig(music=".")))


def code_of(guard: KeyGuard, key: str, peer: str = "203.0.113.7") -> int:
    """Return the code that a client gets for this key."""
    try:
        guard.check(request_from(peer), key)
    except ApiError as error:
        return error.code
    return 200


@pytest.mark.looptime
async def test_guesses_are_refused_after_ten_wrong_keys_in_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The eleventh guess is not compared until a minute has passed; each compared one is logged."""
    guard = guard_of(anna=WEAK)

    with caplog.at_level(logging.WARNING, "mp4gen.server"):
        codes = [code_of(guard, f"guess{number}") for number in range(1550)]
    logged = len(caplog.records)
    await asyncio.sleep(61)

    assert codes == [401] * MAX_GUESSES + [430] * (1550 - MAX_GUESSES)
    assert code_of(guard, "guess") == 401
    assert logged == MAX_GUESSES + 1
    assert "203.0.113.7" in caplog.text
    assert "guess0" not in caplog.text


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("key", "used_before", "expected"),
    [(STRONG, False, 200), (STRONG, True, 200), (WEAK, True, 200), (WEAK, False, 430)],
    ids=["strong", "strong and known", "weak and known", "weak and unknown"],
)
async def test_right_key_works_beside_an_attacker(
    key: str, used_before: bool, expected: int
) -> None:
    """Of a shared address only a key is refused that may be guessed and was never used there."""
    guard = guard_of(anna=key)
    if used_before:
        assert code_of(guard, key) == 200

    for number in range(MAX_GUESSES + 5):
        code_of(guard, f"guess{number}")

    assert code_of(guard, key) == expected
    assert code_of(guard, key, peer="203.0.113.8") == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "public_url", "trusted", "expected"),
    [
        ("203.0.113.7", None, None, (), "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", None, (), "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "https://a.example", (), "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1", None, (), "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1", "https://a.example", (), "198.51.100.1"),
        ("127.0.0.1", "10.9.9.9, 198.51.100.1", "https://a.example", (), "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1, nonsense", "https://a.example", (), "127.0.0.1"),
        ("127.0.0.1", "", "https://a.example", (), "127.0.0.1"),
        ("172.17.0.1", "198.51.100.1", "https://a.example", (), "172.17.0.1"),
        ("172.17.0.1", "198.51.100.1", None, ("172.16.0.0/12",), "198.51.100.1"),
        (
            "172.17.0.1",
            "6.6.6.6, 198.51.100.1, 172.17.0.9",
            None,
            ("172.16.0.0/12",),
            "198.51.100.1",
        ),
        ("::1", "2001:db8:1:2:3::4", "https://a.example", (), "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", None, None, (), "203.0.113.7"),
        ("", None, None, (), "unknown"),
    ],
)
def test_address_of_a_client_is_what_trusted_proxies_report(
    peer: str,
    forwarded: str | None,
    public_url: str | None,
    trusted: tuple[str, ...],
    expected: str,
) -> None:
    """A client cannot choose its address: only what a trusted proxy appended is believed."""
    config = ServerConfig(music=".", public_url=public_url, trusted_proxies=trusted)

    assert ClientAddresses(config).of(request_from(peer, forwarded)) == expected


async def test_api_and_page_count_the_same_guesses(serve: Serve, visit: Any) -> None:
    """Wrong keys of the page count for the API, too; requests without a key count for neither."""
    caller = await serve(key=WEAK)
    visitor = visit(caller)

    for _ in range(20):
        assert (await caller.session.get(caller.url + "/page/state")).status == 401
    statuses = [
        (await visitor.ask("POST", "/page/login", json={"key": f"guess{number}"}))[0]
        for number in range(MAX_GUESSES + 1)
    ]
    caller.headers = {"Authorization": "Bearer guess"}
    status, headers, body = await caller.get_response("/api/v1/generate/credit")

    assert statuses == [401] * MAX_GUESSES + [429]
    assert (status, body["code"]) == (200, 430)
    assert "Too many wrong keys" in body["msg"]
    assert 0 < int(headers["Retry-After"]) <= 60


async def test_replaced_keys_count_from_then_on(serve: Serve, visit: Any) -> None:
    """A replaced key and its sessions end; the other accounts notice nothing."""
    caller = await serve(account_keys={"anna": "key-a", "ben": "key-b"})
    anna, ben = visit(caller), visit(caller)
    await anna.ask("POST", "/page/login", json={"key": "key-a"})
    await ben.ask("POST", "/page/login", json={"key": "key-b"})

    caller.server.replace_keys(None, {"anna": "key-new", "ben": "key-b"})

    codes = []
    for key in ("key-a", "key-new", "key-b"):
        caller.headers = {"Authorization": f"Bearer {key}"}
        codes.append((await caller.get("/api/v1/generate/credit"))["code"])
    assert codes == [401, 200, 200]
    assert (await anna.ask("GET", "/page/state"))[0] == 401
    assert (await ben.ask("GET", "/page/state"))[0] == 200


@pytest.mark.parametrize(
    ("key", "accounts"),
    [(None, {}), ("", {}), ("with space ", {}), ("same-key", {"ben": "same-key"})],
)
async def test_invalid_keys_replace_nothing(
    serve: Serve, key: str | None, accounts: dict[str, str]
) -> None:
    """If the new keys are invalid, the old ones still work; a server never becomes open."""
    caller = await serve(key="key-a")

    with pytest.raises(Exception, match=r"[Kk]ey"):
        caller.server.replace_keys(key, accounts)

    assert (await caller.get("/api/v1/generate/credit"))["code"] == 200


async def test_one_account_cannot_fill_the_queue(serve: Serve) -> None:
    """Each account has room for its own tasks, however many another one has queued."""
    caller = await serve(account_keys={"anna": "key-a", "ben": "key-b"}, queue_limit=4)
    tracks = [("album", "one"), ("album", "two"), (".", "loose"), ("Artist/Nachtmusik", "夜の窓")]
    codes = {}
    for key in ("key-a", "key-b"):
        caller.headers = {"Authorization": f"Bearer {key}"}
        extra = [{"author": f"Author {number}"} for number in range(3)]
        codes[key] = [
            (await caller.generate(*track, **more))["code"] for track in tracks for more in extra
        ]

    # One task renders, and three of four places are left to the first account.
    assert codes["key-a"].count(200) <= 5
    assert 430 in codes["key-a"]
    assert codes["key-b"][0] == 200

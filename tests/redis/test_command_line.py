"""`--rate-limit` and MP4GEN_RATE_LIMIT of the commands that talk to the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from mp4gen.cli import main
from mp4gen.cli.exit_codes import UsageError
from mp4gen.cli.rate_limit import account_name, parse_rate_limit, parse_shared_limit
from mp4gen.options import RateLimit
from mp4gen.redis import RedisRateLimiter
from mp4gen.testing import FakeService
from mp4gen.testing.service import FAKE_KEY
from tests.support_environment import remove_proxies
from tests.support_redis import RedisServer, mark_as_used
from tests.support_sentinels import PROXY_PASSWORD

Command = Callable[..., Any]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, mp4gen_service: FakeService) -> None:
    remove_proxies(monkeypatch)
    monkeypatch.delenv("MP4GEN_RATE_LIMIT", raising=False)
    monkeypatch.setenv("MP4GEN_BASE_URL", mp4gen_service.url)
    monkeypatch.setenv("MP4GEN_API_KEY", FAKE_KEY)
    monkeypatch.setenv("COLUMNS", "400")


@pytest.mark.parametrize("how", ["option", "variable"])
def test_commands_share_the_limit_of_redis(
    how: str,
    shared_redis: RedisServer,
    mp4gen_service: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each command of the account uses one limit, and Redis never gets the key."""
    url = f"{shared_redis.url}?limit=5/60"
    name = account_name(mp4gen_service.url, FAKE_KEY)
    mark_as_used(shared_redis.url, name)
    option = ["--rate-limit", url] if how == "option" else []
    if how == "variable":
        monkeypatch.setenv("MP4GEN_RATE_LIMIT", url)

    codes = [main(["credits", *option]), main(["create", "m", "a", *option])]

    with redis.Redis.from_url(shared_redis.url) as client:
        used = client.zcard(f"mp4gen:{{{name}}}:slots")
        everything = [(key, client.dump(key)) for key in client.scan_iter()]
    assert codes == [0, 0]
    assert used == 1 + 2
    assert capsys.readouterr().err == ""
    assert not [key for key, value in everything if FAKE_KEY.encode() in key + (value or b"")]


def test_named_limit_is_that_of_other_programs(shared_redis: RedisServer) -> None:
    """`name` in the URL is the one of a `RedisRateLimiter`."""
    shared = parse_shared_limit(f"{shared_redis.url}?name=music&limit=3/60&protocol=2")

    limiter = shared.limiter("https://api.example", "key")

    assert isinstance(limiter, RedisRateLimiter)
    assert (limiter.name, limiter.limit) == ("music", RateLimit(3, per=60))


def test_numbers_limit_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The option wins over the variable."""
    monkeypatch.setenv("MP4GEN_RATE_LIMIT", "5/2")

    found = [parse_shared_limit(text).limiter("https://a.com", "k") for text in (None, "7/3")]

    assert found == [RateLimit(5, per=2), RateLimit(7, per=3)]


def test_accounts_have_names_of_their_own() -> None:
    """A name follows from the host and the key, and does not contain the key."""
    names = {
        account_name(url, key)
        for url in ("https://a.com", "https://b.com/")
        for key in ("key-of-one", "key-of-another")
    }

    assert len(names) == 4
    assert not any("key-of" in name for name in names)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("many", "Invalid rate limit: 'many'. Use requests/seconds, for instance 20/10."),
        ("redis://localhost?limit=x", "Invalid rate limit: 'x'. Use requests/seconds"),
        ("redis://[localhost", "Invalid rate limit: not a URL. Use requests/seconds"),
    ],
)
def test_invalid_rate_limit_is_refused(value: str, text: str) -> None:
    """The text says what to use."""
    with pytest.raises(UsageError) as caught:
        parse_shared_limit(value)

    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://:{}@localhost", "scheme is not one of"),
        ("redis:/:{}@localhost/0", "path is not the number of a database"),
        ("me:{}@localhost:6379", "scheme is not one of"),
    ],
)
def test_invalid_url_shows_no_password(
    mp4gen_service: FakeService, capsys: pytest.CaptureFixture[str], url: str, problem: str
) -> None:
    """Bad input ends the command before any call."""
    code = main(["credits", "--rate-limit", url.format(PROXY_PASSWORD)])

    shown = capsys.readouterr()
    assert code == 2
    assert shown.err.startswith(f"mp4gen: Invalid Redis URL: its {problem}")
    assert PROXY_PASSWORD not in shown.err + shown.out
    assert mp4gen_service.count() == 0


@pytest.mark.parametrize("url", ["redis://:s3cret@localhost", "redis:/:s3cret@h", "me:s3cret@h"])
def test_rate_limit_of_the_server_is_not_a_url(url: str) -> None:
    """Only the callers of an API share their limit; the error shows no password."""
    with pytest.raises(UsageError, match=r"^Invalid rate limit: a URL\. Use requests/seconds"):
        parse_rate_limit(url)


def test_unknown_host_of_redis_is_reported_at_once(
    mp4gen_service: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong name is more likely than an outage."""

    async def require_known_name(url: str, **_: object) -> None:
        if url.startswith("redis://"):
            raise UsageError(f"Unknown host name: {url}. Check the URL and the network.")

    monkeypatch.setattr("mp4gen.cli.options.require_known_name", require_known_name)

    code = main(["credits", "--rate-limit", "redis://redis.invalid:6379/0"])

    assert code == 2
    assert "Unknown host name: redis://redis.invalid" in capsys.readouterr().err
    assert mp4gen_service.count() == 0


@pytest.mark.slow
def test_command_says_that_redis_is_away(
    redis_server: RedisServer, short_lease: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes on with its share of the limit."""
    redis_server.kill()

    code = main(["credits", "--rate-limit", f"{redis_server.url}?limit=20/0.2"])

    [line] = capsys.readouterr().err.splitlines()
    assert code == 0
    assert line.startswith(f"No rate limit from Redis at {redis_server.url}: ")
    assert line.endswith("until Redis is back.")

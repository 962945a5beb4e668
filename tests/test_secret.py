"""A secret shows itself to `reveal` only."""

import asyncio
import copy
import json
import logging
import pickle
from typing import Any

import pytest

from mp4gen import CallbackReceiver, VideoRequest
from mp4gen.bulk.ledger_entry import LedgerEntry, LedgerState
from mp4gen.conversion.submission_cache import Submission
from mp4gen.options import invalid_setting
from mp4gen.secret import HiddenHeader, Secret
from mp4gen.testing import CallbackBehavior

VALUE = "sentinel-value-7f3a"


async def submission() -> Submission:
    """Return a submission with a subscription to its callbacks."""
    receiver = CallbackReceiver("https://bot.example")
    return Submission("v", subscription=receiver._subscribe(VALUE))


@pytest.mark.parametrize("scheme", ["https://", "s3://", "redis:", ""])
@pytest.mark.parametrize("password", [VALUE, f"a@/{VALUE}", f"a\n{VALUE}", VALUE * 9])
def test_invalid_setting_shows_no_password(scheme: str, password: str) -> None:
    """A URL that cannot be read may still contain a password."""
    error = invalid_setting("base_url", f"{scheme}user:{password}@host:port/", "a URL")

    assert VALUE not in str(error)
    assert "...@host:port/" in str(error)


@pytest.mark.parametrize("name", ["password=", "Password=", "password:", "password"])
def test_invalid_setting_shows_no_password_of_a_query(name: str) -> None:
    """The URL of a Redis may name it as an option."""
    error = invalid_setting("url_or_client", f"redis:/host?{name}{VALUE}&db=1", "a URL")

    assert VALUE not in str(error)
    assert f"'redis:/host?{name.rstrip(':')}...'" in str(error)


@pytest.mark.parametrize(
    "value",
    [
        CallbackBehavior(secret=VALUE),
        LedgerEntry(1, VideoRequest("m", "a"), LedgerState.INTENT, (VALUE,)),
        asyncio.run(submission()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_do_not_show_their_secrets(value: object) -> None:
    """The token of a callback URL lets a caller speak for the API; a key signs callbacks."""
    assert VALUE not in repr(value)


@pytest.mark.parametrize("show", [str, repr, "{}".format, "%s".__mod__])
def test_secret_shows_as_stars(show: Any) -> None:
    """Failure mode 34: as text, as `repr` and in formats."""
    assert show(Secret(VALUE)) == "'***'"


@pytest.mark.parametrize("dump", [json.dumps, pickle.dumps, copy.copy, copy.deepcopy])
def test_secret_cannot_be_written_or_copied(dump: Any) -> None:
    """Failure mode 34: a key in a configuration that is dumped as JSON is an error, not a leak."""
    with pytest.raises(TypeError):
        dump(Secret(VALUE))


def test_secret_is_not_a_string() -> None:
    """It has no attribute that a serializer would walk into."""
    secret = Secret(f" {VALUE}\n")

    assert not isinstance(secret, str)
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == VALUE


def test_secret_compares_by_value() -> None:
    """Two clients of one key are recognized; a text is no secret."""
    assert Secret(VALUE) == Secret(Secret(VALUE))
    assert {Secret(VALUE), Secret(VALUE), Secret("other")} == {Secret(VALUE), Secret("other")}
    assert Secret(VALUE) != VALUE
    assert (bool(Secret(" ")), bool(Secret(VALUE))) == (False, True)


@pytest.mark.parametrize("value", [b"bytes-key", 7, None, ["k"]])
def test_secret_of_another_type_is_not_revealed(value: object) -> None:
    """An error names the type only."""
    secret = Secret(value)

    assert (secret.is_text, secret.type_name) == (False, type(value).__name__)
    with pytest.raises(TypeError, match=f"Not a string: {secret.type_name}"):
        secret.reveal()


def test_redact_replaces_the_secret() -> None:
    """In text and in bytes; a short one would occur by chance."""
    assert Secret(VALUE).redact(f"a {VALUE} b") == "a *** b"
    assert Secret(VALUE).redact(f"a {VALUE}".encode()) == b"a ***"
    assert Secret("cat").redact("category") == "category"


def test_hidden_header_is_sent_but_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    """Failure mode 34: aiohttp needs a string, and its frames hold the headers."""
    logging.getLogger("mp4gen").warning("%s", {"Authorization": HiddenHeader(VALUE)})

    assert HiddenHeader(VALUE) == VALUE
    assert VALUE not in caplog.text

"""What each argument of the client accepts, as one table; checked before anything is sent.

`checked` returns the value to use: obvious values of other types are converted.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from pathlib import Path
from ssl import SSLContext
from typing import Any, NoReturn

import attrs

from mp4gen.api.dialects import Dialect
from mp4gen.errors import ConfigurationError, ValidationError
from mp4gen.models import Track, Video, VideoRequest, id_text, to_video_request
from mp4gen.options import Polling, RateLimit, Retry, invalid_setting, is_number, short_repr
from mp4gen.transport.rate_limit import RateLimiter, SlidingWindowLimiter

_MAX_ID_LENGTH = 1000
_LEDGER_HINT = "the path of a file, or None to keep no record"
_DIALECTS = {"suno": Dialect.SUNO, "kie": Dialect.KIE}


@attrs.frozen(eq=False, repr=False)
class _Rule:
    """What one argument accepts.

    Attributes:
        convert: Returns the value to use; raises an error for invalid ones.
        hint: What to use instead of an invalid value.
        is_setting: Whether it is a setting; False for a value that a call is about.
    """

    convert: Callable[[Any], Any]
    hint: str
    is_setting: bool = True

    def refuse(self, name: str, value: object) -> NoReturn:
        """Raise the error for an invalid value."""
        if self.is_setting:
            raise invalid_setting(name, value, self.hint) from None
        raise ValidationError({name: f"must be {self.hint}, not {short_repr(value)}"}) from None


def checked(name: str, value: Any) -> Any:
    """Return the value to use for an argument.

    Raises:
        ConfigurationError: The value of a setting is invalid.
        ValidationError: The value of a request, a video or an id is invalid.
    """
    rule = _RULES[name]
    try:
        return rule.convert(value)
    except (ConfigurationError, ValidationError):
        raise
    except (TypeError, ValueError, RuntimeError):
        rule.refuse(name, value)


def _only(accepts: Callable[[Any], bool]) -> Callable[[Any], Any]:
    """Return a conversion that returns accepted values unchanged."""

    def convert(value: Any) -> Any:
        if not accepts(value):
            raise TypeError
        return value

    return convert


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _instance(kind: type) -> Callable[[Any], Any]:
    return _only(lambda value: isinstance(value, kind))


def _to_dialect(value: Any) -> Dialect:
    if isinstance(value, Dialect):
        return value
    if not isinstance(value, str) or value.strip().lower() not in _DIALECTS:
        raise TypeError
    return _DIALECTS[value.strip().lower()]


def _to_limiter(value: Any) -> RateLimiter:
    if is_number(value):
        value = RateLimit(value)
    if isinstance(value, RateLimit):
        return SlidingWindowLimiter(value)
    if not isinstance(value, RateLimiter) or isinstance(value, type):
        raise TypeError
    return value


def _to_retry(value: Any) -> Retry:
    return Retry(timeout=value) if is_number(value) else _instance(Retry)(value)


def _to_receiver(value: Any) -> Any:
    # Most clients have none, and need nothing of its module.
    from mp4gen.conversion.callbacks import CallbackReceiver

    return _instance(CallbackReceiver)(value)


def _to_path(value: Any) -> str:
    """Return a path that is not empty, as a string."""
    path = os.fspath(value)
    if not isinstance(path, str) or not path.strip():
        raise ValueError
    return path


def _to_usable_path(value: Any) -> Path:
    """Return a path that the operating system can use."""
    path = Path(_to_path(value)).expanduser()
    if b"\0" in os.fsencode(path):
        raise ValueError
    return path


def _to_ledger(value: Any) -> Path:
    """Return the path of a ledger: a file, since the names of databases in memory keep nothing."""
    path = _to_path(value)
    if path.startswith((":memory:", "file:")):
        raise invalid_setting("ledger", path, _LEDGER_HINT)
    return _to_usable_path(value)


def _to_id(value: Any) -> str:
    value = id_text(value)
    # A longer id does not fit into the first line of a request.
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_ID_LENGTH:
        raise ValueError
    if not value.isprintable():
        raise ValueError
    return value


def _to_requests(value: Any) -> Any:
    """Return an iterable of requests; the items of a collection are checked now."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable | AsyncIterable):
        raise TypeError
    if isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            if not isinstance(item, VideoRequest | Track):
                raise invalid_setting(f"requests[{index}]", item, "a VideoRequest or a Track")
    return value


_FUNCTION = _optional(_only(callable))
_SWITCH = _Rule(_instance(bool), "True or False")
_PATH = _Rule(_optional(_to_usable_path), "a path as a string or a pathlib.Path, or None")

_RULES = {
    # Client
    "base_url": _Rule(_optional(_instance(str)), "a URL as a string, or None"),
    "dialect": _Rule(_optional(_to_dialect), 'a Dialect, "suno", "kie" or None'),
    "rate_limit": _Rule(
        _to_limiter,
        "a RateLimit, a number of calls in 10 s, or an object with slot and pause",
    ),
    "concurrency": _Rule(
        _only(lambda value: isinstance(value, int) and is_number(value) and value > 0),
        "a whole number above 0",
    ),
    "polling": _Rule(_instance(Polling), "a Polling value, such as Polling(initial_delay=15)"),
    "retry": _Rule(_to_retry, "a Retry value, or the seconds after which a call gives up"),
    "callbacks": _Rule(_optional(_to_receiver), "a CallbackReceiver or None"),
    "on_uncertain_submit": _Rule(
        _optional(_only(lambda value: value in ("resubmit", "raise"))),
        '"resubmit", "raise" or None',
    ),
    "trust_env": _SWITCH,
    "ssl_context": _Rule(_optional(_instance(SSLContext)), "an ssl.SSLContext or None"),
    "allow_http": _SWITCH,
    "on_event": _Rule(_FUNCTION, "a function that takes an Event, or None"),
    # Calls
    "task_id": _Rule(_to_id, "a non-empty printable string", is_setting=False),
    "audio_id": _Rule(_to_id, "a non-empty printable string", is_setting=False),
    "request": _Rule(to_video_request, "a VideoRequest or a Track", is_setting=False),
    "timeout": _Rule(
        _only(lambda value: is_number(value) and value > 0), "a number of seconds above 0"
    ),
    "on_submitted": _Rule(_FUNCTION, "a function that takes a task id, or None"),
    "video_or_url": _Rule(
        _only(lambda value: isinstance(value, str | Video)), "a Video or its URL", is_setting=False
    ),
    "to": _Rule(_to_path, "a path as a string or a pathlib.Path"),
    "on_progress": _Rule(_FUNCTION, "a function that takes two numbers of bytes, or None"),
    # Bulk runs
    "requests": _Rule(_to_requests, "an iterable of VideoRequest or Track values"),
    "ledger": _Rule(_optional(_to_ledger), _LEDGER_HINT),
    "download_to": _PATH,
    "retry_failed": _SWITCH,
    "name": _Rule(_FUNCTION, "a function that takes a VideoRequest, or None"),
}

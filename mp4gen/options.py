"""The settings of a client as values, each checked when it is made."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs

from .errors import ConfigurationError

# Validates one field of an attrs class.
Validator = Callable[[object, "attrs.Attribute[Any]", Any], None]


def invalid_setting(name: str, value: object, hint: str) -> ConfigurationError:
    """Return the error for a setting with an unusable value, without the password of a URL."""
    shown = short_repr(hide_password(value) if isinstance(value, str) else value)
    return ConfigurationError(f"Invalid {name}: {shown}. Use {hint}.")


def hide_password(text: str) -> str:
    """Return a text, which may be a mistyped URL, without the user and the password in it."""
    # Greedy: a mistyped password may contain an @ or a slash itself.
    text = re.sub(r"^([^/@]*//)?.*@", r"\1...@", text, flags=re.DOTALL)
    return re.sub(r"(password=?).*", r"\1...", text, flags=re.DOTALL | re.IGNORECASE)


def short_repr(value: object) -> str:
    """Return a `repr` of at most 100 characters in one line, or the type if it cannot be shown."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - the `repr` of another's object, or of a gigantic number
        return type(value).__name__
    return text if len(text) <= 100 else f"{text[:97]}..."


def read_only(value: Any) -> Any:
    """Return a copy of a mapping that cannot be changed, and other values as they are."""
    return MappingProxyType(dict(value)) if isinstance(value, dict | Mapping) else value


def is_number(value: Any) -> bool:
    """Return whether `value` is an int or a float that arithmetic can use; a bool is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # A larger int cannot be added to a float.
    return isinstance(value, float) or abs(value) <= sys.float_info.max


def positive_int(name: str, value: int) -> int:
    """Return `value` if it is a whole number above 0, else raise `ConfigurationError`."""
    if not (isinstance(value, int) and is_number(value) and value > 0):
        raise invalid_setting(name, value, "a whole number above 0")
    return value


def number_validator(hint: str, accepts: Callable[[float], bool]) -> Validator:
    """Return a validator of a finite number; `hint` says which ones it accepts."""

    def validate(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not (is_number(value) and abs(value) < math.inf and accepts(value)):
            raise invalid_setting(attribute.name, value, hint)

    return validate


_positive = number_validator("a number above 0", lambda value: value > 0)
_not_negative = number_validator("a number of at least 0", lambda value: value >= 0)
_above_one = number_validator("a number above 1", lambda value: value > 1)
_fraction = number_validator("a number of at least 0 and below 1", lambda value: 0 <= value < 1)


class Record:
    """The base class of values that are shown and compared by their fields.

    attrs would compile the same methods for each class, at every import.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        fields = (field for field in attrs.fields(type(self)) if field.repr)  # type: ignore[arg-type]
        shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields)
        return f"{type(self).__name__}({shown})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record) or type(other) is not type(self):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash((type(self), self._compared()))

    def _compared(self) -> tuple[Any, ...]:
        fields = (field for field in attrs.fields(type(self)) if field.eq)  # type: ignore[arg-type]
        values = ((field.eq_key, getattr(self, field.name)) for field in fields)
        return tuple(value if key is None else key(value) for key, value in values)


@attrs.frozen(eq=False, repr=False)
class RateLimit(Record):
    """At most `requests` calls in any window of `per` seconds.

    The default is the vendor's limit for one account (docs.kie.ai, "Getting Started").

    Attributes:
        requests: Maximum calls in a window.
        per: Seconds of the window.
    """

    requests: int = attrs.field(
        default=20, validator=lambda _, attribute, value: positive_int(attribute.name, value)
    )
    per: float = attrs.field(default=10.0, validator=_positive)


@attrs.frozen(eq=False, repr=False)
class Polling(Record):
    """When to poll a task. A `Retry-After` of the server wins.

    Attributes:
        initial_delay: Age of the task in seconds at the first poll.
        multiplier: Each further poll comes at the age of the last one times this.
        max_interval: Maximum seconds between two polls.
        jitter: Share of an interval by which it varies at random, 0 to below 1.
    """

    initial_delay: float = attrs.field(default=15.0, kw_only=True, validator=_positive)
    multiplier: float = attrs.field(default=1.3, kw_only=True, validator=_above_one)
    max_interval: float = attrs.field(default=8.0, kw_only=True, validator=_positive)
    jitter: float = attrs.field(default=0.1, kw_only=True, validator=_fraction)


@attrs.frozen(eq=False, repr=False)
class Retry(Record):
    """How long to retry after temporary failures, in seconds.

    Attributes:
        initial_delay: Maximum delay before the first retry; doubles with each retry (full jitter).
        max_delay: Maximum delay before any retry.
        timeout: A call that has failed for this long gives up.
        request_timeout: Maximum duration of one HTTP request.
        maintenance_poll_interval: Time between two requests that ask whether maintenance is over.
        maintenance_timeout: Maximum duration of maintenance to wait for; None means 0 for single
            calls and six hours for bulk runs.
    """

    initial_delay: float = attrs.field(default=0.5, kw_only=True, validator=_positive)
    max_delay: float = attrs.field(default=30.0, kw_only=True, validator=_positive)
    timeout: float = attrs.field(default=300.0, kw_only=True, validator=_not_negative)
    request_timeout: float = attrs.field(default=30.0, kw_only=True, validator=_positive)
    maintenance_poll_interval: float = attrs.field(default=300.0, kw_only=True, validator=_positive)
    maintenance_timeout: float | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(_not_negative)
    )

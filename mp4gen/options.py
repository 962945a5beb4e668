"""Settings of a client as values: each is checked when it is made; holds no state."""

from __future__ import annotations

import math
from typing import Any

import attrs

from .errors import ConfigurationError


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _positive(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (_is_number(value) and value > 0):
        raise ConfigurationError(f"{attribute.name} must be a number above 0, not {value!r}")


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not (_is_number(value) and value >= 0):
        raise ConfigurationError(f"{attribute.name} must be a number of at least 0, not {value!r}")


def _positive_int(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{attribute.name} must be a whole number above 0, not {value!r}")


@attrs.frozen
class RateLimit:
    """At most `requests` calls in any window of `per` seconds.

    The default is the vendor's (docs.kie.ai, "Getting Started"), per account.
    """

    requests: int = attrs.field(default=20, validator=_positive_int)
    per: float = attrs.field(default=10.0, kw_only=True, validator=_positive)


@attrs.frozen
class Polling:
    """When to look at a task, in seconds of its age.

    The first look comes at age `initial_delay`, each next one at age x `multiplier`, no step longer than
    `max_interval`; each step varies by up to `jitter` of itself. A `Retry-After` from the server wins.
    """

    initial_delay: float = attrs.field(default=15.0, kw_only=True, validator=_positive)
    multiplier: float = attrs.field(default=1.3, kw_only=True)
    max_interval: float = attrs.field(default=8.0, kw_only=True, validator=_positive)
    jitter: float = attrs.field(default=0.1, kw_only=True)

    @multiplier.validator
    def _above_one(self, _: object, value: float) -> None:
        if not 1 < value < float("inf"):
            raise ConfigurationError(f"multiplier must be above 1, not {value!r}")

    @jitter.validator
    def _fraction(self, _: object, value: float) -> None:
        if not 0 <= value < 1:
            raise ConfigurationError(f"jitter must be at least 0 and below 1, not {value!r}")


@attrs.frozen
class Retry:
    """How long to go on after failures that may pass, in seconds.

    Attributes:
        initial_delay: the longest wait before the first retry; doubled for each further one (full jitter).
        max_delay: no single wait is longer.
        timeout: give up once a call has been failing for this long.
        request_timeout: the longest that one HTTP call may take.
        maintenance_poll_interval: how often one call asks whether maintenance is over.
        maintenance_timeout: how long maintenance may last; None for 0 in single calls and six
            hours in bulk runs.
    """

    initial_delay: float = attrs.field(default=0.5, kw_only=True, validator=_positive)
    max_delay: float = attrs.field(default=30.0, kw_only=True, validator=_positive)
    timeout: float = attrs.field(default=300.0, kw_only=True, validator=_not_negative)
    request_timeout: float = attrs.field(default=30.0, kw_only=True, validator=_positive)
    maintenance_poll_interval: float = attrs.field(default=300.0, kw_only=True, validator=_positive)
    maintenance_timeout: float | None = attrs.field(
        default=None, kw_only=True, validator=attrs.validators.optional(_not_negative)
    )

"""The differences between the hosts of the API family, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import attrs

from mp4gen.addresses import parse_http_url
from mp4gen.errors import (
    AlreadyExistsError,
    ApiError,
    AuthenticationError,
    InsufficientCreditsError,
    InvalidRequestError,
    MaintenanceError,
    NotFoundError,
    RateLimitError,
    ServerError,
)
from mp4gen.options import Validator, invalid_setting, number_validator, read_only

# docs.sunoapi.org and docs.api.box, "Create Music Video", the table of body codes.
_SUNO_CODES: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    405: RateLimitError,
    409: AlreadyExistsError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: InsufficientCreditsError,
    430: RateLimitError,
    455: MaintenanceError,
    500: ServerError,
}

# docs.kie.ai, "Create Music Video" and "Getting Started": 429 means the opposite of the above.
_KIE_CODES: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: InsufficientCreditsError,
    403: AuthenticationError,
    404: NotFoundError,
    408: ServerError,
    409: AlreadyExistsError,
    422: InvalidRequestError,
    429: RateLimitError,
    433: InsufficientCreditsError,
    455: MaintenanceError,
    500: ServerError,
    501: ServerError,
    505: ServerError,
}


def _is_error_class(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, ApiError)


def _checked(accepts: Callable[[Any], bool], hint: str) -> Validator:
    def validate(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not accepts(value):
            raise invalid_setting(attribute.name, value, hint)

    return validate


_path = _checked(
    lambda value: isinstance(value, str) and value.isprintable() and value.startswith("/"),
    "a path that begins with a slash",
)
_switch = _checked(lambda value: isinstance(value, bool), "True or False")


@attrs.frozen
class Dialect:
    """The API as one family of hosts implements it.

    Attributes:
        name: Name for logs and messages.
        codes: The error class of each body code that is not a success.
        credits_path: Path of "Get Remaining Credits".
        retention_days: Days that the host keeps a finished file.
        polls_count_toward_limit: Whether polls count towards the rate limit.
        rejects_duplicates: Whether the host refuses a second submit of a track with 409. Then a
            submit whose response was lost can be sent again without paying twice.
        download_url_path: Path of "Get Download URL", which renews an expired link, or None.
    """

    SUNO: ClassVar[Dialect]
    KIE: ClassVar[Dialect]

    name: str = attrs.field(validator=_checked(lambda value: isinstance(value, str), "a string"))
    codes: Mapping[int, type[ApiError]] = attrs.field(
        converter=read_only,
        validator=_checked(
            lambda value: isinstance(value, Mapping) and all(map(_is_error_class, value.values())),
            "a mapping of body codes to subclasses of ApiError",
        ),
        repr=False,
        hash=False,
    )
    credits_path: str = attrs.field(default="/api/v1/generate/credit", validator=_path)
    retention_days: int = attrs.field(
        default=15, validator=number_validator("a number above 0", lambda value: value > 0)
    )
    polls_count_toward_limit: bool = attrs.field(default=True, validator=_switch)
    rejects_duplicates: bool = attrs.field(default=False, validator=_switch)
    download_url_path: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_path)
    )

    def expires_at(self, completed_at: datetime | None) -> datetime | None:
        """Return when the host deletes a file completed at `completed_at`; None if unknown."""
        try:
            return completed_at and completed_at + timedelta(days=self.retention_days)
        except OverflowError:
            # Some hosts write "9999-12-31" for a time that they do not know.
            return None

    @classmethod
    def for_url(cls, base_url: str) -> Dialect:
        """Return the dialect of a known host, else SUNO's with `rejects_duplicates=False`.

        The codes that SUNO's table lacks have the meaning of KIE's, such as 402.
        """
        parts = parse_http_url(base_url)
        host = (parts.hostname or "").lower() if parts is not None else ""
        for known, dialect in _HOSTS.items():
            if host == known or host.endswith(f".{known}"):
                return dialect
        return attrs.evolve(
            cls.SUNO, name="unknown", codes=_KIE_CODES | _SUNO_CODES, rejects_duplicates=False
        )


Dialect.SUNO = Dialect("suno", _SUNO_CODES, rejects_duplicates=True)
Dialect.KIE = Dialect(
    "kie",
    _KIE_CODES,
    credits_path="/api/v1/chat/credit",
    retention_days=14,
    download_url_path="/api/v1/common/download-url",
)

_HOSTS = {
    "api.box": Dialect.SUNO,
    "sunoapi.org": Dialect.SUNO,
    "apibox.erweima.ai": Dialect.SUNO,
    "kie.ai": Dialect.KIE,
}

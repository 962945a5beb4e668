"""The differences between the hosts of the API family, as data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import urlsplit

import attrs

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


def _read_only(codes: Mapping[int, type[ApiError]]) -> Mapping[int, type[ApiError]]:
    return MappingProxyType(dict(codes))


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

    name: str
    codes: Mapping[int, type[ApiError]] = attrs.field(converter=_read_only, repr=False, hash=False)
    credits_path: str = "/api/v1/generate/credit"
    retention_days: int = 15
    polls_count_toward_limit: bool = True
    rejects_duplicates: bool = False
    download_url_path: str | None = None

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
        host = (urlsplit(base_url).hostname or "").lower()
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

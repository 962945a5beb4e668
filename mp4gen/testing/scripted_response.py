"""A response as a test scripts it; pure data, sends nothing."""

from collections.abc import Mapping
from typing import Any, Literal

import attrs

Connection = Literal["keep", "close", "reset", "hang"]


@attrs.frozen(kw_only=True)
class ScriptedResponse:
    """A response as it leaves the service.

    Attributes:
        status: The HTTP status.
        body: The body; None for the service's default response, with a status other than 200 for
            no body.
        headers: Additional headers.
        data: Fields to change in the `data` of the default response.
        force_finished: Whether the default response reports the task as finished at any time.
        take_effect: Whether the request takes effect (a submit creates its task) despite a `body`.
            With the default response it always does.
        delay: The seconds until the first byte is sent.
        truncate_at: The bytes of the response to send, head included, as the end of a slice: 10 for
            the first ten, -10 for all but the last ten, None for all.
        connection: What follows: "keep", "close" or "reset" the connection, or "hang" until the
            client disconnects.
        byte_delay: The seconds between two bytes; 0 to send all at once.
        raw_bytes: The bytes to send instead of a well-formed response.
        ignore_range: Whether a file is sent from its beginning despite a `Range` header.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    data: Mapping[str, Any] | None = None
    force_finished: bool = False
    take_effect: bool = False
    delay: float = 0.0
    truncate_at: int | None = None
    connection: Connection = "keep"
    byte_delay: float = 0.0
    raw_bytes: bytes | None = None
    ignore_range: bool = False

    @property
    def is_default(self) -> bool:
        """Whether this changes the service's default response instead of replacing it."""
        return self.body is None and self.raw_bytes is None and self.status == 200

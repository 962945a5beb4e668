"""The call that finds out whether the API is up: free of charge, and about no track."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs

from mp4gen.api.dialects import Dialect
from mp4gen.api.protocol import ApiRequest, build_credits_request
from mp4gen.api.responses import HttpResponse, parse_response


@attrs.frozen(eq=False, repr=False)
class HealthCheck:
    """A request, and what its response means.

    Attributes:
        request: The request.
        parse: Returns a value, or raises the error that the response means.
    """

    request: ApiRequest
    parse: Callable[[HttpResponse], object]

    @classmethod
    def for_dialect(cls, dialect: Dialect) -> HealthCheck:
        """Return a check that asks for the credits: "can be called frequently as needed"."""
        # docs.sunoapi.org, "Get Remaining Credits".
        return cls(build_credits_request(dialect), partial(parse_response, dialect=dialect))

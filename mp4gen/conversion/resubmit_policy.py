"""Decide whether to resend a submit whose response was lost; sends no submit itself."""

import asyncio
from contextlib import suppress
from functools import partial
from typing import Literal

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.errors import Mp4GenError
from mp4gen.transport.caller import ApiCaller, CallOptions

OnUncertainSubmit = Literal["resubmit", "raise"]


class ResubmitPolicy:
    """The rule of one client.

    The user's choice comes first. Without one, a submit is sent again if the host rejects
    duplicates: because its dialect says so, or because the host itself does in its responses.

    Args:
        caller: Sends the client's API requests.
        dialect: What differs between hosts.
        choice: The user's choice, or None.
    """

    def __init__(
        self, caller: ApiCaller, dialect: Dialect, choice: OnUncertainSubmit | None = None
    ) -> None:
        self.caller, self.dialect, self.choice = caller, dialect, choice
        self._asking = asyncio.Lock()
        self._unanswered = False

    @property
    def rejects_duplicates(self) -> bool:
        """Whether the host is known to reject duplicates."""
        return self.dialect.rejects_duplicates or bool(self.caller.rejects_duplicates)

    async def allows_resubmit(self, call_options: CallOptions) -> bool:
        """Return whether to resend; a host that has not responded yet is asked for the credits."""
        if self.choice is not None:
            return self.choice == "resubmit"
        if not self.dialect.rejects_duplicates:
            async with self._asking:
                if self.caller.rejects_duplicates is None and not self._unanswered:
                    await self._ask(call_options)
        return self.rejects_duplicates

    async def _ask(self, call_options: CallOptions) -> None:
        request = protocol.build_credits_request(self.dialect)
        parse = partial(protocol.parse_credits, dialect=self.dialect)
        with suppress(Mp4GenError):
            await self.caller.send_with_retries(request, parse, call_options)
        # A host that does not respond is not asked again; it may still respond to other calls.
        self._unanswered = self.caller.rejects_duplicates is None

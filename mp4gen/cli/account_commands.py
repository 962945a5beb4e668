"""`mp4gen tracks` and `mp4gen credits`: what the account has."""

from __future__ import annotations

from typing import Annotated

import attrs
from cyclopts import Parameter

from .exit_codes import DONE
from .options import FROM_ENVIRONMENT, AsJson, Connection
from .output import Output
from .runner import run


def tracks(
    task_id: Annotated[str, Parameter(help="The id of a music task.")],
    /,
    *,
    connection: Connection = FROM_ENVIRONMENT,
    as_json: AsJson = False,
) -> int:
    """List the tracks of a music task ("Get Music Generation Details")."""
    output = Output(as_json=as_json)

    async def work() -> int:
        async with connection.client() as client:
            found = await client.get_tracks(task_id)
        for track in found:
            output.record(attrs.asdict(track))
        rows = [(one.audio_id, one.title, _length(one.duration), one.tags) for one in found]
        output.table(("audio id", "title", "length", "tags"), rows)
        if not found:
            output.status(f"the music task {task_id} has no tracks yet")
        return DONE

    return run(work())


def credits_left(*, connection: Connection = FROM_ENVIRONMENT, as_json: AsJson = False) -> int:
    """Print how many credits are left ("Get Remaining Credits")."""
    output = Output(as_json=as_json)

    async def work() -> int:
        async with connection.client() as client:
            remaining = await client.get_credits()
        output.line(f"{remaining:g}")
        output.record({"credits": remaining})
        return DONE

    return run(work())


def _length(seconds: float | None) -> str | None:
    return None if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02}"

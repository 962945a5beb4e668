"""Defines the API's operations as a table, for the routes and for `/openapi.json`."""

import attrs

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect


@attrs.frozen
class Operation:
    """One operation of the API.

    Attributes:
        name: The operation's name, also of its handler.
        summary: The title of the vendor's page about it.
        method: GET or POST.
        path: The path of its URL.
        description: What it does on this server.
        codes: Every possible `code` in the response's body.
        task_id_description: The meaning of the query's `taskId`; None if it has none.
    """

    name: str
    summary: str
    method: str
    path: str
    description: str
    codes: tuple[int, ...]
    task_id_description: str | None = None


OPERATIONS = (
    Operation(
        "generate",
        "Create Music Video",
        "POST",
        protocol.GENERATE_PATH,
        "Queue a video of one track. A submit for the same video as an earlier one gets its id.",
        (200, 400, 401, 409, 413, 422, 430, 455, 500),
    ),
    Operation(
        "details",
        "Get Music Video Details",
        "GET",
        protocol.DETAILS_PATH,
        "Get the state of a task; until it finishes, Retry-After says when to poll again. "
        "While a task renders, the response waits up to 4 seconds for its end.",
        (200, 400, 401, 455, 500),
        "The video task's id, from the response to the submit.",
    ),
    Operation(
        "tracks",
        "Get Music Generation Details",
        "GET",
        protocol.TRACKS_PATH,
        "List the tracks of one folder of the music folder.",
        (200, 400, 401, 455, 500),
        "The folder's path below the music folder; `.` for the music folder itself.",
    ),
    Operation(
        "credits",
        "Get Remaining Credits",
        "GET",
        Dialect.SUNO.credits_path,
        "Get the number of videos that can still be queued.",
        (200, 401, 455, 500),
    ),
    Operation(
        "kie_credits",
        "Get Remaining Credits, on kie.ai's path",
        "GET",
        Dialect.KIE.credits_path,
        "Get the number of videos that can still be queued.",
        (200, 401, 455, 500),
    ),
)

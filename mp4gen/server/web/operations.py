"""The API's calls as a table: what is routed, and what `/openapi.json` tells about it."""

from __future__ import annotations

import attrs

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect


@attrs.frozen
class Operation:
    """One call of the API.

    Attributes:
        name: the handler's name, and the operation's.
        summary: the name of the vendor's page about it.
        method: GET or POST.
        path: where it is.
        description: what it does here, in a sentence.
        codes: every `code` that its answer's body can have.
        task_id_description: what the query's `taskId` means; None where there is none.
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
        "Queues the video of one track; each track has one, and the second submit names the first.",
        (200, 400, 401, 404, 409, 413, 430, 455, 500),
    ),
    Operation(
        "details",
        "Get Music Video Details",
        "GET",
        protocol.DETAILS_PATH,
        "Tells how far a task is; while it is not done, Retry-After says when to look again. "
        "An answer is held back for up to 2 seconds where the video is about to be ready.",
        (200, 400, 401, 455, 500),
        "the video task's id, as the submit answered it",
    ),
    Operation(
        "tracks",
        "Get Music Generation Details",
        "GET",
        protocol.TRACKS_PATH,
        "Lists the tracks of one folder of the music folder.",
        (200, 400, 401, 455, 500),
        "the folder's path below the music folder; `.` for the music folder itself",
    ),
    Operation(
        "credits",
        "Get Remaining Credits",
        "GET",
        Dialect.SUNO.credits_path,
        "Tells how many more videos can be queued right now.",
        (200, 401, 455, 500),
    ),
)

"""Draw faults of a service and of its connections from a seed."""

from random import Random
from typing import Any

from mp4gen.testing import FakeService

from .support_proxy import ConnectionFault

SUBMIT_FAULTS = (
    "reset reset_after_accept close_after_accept half_headers_after_accept truncated garbage "
    "truncated_after_accept hang hang_after_accept html_502 html_502_after_accept html_504 empty "
    "empty_after_accept data_null_after_accept code_500 rate_limited maintenance deep_json"
).split()
POLL_FAULTS = (
    "reset close_without_answer truncated garbage hang html_502 html_429 empty utf8_bom deep_json "
    "code_500 rate_limited data_null record_null unknown_flag success_without_url "
    "callback_exception_without_url"
).split()
FILE_FAULTS = "reset truncated hang html_502 html_200 expired range_ignored".split()
DEAD_HOST_FAULTS = "reset close_without_answer hang html_503 code_429".split()


def script_faults(service: FakeService, random: Random) -> None:
    """Script faults for three requests in ten; in one seed of four the file host is down first."""
    for endpoint, faults in (
        ("create", SUBMIT_FAULTS),
        ("details", POLL_FAULTS),
        ("file", FILE_FAULTS),
    ):
        steps = [random.choice(faults) if random.random() < 0.3 else "ok" for _ in range(200)]
        if endpoint == "file" and random.random() < 0.25:
            steps = [random.choice(DEAD_HOST_FAULTS)] * random.randrange(20, 100) + steps
        service.script(endpoint, *steps)  # type: ignore[arg-type]


def connection_faults(random: Random) -> list[ConnectionFault | None]:
    """Return faults for one connection in ten."""
    return [_connection_fault(random) if random.random() < 0.1 else None for _ in range(200)]


def _connection_fault(random: Random) -> ConnectionFault:
    up, down = random.choice([(random.randrange(400), None), (None, random.randrange(300))])
    kind: Any = random.choice(["reset", "close", "hang"])
    return ConnectionFault(upstream_bytes=up, downstream_bytes=down, kind=kind)

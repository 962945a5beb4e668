"""Random faults on every endpoint, runs cancelled at any time: nothing is lost or doubled."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import pytest

import mp4gen
from mp4gen.testing import FakeService

pytestmark = pytest.mark.looptime

LOST_RESPONSES = (
    "reset_after_accept close_after_accept half_headers_after_accept truncated_after_accept "
    "hang_after_accept html_502_after_accept html_504_after_accept empty_after_accept "
    "data_null_after_accept"
).split()
REFUSALS = "reset close_without_answer html_503 hang code_500 rate_limited code_430".split()
POLL_FAULTS = (
    "reset truncated garbage html_502 empty hang_after_accept deep_json record_null data_null "
    "code_500 rate_limited unknown_flag success_without_url callback_exception_without_url hang"
).split()
FILE_FAULTS = "reset truncated html_502 expired range_ignored html_200".split()


def script_random_faults(service: FakeService, chance: Random) -> None:
    """Script the next requests: one in four meets a fault."""
    for endpoint, faults in (
        ("create", LOST_RESPONSES + REFUSALS),
        ("details", POLL_FAULTS),
        ("file", FILE_FAULTS),
    ):
        steps = [chance.choice(faults) if chance.random() < 0.25 else "ok" for _ in range(30)]
        service.script(endpoint, *steps)  # type: ignore[arg-type]


async def one_run(service: FakeService, folder: Path, seconds: float) -> list[mp4gen.Conversion]:
    """Return the results of a run that is cancelled after `seconds`."""
    found: list[mp4gen.Conversion] = []
    requests = [mp4gen.VideoRequest("music", str(n)) for n in range(15)]

    async def consume(client: mp4gen.Client) -> None:
        run = client.convert_many(
            requests, ledger=folder / "run.sqlite", download_to=folder, retry_failed=True
        )
        async for conversion in run:
            found.append(conversion)  # noqa: PERF401 - those before the end count

    async with service.client() as client:
        client.random.seed(0)
        task = asyncio.create_task(consume(client))
        await asyncio.wait([task], timeout=seconds)
        task.cancel()
        await asyncio.wait([task])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("dedupes", [True, False], ids=["409", "no 409"])
async def test_run_survives_random_faults(tmp_path: Path, seed: int, dedupes: bool) -> None:
    """Every track ends as one complete file or, without a 409, as one uncertain result."""
    chance = Random(f"{seed}/{dedupes}")
    dialect = mp4gen.Dialect.SUNO if dedupes else mp4gen.Dialect.for_url("http://unknown")
    kind = "existing_id" if dedupes else "new_task"
    async with FakeService(
        duplicate_policy=kind, dialect=dialect, duration=20, latency=0.05, seed=seed
    ) as service:
        for _ in range(3):
            script_random_faults(service, chance)
            await one_run(service, tmp_path, chance.uniform(0, 150))
        service.clear()
        found = await one_run(service, tmp_path, 10**6)
    made = Counter(task.request.audio_id for task in service.tasks.values())
    contents = {task.request.audio_id: task.content for task in service.tasks.values()}
    errors = {type(conversion.error) for conversion in found}

    assert len(found) == 15
    assert set(made.values()) == {1}
    assert errors <= {type(None)} | (set() if dedupes else {mp4gen.SubmitUncertainError})
    for conversion in found:
        if conversion.path is not None:
            assert conversion.path.read_bytes() == contents[conversion.request.audio_id]
        else:
            assert conversion.error

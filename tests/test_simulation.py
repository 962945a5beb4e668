"""Seeded faults of every kind and killed programs: no track is lost, none is paid twice.

`MP4GEN_SEEDS=1000-1200 pytest tests/test_simulation.py` runs another range of seeds, and
`python benchmarks/simulation.py --seeds 0:2000` runs many of them, in all processors.
"""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

import mp4gen
from mp4gen.testing import FakeService

from .support_chaos import connection_faults, script_faults
from .support_proxy import FaultProxy
from .support_simulation import TRACKS, run_seed

FIRST, _, LAST = os.environ.get("MP4GEN_SEEDS", "0-8").partition("-")
SEEDS = range(int(FIRST), int(LAST))
MORE_SEEDS = range(int(FIRST), int(LAST) + 16) if "MP4GEN_SEEDS" not in os.environ else SEEDS


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_no_track_is_lost_or_doubled_on_loopback(seed: int) -> None:
    """Fifteen tracks, fifteen tasks, fifteen complete files, or uncertain results without 409."""
    outcome = run_seed(seed, "looptime")

    assert outcome.succeeded, f"seed {seed}: {outcome}"


# A killed program closes nothing; Python 3.13 warns about its database.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
@pytest.mark.parametrize("seed", MORE_SEEDS)
def test_no_track_is_lost_or_doubled_on_a_simulated_network(seed: int) -> None:
    """Links fall silent and machines die; a seed fixes every step."""
    pytest.importorskip("simloop", reason="simloop needs Python 3.12 or newer")

    outcome = run_seed(seed, "simloop")

    assert outcome.succeeded, f"seed {seed}: {outcome}"


@pytest.mark.slow
def test_seed_is_reproducible_in_every_process() -> None:
    """Every request, response, event and packet comes at the same time, with any hash seed."""
    pytest.importorskip("simloop", reason="simloop needs Python 3.12 or newer")
    root = Path(__file__).parents[1]
    program = (
        "from tests.support_simulation import run_seed;"
        "print([run_seed(seed, 'simloop').trace for seed in (2, 3, 4, 17)])"
    )

    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    ]

    assert outputs[0] == outputs[1]
    assert len(set(eval(outputs[0]))) == 4  # noqa: S307 - our own list of texts


@pytest.mark.slow
@pytest.mark.looptime
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_second_submit_under_raise(seed: int) -> None:
    """A video for each track, or an error that says that its outcome is unknown; no doubles."""
    random = Random(seed)
    service = FakeService(duration=30.0, duplicate_policy="new_task", seed=seed)
    settings = {"on_uncertain_submit": "raise", "retry": mp4gen.Retry(maintenance_timeout=3600)}
    async with service, FaultProxy(service.url) as proxy:
        script_faults(service, random)
        proxy.script(*connection_faults(random))
        async with service.client(base_url=proxy.url, **settings) as client:
            ends = await asyncio.gather(
                *(client.convert(request) for request in TRACKS), return_exceptions=True
            )
    made = Counter(task.request.audio_id for task in service.tasks.values())
    found = {end.task_id for end in ends if isinstance(end, mp4gen.Video)}
    unsure = {end.request.audio_id for end in ends if isinstance(end, mp4gen.SubmitUncertainError)}
    kinds = {type(end).__name__ for end in ends}

    assert kinds <= {"Video", "SubmitUncertainError"}, f"seed {seed}"
    assert max(made.values(), default=0) <= 1, f"seed {seed}"
    for task in service.tasks.values():
        assert task.task_id in found or task.request.audio_id in unsure, f"seed {seed}"

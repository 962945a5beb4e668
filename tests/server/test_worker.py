"""One render in a worker process: its channel and its limits."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from mp4gen.errors import RenderError
from mp4gen.server.rendering import worker
from mp4gen.server.rendering.pool import ProcessExecutor, WorkerDiedError, WorkerSlot
from mp4gen.server.rendering.worker_channel import WorkerChannel

from .conftest import FAST_STYLE, write_song


@pytest.fixture
async def slot() -> AsyncIterator[WorkerSlot]:
    slot = WorkerSlot(ProcessExecutor)
    yield slot
    await slot.close()


def job_for(audio: Path, **limits: Any) -> worker.RenderJob:
    """Return a job for `audio`, whose parent is the music folder."""
    folder = audio.parent.parent / "job"
    folder.mkdir()
    values = {"author": None, "domain_name": None, "style": attrs.asdict(FAST_STYLE)}
    values |= {"audio_mode": "compatible", "max_duration": 1200.0, "cpu_seconds": 60.0, **limits}
    return worker.RenderJob(audio=audio, root=audio.parent.resolve(), folder=folder, **values)


async def test_render_refuses_a_link_swapped_after_the_submit(
    slot: WorkerSlot, tmp_path: Path
) -> None:
    """The target is checked again when the render begins: a link may lead outside by then."""
    outside = write_song(tmp_path / "outside" / "secret.wav")
    link = tmp_path / "music" / "song.wav"
    link.parent.mkdir()
    link.symlink_to(outside)
    job = job_for(link)

    with pytest.raises(RenderError, match="outside the music folder"):
        await slot.run(worker.render, job)

    assert not job.video.exists()


@pytest.mark.slow
async def test_render_ends_at_its_processor_limit(slot: WorkerSlot, tmp_path: Path) -> None:
    """The kernel ends a worker that uses more processor time than its job may."""
    job = job_for(write_song(tmp_path / "music" / "long.wav", 600.0), cpu_seconds=0.0)

    with pytest.raises(WorkerDiedError):
        await slot.run(worker.render, job)

    assert not job.video.exists()


def test_cancel_does_nothing_after_the_render_ended(tmp_path: Path) -> None:
    """The folder of an ended render is gone; the server that stops goes on stopping."""
    folder = tmp_path / "job"
    folder.mkdir()
    channel = WorkerChannel(folder)
    folder.rmdir()

    channel.cancel()

    assert not channel.cancelled

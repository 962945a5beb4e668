"""Test an app that uses mp4gen: `pytest test_an_app.py`."""

import asyncio

import pytest

import mp4gen
from mp4gen.testing import FakeService


async def make_video(client: mp4gen.Client, audio_id: str) -> str:
    """Return the link of a track's video; this is the app."""
    video = await client.convert(mp4gen.VideoRequest("taskId_774b", audio_id))
    return video.url


def run_app(service: FakeService) -> str:
    """Run the app with a client of the fake service."""

    async def main() -> str:
        async with service.client() as client:
            return await make_video(client, "e231")

    return asyncio.run(main())


def test_app_returns_the_link(mp4gen_service: FakeService) -> None:
    """The app returns the link of the one task that it created."""
    url = run_app(mp4gen_service)

    (task,) = mp4gen_service.tasks.values()
    assert url == mp4gen_service.file_url(task.task_id)


def test_app_pays_once_when_the_response_is_lost(mp4gen_service: FakeService) -> None:
    """A lost response to a submit costs no second video."""
    mp4gen_service.script("create", "reset_after_accept")

    run_app(mp4gen_service)

    assert len(mp4gen_service.tasks) == 1


def test_app_raises_without_credits(mp4gen_service: FakeService) -> None:
    """The app's caller sees that the credits are used up."""
    mp4gen_service.script("create", "no_credits")

    with pytest.raises(mp4gen.InsufficientCreditsError):
        run_app(mp4gen_service)

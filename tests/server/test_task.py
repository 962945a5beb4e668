"""What the API and the queue see of a task."""

from datetime import UTC, datetime

import attrs
import pytest

from mp4gen.models import VideoStatus
from mp4gen.server.queue.task import CallbackState, Task, TaskState

from .conftest import FINISHED_TASK, NOW


def task(state: TaskState, callback: CallbackState = CallbackState.NONE) -> Task:
    return attrs.evolve(FINISHED_TASK, state=state, callback=callback)


@pytest.mark.parametrize(
    ("state", "callback", "status"),
    [
        (TaskState.QUEUED, CallbackState.NONE, "PENDING"),
        (TaskState.RENDERING, CallbackState.FAILED, "PENDING"),
        (TaskState.DONE, CallbackState.DUE, "SUCCESS"),
        (TaskState.DONE, CallbackState.FAILED, "CALLBACK_EXCEPTION"),
        (TaskState.FAILED, CallbackState.FAILED, "GENERATE_MP4_FAILED"),
    ],
)
def test_status_follows_the_task_and_its_callback(
    state: TaskState, callback: CallbackState, status: str
) -> None:
    """A failed callback counts only after the video is done."""
    assert task(state, callback).status == VideoStatus(status)


def test_details_have_the_times_in_utc_and_the_link() -> None:
    """A task that is not done has neither an end nor a link."""
    done = FINISHED_TASK.details("http://host")
    queued = attrs.evolve(task(TaskState.QUEUED), completed_at=None).details("http://host")

    assert done.completed_at == datetime.fromtimestamp(NOW, UTC)
    assert done.created_at.tzinfo is UTC
    assert done.video_url == f"http://host/files/{FINISHED_TASK.filename}"
    assert (queued.completed_at, queued.video_url) == (None, None)


def test_single_video_of_the_page_is_urgent() -> None:
    """A person waits for it, but neither for a batch nor for a video of the API."""
    tasks = [
        attrs.evolve(FINISHED_TASK, render_variant=variant, batch=batch)
        for variant, batch in (("page-1", None), ("page-1", "b"), ("", None))
    ]

    assert [one.is_urgent for one in tasks] == [True, False, False]

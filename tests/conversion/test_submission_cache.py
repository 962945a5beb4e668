"""The submissions that a later wait finds: their number is bounded, and one task has one."""

import pytest

import mp4gen
from mp4gen.conversion import submission_cache
from mp4gen.conversion.submission_cache import Submission, SubmissionCache

pytestmark = pytest.mark.looptime


@pytest.fixture
def receiver() -> mp4gen.CallbackReceiver:
    return mp4gen.CallbackReceiver("https://bot.example.com")


async def test_full_cache_drops_the_oldest_and_closes_its_subscription(
    monkeypatch: pytest.MonkeyPatch, receiver: mp4gen.CallbackReceiver
) -> None:
    """A task that is submitted once more counts as new."""
    monkeypatch.setattr(submission_cache, "_MAX_CACHED_SUBMISSIONS", 2)
    cache = SubmissionCache()
    for number in (0, 1, 0, 2):
        subscription = receiver._subscribe(f"token {number}")
        cache.add(Submission(f"task {number}", subscription=subscription))

    assert [cache.get(f"task {number}") is not None for number in range(3)] == [True, False, True]
    assert set(receiver._subscriptions) == {"token 0", "token 2"}


@pytest.mark.parametrize("second", ["own", "same", "none"])
async def test_submissions_of_one_task_share_their_callbacks(
    receiver: mp4gen.CallbackReceiver, second: str
) -> None:
    """The first subscription receives those of all, and keeps each token once."""
    cache, first = SubmissionCache(), receiver._subscribe("first")
    later = {"own": receiver._subscribe("second"), "same": first, "none": None}[second]
    cache.add(Submission("task", subscription=first))

    added = cache.add(Submission("task", adopted=True, subscription=later))

    assert added is cache.get("task")
    assert added.adopted
    assert added.subscription is first
    assert first.tokens == (["first", "second"] if second == "own" else ["first"])
    assert receiver._subscriptions["first"] is first
    assert (receiver._subscriptions.get("second") is first) == (second == "own")


async def test_later_subscription_of_a_task_without_one_is_kept(
    receiver: mp4gen.CallbackReceiver,
) -> None:
    """The task may have been submitted by a client without callbacks."""
    cache, subscription = SubmissionCache(), receiver._subscribe("token")
    cache.add(Submission("task"))

    assert cache.add(Submission("task", subscription=subscription)).subscription is subscription

"""The small pure parts: turns, windows, keys, estimates, shapes."""

from pathlib import Path

import attrs
import pytest

from mp4gen.models import RateLimit
from mp4gen.render import RenderStyle
from mp4gen.server.estimate import Pace, Progress, first_look, retry_after
from mp4gen.server.fair import FairQueue
from mp4gen.server.limits import Accounts, Window
from mp4gen.server.mailbox import Mailbox
from mp4gen.server.shapes import size_for, style_for


def taken(queue: FairQueue, count: int) -> list[str]:
    return [str(queue.take()) for _ in range(count)]


def test_turns_go_round_the_accounts() -> None:
    """A bulk run of one account does not hold the others up."""
    queue = FairQueue()
    for i in range(4):
        queue.put("bulk", f"b{i}")
    queue.put("anna", "a0")
    queue.put("ben", "c0")
    expected = ["b0", "a0", "c0", "b1", "b2", "b3"]

    assert taken(queue, 6) == expected
    assert queue.take() is None


def test_whoever_has_the_fewest_running_is_next() -> None:
    """An account with a task under way waits behind one that has none."""
    queue = FairQueue()
    for name in ("b0", "b1", "b2"):
        queue.put("bulk", name)
    queue.put("anna", "a0")
    queue.put("anna", "a1")

    assert taken(queue, 3) == ["b0", "a0", "b1"]
    queue.ended("a0")
    assert taken(queue, 2) == ["a1", "b2"]


def test_a_task_that_was_removed_does_not_run() -> None:
    """A removed task is not taken, and the queue's length says so."""
    queue = FairQueue()
    queue.put("a", "1")
    queue.put("a", "2")
    queue.put("a", "3")

    assert queue.remove("2")
    assert not queue.remove("2")
    assert len(queue) == 2
    assert queue.ahead_of("3") <= 2
    assert taken(queue, 2) == ["1", "3"]
    assert len(queue) == 0


def test_a_window_takes_so_many_and_says_when_the_next_fits() -> None:
    """The next one fits as soon as the oldest is a whole window away."""
    window = Window(RateLimit(2, per=10))

    assert [window.take("a", now) for now in (0.0, 4.0)] == [0.0, 0.0]
    assert window.take("a", 6.0) == 4.0
    assert window.take("b", 6.0) == 0.0
    assert window.take("a", 10.0) == 0.0
    assert window.take("a", 10.1) == pytest.approx(3.9)


def test_what_was_refused_does_not_count() -> None:
    """A caller who keeps on calling is let in at the same time as one who waits."""
    window = Window(RateLimit(1, per=10))
    window.take("a", 0.0)

    assert [window.take("a", now) > 0 for now in (1.0, 5.0, 9.9)] == [True] * 3
    assert window.take("a", 10.0) == 0.0


def test_a_key_belongs_to_its_account_alone() -> None:
    """Keys find their account, whatever else is no key; no key is kept as text."""
    accounts = Accounts({"anna": "key-a", "ben": "key-b"})

    assert accounts.of_header("Bearer key-a") == "anna"
    assert accounts.of_header("bearer  key-b ") == "ben"
    for header in (None, "", "Bearer", "Bearer key-c", "key-a", "Basic key-a", "Bearer \udcff"):
        assert accounts.of_header(header) is None
    assert "key-a" not in repr(vars(accounts))


def test_without_keys_everybody_is_the_same_caller() -> None:
    """An open server knows one account."""
    accounts = Accounts({})

    assert accounts.open
    assert {accounts.of_header(header) for header in (None, "Bearer x", "Basic y")} == {""}


@pytest.mark.parametrize(
    ("left", "expected"),
    [(0.0, 1), (0.2, 1), (1.1, 1), (1.3, 2), (3.9, 4), (7.9, 8), (10.0, 9), (60.0, 57), (9e9, 120)],
)
def test_retry_after_is_whole_seconds_of_at_least_one(left: float, expected: int) -> None:
    """Far from the end a little less than what is left, near it that, rounded up bar a trifle."""
    assert retry_after(left) == expected


def test_a_cold_start_sends_nobody_away_for_long() -> None:
    """However bad the first estimates are, a caller is back within twice the time so far."""
    assert retry_after(100.0, age=0.3) == 2
    assert retry_after(100.0, age=7.2) == 8
    assert retry_after(3.3, age=30.0) == 4


def test_what_is_left_follows_the_measured_speed() -> None:
    """The rest is judged by the pace since the first sign of it; the end takes a moment."""
    progress = Progress(started=100.0, guess=30.0)

    assert progress.left(110.0) == 20.0
    progress.seen(110.0, 0.0, 60.0)
    progress.seen(115.0, 20.0, 60.0)
    assert progress.left(115.0) == 10.5
    assert progress.left(117.0) == 8.5
    assert progress.left(999.0) == 0.0


def test_the_pace_is_learned_from_renders() -> None:
    """Each render moves the mean towards its own speed; nonsense does not."""
    pace = Pace(speed=4.0)

    pace.learn(100.0, 10.0)
    pace.learn(0.0, 1.0)
    pace.learn(1.0, 0.0)

    assert pace.speed == pytest.approx(5.8)
    assert first_look(pace.seconds_for(58.0)) == 5


def test_shapes_keep_the_short_side() -> None:
    """Each shape has the same short side as the server's own picture."""
    assert size_for(1280, 720, None) == (1280, 720)
    assert size_for(1280, 720, "16:9") == (1280, 720)
    assert size_for(1280, 720, "9:16") == (720, 1280)
    assert size_for(1280, 720, "1:1") == (720, 720)


def test_a_style_becomes_the_arguments_of_the_renderers() -> None:
    """What a worker gets makes the style that was meant."""
    style = RenderStyle(width=640, height=360, qp=24)

    assert RenderStyle(**style_for(None, None, None)) == RenderStyle()
    made = RenderStyle(**style_for(style, "9:16", threads=1))
    assert made == attrs.evolve(style, width=360, height=640, threads=1)


def test_asking_a_render_to_stop_that_has_just_ended_does_nothing(tmp_path: Path) -> None:
    """Its folder went with it, and the server that stops goes on stopping."""
    folder = tmp_path / "job"
    folder.mkdir()
    mailbox = Mailbox(folder)
    folder.rmdir()

    mailbox.cancel()

    assert not mailbox.cancelled

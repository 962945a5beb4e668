"""The small pure parts: turns, windows, keys, estimates, shapes."""

import math
import random
from pathlib import Path

import attrs
import pytest

from mp4gen.render import RenderStyle
from mp4gen.server.queue.fair_queue import FairQueue
from mp4gen.server.rendering.aspect_ratio import size_for, style_for
from mp4gen.server.rendering.eta import (
    LONG_POLL_SECONDS,
    RenderProgress,
    RenderSpeed,
    first_poll_delay,
)
from mp4gen.server.rendering.worker_channel import WorkerChannel
from mp4gen.server.web.accounts import Accounts


def taken(queue: FairQueue, count: int) -> list[str]:
    return [str(queue.get()) for _ in range(count)]


def test_turns_go_round_the_accounts() -> None:
    """A bulk run of one account does not hold the others up."""
    queue = FairQueue()
    for i in range(4):
        queue.put("bulk", f"b{i}")
    queue.put("anna", "a0")
    queue.put("ben", "c0")
    expected = ["b0", "a0", "c0", "b1", "b2", "b3"]

    assert taken(queue, 6) == expected
    assert queue.get() is None


def test_whoever_has_the_fewest_running_is_next() -> None:
    """An account with a task under way waits behind one that has none."""
    queue = FairQueue()
    for name in ("b0", "b1", "b2"):
        queue.put("bulk", name)
    queue.put("anna", "a0")
    queue.put("anna", "a1")

    assert taken(queue, 3) == ["b0", "a0", "b1"]
    queue.task_done("a0")
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


def test_a_key_belongs_to_its_account_alone() -> None:
    """Keys find their account, whatever else is no key; no key is kept as text."""
    accounts = Accounts({"anna": "key-a", "ben": "key-b"})

    assert accounts.authenticate("Bearer key-a") == "anna"
    assert accounts.authenticate("bearer  key-b ") == "ben"
    for header in (None, "", "Bearer", "Bearer key-c", "key-a", "Basic key-a", "Bearer \udcff"):
        assert accounts.authenticate(header) is None
    assert "key-a" not in repr(vars(accounts))


def test_without_keys_everybody_is_the_same_caller() -> None:
    """An open server knows one account."""
    accounts = Accounts({})

    assert accounts.is_open
    assert {accounts.authenticate(header) for header in (None, "Bearer x", "Basic y")} == {""}


def test_before_anything_is_told_the_pace_of_earlier_renders_counts() -> None:
    """A guess by the file's size, then the length that the worker told, until pictures come."""
    progress = RenderProgress(
        started_at=100.0, estimated_duration=30.0, render_speed=RenderSpeed(10.0, measured=True)
    )

    assert progress.remaining(101.0) == pytest.approx(2.5)
    assert progress.retry_after(100.0) == 1
    progress.update(101.0, 0.0, 60.0)
    assert progress.remaining(102.0) == pytest.approx(5.3)
    assert progress.retry_after(102.0) == 4
    assert progress.remaining(999.0) == 0.0


@pytest.mark.parametrize(("pace", "expected"), [(4.0, 8.8), (8.0, 7.84)])
def test_what_is_left_follows_the_measured_speed(pace: float, expected: float) -> None:
    """The rest is judged by the pace since the first picture, and a little by earlier renders."""
    progress = RenderProgress(
        started_at=100.0, estimated_duration=30.0, render_speed=RenderSpeed(pace, measured=True)
    )
    progress.update(101.0, 0.0, 60.0)
    progress.update(110.0, 5.0, 60.0)
    progress.update(115.0, 25.0, 60.0)

    assert progress.remaining(115.0) == pytest.approx(expected, abs=0.01)
    assert progress.remaining(117.0) == pytest.approx(expected - 2, abs=0.01)
    assert progress.remaining(999.0) == 0.0


@pytest.mark.parametrize(
    ("done", "expected"), [(1.0, 120), (300.0, 120), (540.0, 55), (590.0, 10), (598.4, 1), (600, 1)]
)
def test_a_caller_is_sent_to_just_before_the_end(done: float, expected: int) -> None:
    """Far from it a part of the way, near it as far as whole seconds go, and never for long."""
    progress = RenderProgress(
        started_at=0.0, estimated_duration=600.0, render_speed=RenderSpeed(1.0)
    )
    progress.update(1.0, 0.0, 600.0)
    progress.update(10.0, 0.5, 600.0)
    progress.update(9.5 + done, done, 600.0)

    assert progress.retry_after(9.5 + done) == expected


def test_only_the_end_of_a_render_that_told_its_length_is_near() -> None:
    """Nobody is held by a guess of the length, however soon it says the end will be."""
    progress = RenderProgress(started_at=0.0, estimated_duration=0.1, render_speed=RenderSpeed())

    assert not progress.is_almost_done(5.0)
    progress.update(5.0, 0.0, 60.0)
    assert not progress.is_almost_done(5.1)
    progress.update(6.0, 2.0, 60.0)
    progress.update(9.0, 59.0, 60.0)
    assert progress.is_almost_done(9.0)


def test_the_pace_is_learned_from_renders() -> None:
    """A first render replaces the guess, others move the mean; a very short one says little."""
    pace, used = RenderSpeed(speed=4.0), RenderSpeed(speed=4.0, measured=True)

    pace.update(100.0, 20.3)
    used.update(100.0, 20.3)
    assert (pace.speed, used.speed) == (pytest.approx(4.909, abs=1e-3), pytest.approx(4.3))
    used.update(1.0, 0.4)
    used.update(0.0, 1.0)
    used.update(1.0, 0.3)
    assert used.speed == pytest.approx(4.57, abs=0.01)


@pytest.mark.parametrize(
    ("left", "expected"), [(0.0, 1), (1.2, 1), (1.6, 2), (5.0, 2), (13.0, 4), (9e9, 120)]
)
def test_a_first_look_is_early_but_not_too_early_to_see_something(
    left: float, expected: int
) -> None:
    """A third of a guess at the whole leaves room for it to be three times too long."""
    assert first_poll_delay(left) == expected


@attrs.frozen
class Course:
    """A render as it goes: when its worker told how much was done, and when the video is there."""

    told: list[tuple[float, float]]
    seconds: float
    end: float


def course(chance: random.Random, seconds: float, *, speed: float, start: float) -> Course:
    """A render whose pace wavers by some percent from second to second, and drifts as much."""
    told = [(start, 0.0)]
    now, done, waver = start + seconds / 150 + chance.uniform(0.2, 0.4), 0.0, 0.0
    drift = chance.gauss(0, 0.03)
    while done < seconds:
        told.append((now, math.floor(2 * done) / 2))
        waver += 0.05 * chance.gauss(0, 0.3) - 0.05 * waver
        done += 0.1 * speed * math.exp(waver + drift * done / seconds)
        now += 0.1
    return Course([*told, (now, seconds)], seconds, now + chance.uniform(0.02, 0.15))


def watch(progress: RenderProgress, one: Course, since: float, until: float) -> float:
    """Look at a render every 0.2 s, as the server does; when the next time is."""
    while since <= until:
        if told := [done for at, done in one.told if at <= since]:
            progress.update(since, told[-1], one.seconds)
        since += 0.2
    return since


def converse(
    chance: random.Random, one: Course, guess: float, pace: RenderSpeed
) -> tuple[int, float]:
    """How many requests a caller who obeys needs, and how long after the end it learns of it."""
    progress = RenderProgress(0.0, guess, pace)
    since = chance.uniform(0, 0.2)
    requests, now = 2, 0.005 + first_poll_delay(pace.estimate(guess))
    while now < one.end:
        since = watch(progress, one, since, now)
        if progress.is_almost_done(now):
            if one.end <= now + LONG_POLL_SECONDS:
                return requests, 0.0
            now += LONG_POLL_SECONDS
            since = watch(progress, one, since, now)
        now += 0.005 + progress.retry_after(now)
        requests += 1
    return requests, now - one.end


@pytest.mark.parametrize("seconds", [1, 10, 30, 60, 180, 240])
@pytest.mark.parametrize(("speed", "start"), [(12.0, 1.0), (15.0, 0.8), (25.0, 0.6)])
def test_a_conversion_costs_four_requests_and_ends_with_its_render(
    seconds: float, speed: float, start: float
) -> None:
    """In the first render and in later ones, where files of a size differ in length."""
    chance = random.Random(seconds)
    seen = []
    for guess in (0.6, 1.0, 1.5) * 15:
        known = RenderSpeed(speed * math.exp(chance.gauss(0, 0.1)), measured=True)
        for pace, begun in ((RenderSpeed(), start), (known, 0.1)):
            one = course(chance, seconds, speed=speed, start=begun)
            seen.append(converse(chance, one, guess * seconds, pace))

    assert max(requests for requests, _ in seen) <= 4
    assert max(late for _, late in seen) <= 1.0


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
    mailbox = WorkerChannel(folder)
    folder.rmdir()

    mailbox.cancel()

    assert not mailbox.cancelled

"""The estimates of a render's end, and the polls that follow from them."""

import math
import random
from types import SimpleNamespace

import attrs
import pytest

from mp4gen.server.rendering.eta import RenderProgress, RenderSpeed, RestOfRenders, retry_after
from mp4gen.server.rendering.supervisor import LONG_POLL_SECONDS


def test_remaining_follows_earlier_renders_before_the_first_frame() -> None:
    """The duration is estimated from the file's size at first, then reported by the worker."""
    progress = RenderProgress(
        started_at=100.0, estimated_duration=30.0, render_speed=RenderSpeed(10.0, measured=True)
    )

    assert progress.remaining(101.0) == pytest.approx(2.5)
    assert progress.retry_after(100.0) == 1
    progress.update(101.0, 0.0, 60.0)
    assert progress.remaining(102.0) == pytest.approx(5.3)
    assert progress.retry_after(102.0) == 2
    assert progress.remaining(999.0) == 0.0


@pytest.mark.parametrize(("speed", "expected"), [(4.0, 8.8), (8.0, 7.84)])
def test_remaining_follows_the_measured_speed(speed: float, expected: float) -> None:
    """The speed since the first frame counts most, the speed of earlier renders a little."""
    progress = RenderProgress(
        started_at=100.0, estimated_duration=30.0, render_speed=RenderSpeed(speed, measured=True)
    )
    progress.update(101.0, 0.0, 60.0)
    progress.update(110.0, 5.0, 60.0)
    progress.update(115.0, 25.0, 60.0)

    assert progress.remaining(115.0) == pytest.approx(expected, abs=0.01)
    assert progress.remaining(117.0) == pytest.approx(expected - 2, abs=0.01)
    assert progress.remaining(999.0) == 0.0


@pytest.mark.parametrize(
    ("done", "expected"), [(1.0, 120), (300.0, 120), (540.0, 45), (590.0, 8), (598.4, 1), (600, 1)]
)
def test_retry_after_is_most_of_the_remaining_time(done: float, expected: int) -> None:
    """A client comes back before the end, after whole seconds, and within two minutes."""
    progress = RenderProgress(
        started_at=0.0, estimated_duration=600.0, render_speed=RenderSpeed(1.0)
    )
    progress.update(1.0, 0.0, 600.0)
    progress.update(10.0, 0.5, 600.0)
    progress.update(9.5 + done, done, 600.0)

    assert progress.retry_after(9.5 + done) == expected


def test_speed_is_a_mean_over_renders() -> None:
    """The first render replaces the guess, later ones move the mean, very short ones little."""
    guess, used = RenderSpeed(speed=4.0), RenderSpeed(speed=4.0, measured=True)

    guess.update(100.0, 20.3)
    used.update(100.0, 20.3)
    assert (guess.speed, used.speed) == (pytest.approx(4.909, abs=1e-3), pytest.approx(4.3))
    used.update(1.0, 0.4)
    used.update(0.0, 1.0)
    used.update(1.0, 0.3)
    assert used.speed == pytest.approx(4.57, abs=0.01)


@pytest.mark.parametrize(
    ("remaining", "expected"), [(0.0, 1), (1.6, 1), (5.0, 2), (13.0, 4), (9e9, 120)]
)
def test_retry_after_is_a_third_of_an_unmeasured_estimate(remaining: float, expected: int) -> None:
    """An estimate without measurements may be three times too long."""
    assert retry_after(remaining) == expected


@attrs.frozen
class SimulatedRender:
    """A render: when its worker reports how much is done, and when the video is finished."""

    reports: list[tuple[float, float]]
    duration: float
    end: float


def simulate(rng: random.Random, duration: float, *, speed: float, start: float) -> SimulatedRender:
    """Return a render whose speed varies by some percent each second, and drifts as much."""
    reports = [(start, 0.0)]
    now, done, noise = start + duration / 150 + rng.uniform(0.2, 0.4), 0.0, 0.0
    drift = rng.gauss(0, 0.03)
    while done < duration:
        reports.append((now, math.floor(2 * done) / 2))
        noise += 0.05 * rng.gauss(0, 0.3) - 0.05 * noise
        done += 0.1 * speed * math.exp(noise + drift * done / duration)
        now += 0.1
    return SimulatedRender([*reports, (now, duration)], duration, now + rng.uniform(0.02, 0.15))


def supervise(
    progress: RenderProgress, render: SimulatedRender, since: float, until: float
) -> float:
    """Check a render every 0.2 s, as the server does; return when the next check is due."""
    while since <= until:
        if reports := [done for at, done in render.reports if at <= since]:
            progress.update(since, reports[-1], render.duration)
        since += 0.2
    return since


def convert(
    rng: random.Random, render: SimulatedRender, estimated_duration: float, speed: RenderSpeed
) -> tuple[int, float]:
    """Return how many requests a client sends, and how long after the end it knows of it."""
    progress = RenderProgress(0.0, estimated_duration, speed)
    since = rng.uniform(0, 0.2)
    requests, now = 2, 0.005 + retry_after(speed.estimate(estimated_duration))
    while now < render.end:
        if render.end <= now + LONG_POLL_SECONDS:
            return requests, 0.0
        now += LONG_POLL_SECONDS
        since = supervise(progress, render, since, now)
        now += 0.005 + progress.retry_after(now)
        requests += 1
    return requests, now - render.end


@pytest.mark.parametrize("duration", [1, 10, 30, 60, 180, 240])
@pytest.mark.parametrize(("speed", "start"), [(12.0, 1.0), (15.0, 0.8), (25.0, 0.6)])
def test_conversion_takes_four_requests(duration: float, speed: float, start: float) -> None:
    """The first render of a server and later ones, with good and bad estimates by file size."""
    rng = random.Random(duration)
    results = []
    for factor in (0.6, 1.0, 1.5) * 15:
        warm = RenderSpeed(speed * math.exp(rng.gauss(0, 0.1)), measured=True)
        for known, first_report in ((RenderSpeed(), start), (warm, 0.1)):
            render = simulate(rng, duration, speed=speed, start=first_report)
            results.append(convert(rng, render, factor * duration, known))

    assert max(requests for requests, _ in results) <= 4
    assert max(late for _, late in results) <= 1.0


def test_rest_of_many_renders_is_added_up_once_a_second() -> None:
    """A poll of a waiting task must not look at a thousand renders; a new render counts at once."""
    speed, rest = RenderSpeed(), RestOfRenders()
    renders = [SimpleNamespace(progress=RenderProgress(0.0, 150.0, speed)) for _ in range(3)]
    one = renders[0].progress.remaining(1.0)

    found = [rest.of(renders[:2], now) for now in (1.0, 1.9, 2.0)]

    assert found == pytest.approx([2 * one, 2 * one, 2 * one - 2.0])
    assert rest.of(renders, 2.0) == pytest.approx(3 * one - 3.0)

"""The list of published figures, and the charts drawn of them. Measures nothing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Return a function that imports a module of the benchmarks, which stay out of the suite."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", "") and str(FOLDER) in sys.modules[name].__file__:
            del sys.modules[name]


def test_figures_name_benchmarks_that_exist(load):
    """A renamed script would leave its figures out of the table."""
    figures = load("figures")

    assert {figure.benchmark for figure in figures.FIGURES} <= set(figures.BENCHMARKS)
    missing = [
        benchmark.script
        for benchmark in figures.BENCHMARKS.values()
        if not (FOLDER / f"{benchmark.script}.py").exists()
    ]
    assert not missing


def test_worst_of_ours_is_compared_with_the_best_of_others(load):
    """No figure is flattered by its own luckiest run."""
    figures = load("figures")
    rows = [
        {"limiter": "mp4gen", "405": 1},
        {"limiter": "mp4gen", "405": 0},
        {"limiter": "textbook", "405": 9},
        {"limiter": "other", "405": 4},
    ]

    found = figures.against("405", "limiter", "mp4gen", "textbook", "other")([{"rows": rows}])

    assert found == figures.Found(1.0, ("other", 4.0))


def test_goal_may_be_a_lower_limit(load):
    """Speed must reach its goal, cost must not exceed it."""
    figures = load("figures")
    speed = figures.Figure("speed", "speed", lambda _: None, 25, at_least=True)
    cost = figures.Figure("cost", "render", lambda _: None, 0.1)

    assert (speed.is_held(25.1), speed.is_held(24.9)) == (True, False)
    assert (cost.is_held(0.1), cost.is_held(0.11)) == (True, False)
    assert (speed.goal_text, cost.goal_text) == (">= 25", "<= 0.1")


def test_chart_is_a_picture_with_all_bars(load):
    """Labels are escaped, and the largest value fills the chart."""
    charts = load("charts")

    picture = charts.bar_chart(
        "A & B", [charts.Bar("x < y", 10.0, ours=True), charts.Bar("z", 5.0)]
    )

    root = ElementTree.fromstring(picture)  # noqa: S314 - our own text
    widths = [
        float(each.get("width", "")) for each in root.iter("{http://www.w3.org/2000/svg}rect")
    ]
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert widths == pytest.approx([400, 200])
    assert texts == ["A & B", "x < y", "10", "z", "5"]

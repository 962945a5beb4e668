"""The list of published figures, and the charts drawn of them. Measures nothing."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SVG = "{http://www.w3.org/2000/svg}"


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


def test_each_benchmark_is_there_for_a_figure(load):
    """A benchmark that no figure needs would only cost time."""
    figures = load("figures")

    assert {figure.benchmark for figure in figures.FIGURES} == set(figures.BENCHMARKS)


def test_arguments_of_benchmarks_are_those_of_the_scripts(load):
    """A script refuses an option that it does not have, after minutes of others."""
    figures = load("figures")
    unknown = [
        f"{benchmark.script}: {option}"
        for benchmark in figures.BENCHMARKS.values()
        for option in f"{benchmark.quick or ''} {benchmark.full}".split()
        if option.startswith("--")
        and option[2:].replace("-", "_") not in words_of(benchmark.script)
    ]

    assert unknown == []


def words_of(script: str) -> set[str]:
    """Return the words of a script, with a hyphen as an underscore."""
    text = (FOLDER / f"{script}.py").read_text(encoding="utf-8")
    return set(re.findall(r"[a-z_]+", text.replace("-", "_")))


@pytest.mark.parametrize("name", ["README.md", ".docs/pages/explanation/benchmarks.md"])
def test_each_row_of_a_published_table_is_a_figure(load, name):
    """The tables are those that `python -m benchmarks --publish` writes."""
    results, figures = load("results"), load("figures")
    by_name = {figure.name: figure for figure in figures.FIGURES}
    text = (FOLDER.parent / name).read_text(encoding="utf-8")

    table = results.TABLE.search(text)

    assert table is not None
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.group(0).splitlines()[3:-1]
    ]
    assert rows
    for title, goal, _, _, script in rows:
        figure = by_name[title]
        assert goal == figure.goal_text
        assert script == f"`{figures.BENCHMARKS[figure.benchmark].script}`"


def test_published_pictures_exist(load):
    """The page shows each chart that can be drawn."""
    charts, results = load("charts"), load("results")
    page = results.PAGE.read_text(encoding="utf-8")

    shown = set(re.findall(r"pictures/chart-([a-z-]+)\.svg", page))

    assert shown == set(charts.CHARTS)
    assert all((results.PICTURES / f"chart-{name}.svg").exists() for name in shown)


def test_figure_of_a_failed_benchmark_is_missing(load):
    """A benchmark that wrote nothing takes no row from the table, and holds no goal."""
    results, figures = load("results"), load("figures")

    [row, *_] = [each.row() for each in results.results_of({"call_cpu": []})]

    assert row == {
        "figure": "CPU of a call / bare aiohttp and json, one at a time",
        "goal": "<= 1.3",
        "ours": "-",
        "best peer": "-",
        "held": "missing",
    }
    assert {each.figure.benchmark for each in results.results_of({"bulk": []})} == {"bulk"}
    assert not figures.FIGURES[0].is_held(1.0)


def test_publish_replaces_the_tables(load, tmp_path, monkeypatch):
    """The text around a table stays, and the README gets only its own figures."""
    results = load("results")
    for name in ("README", "PAGE"):
        path = tmp_path / name
        path.write_text("above\n<!-- figures -->\nold\n<!-- end of figures -->\nbelow\n")
        monkeypatch.setattr(results, name, path)
    rows = [{"at once": 1, "ratio": 1.234}, {"at once": 50, "ratio": 1.5}]

    results.publish(results.results_of({"call_cpu": [{"rows": rows}]}))

    one = (
        "| CPU of a call / bare aiohttp and json, one at a time | <= 1.3 | 1.234 | - | `call_cpu` |"
    )
    many = "| CPU of a call / bare aiohttp and json, 50 at once | <= 1.4 | 1.5 | - | `call_cpu` |"
    readme, page = (tmp_path / "README").read_text(), (tmp_path / "PAGE").read_text()
    assert readme.startswith("above\n<!-- figures -->\n| figure | goal |")
    assert readme.endswith(f"{one}\n<!-- end of figures -->\nbelow\n")
    assert page.endswith(f"{one}\n{many}\n<!-- end of figures -->\nbelow\n")


def test_worst_of_ours_is_compared_with_the_best_of_others(load):
    """No figure is flattered by its own luckiest run."""
    finders = load("finders")
    rows = [
        {"limiter": "mp4gen", "405": 1},
        {"limiter": "mp4gen", "405": 0},
        {"limiter": "textbook", "405": 9},
        {"limiter": "other", "405": 4},
    ]

    found = finders.against("405", "limiter", "mp4gen", "textbook", "other")([{"rows": rows}])

    assert found == finders.Found(1.0, ("other", 4.0))


def test_costs_are_relative_to_a_base(load):
    """The CPU of all tools is divided by that of one."""
    finders = load("finders")
    costs = {"ours": 5.0, "ffmpeg": 50.0, "showcqt": 25.0, "seewav": 100.0}
    rows = [{"figure": f"{name}: CPU s a minute", "measured": cpu} for name, cpu in costs.items()]

    found = finders.relative("ours", "ffmpeg", "showcqt", "seewav", "moviepy")([{"rows": rows}])

    assert found == finders.Found(0.1, ("showcqt", 0.5))


def test_goal_may_be_a_lower_limit(load):
    """Speed must reach its goal, cost must not exceed it."""
    figures = load("figures")
    speed = figures.Figure("speed", "speed", lambda _: None, 25, at_least=True)
    cost = figures.Figure("cost", "render", lambda _: None, 0.1)

    assert (speed.is_held(25.1), speed.is_held(24.9)) == (True, False)
    assert (cost.is_held(0.1), cost.is_held(0.11)) == (True, False)
    assert (speed.goal_text, cost.goal_text) == (">= 25", "<= 0.1")


def test_chart_is_a_picture_with_all_bars(load):
    """Labels are escaped, and the bars are as long as their values."""
    charts = load("charts")

    picture = charts.bar_chart(
        "A & B", "bytes", [charts.Bar("x < y", 10.0, ours=True), charts.Bar("z", 5.0, " each")]
    )

    root = ElementTree.fromstring(picture)  # noqa: S314 - our own text
    bars = [each for each in root.iter(f"{SVG}rect") if each.get("class") != "panel"]
    widths = [float(each.get("width", "")) for each in bars]
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert widths[0] == pytest.approx(2 * widths[1])
    assert texts == ["A & B", "bytes", "x < y", "10", "z", "5 each"]


def test_bar_far_longer_than_the_others_is_cut(load):
    """The others would be too short to compare."""
    charts = load("charts")

    picture = charts.bar_chart("A", "s", [charts.Bar("x", 10.0), charts.Bar("y", 1000.0)])

    root = ElementTree.fromstring(picture)  # noqa: S314 - our own text
    short, long = [
        float(each.get("width", ""))
        for each in root.iter(f"{SVG}rect")
        if each.get("class") != "panel"
    ]
    assert long == pytest.approx(1.6 * short, rel=0.01)
    assert len(list(root.iter(f"{SVG}polygon"))) == 1


def test_peer_is_used_only_if_its_installation_was_finished(load, tmp_path, monkeypatch):
    """An interrupted installation is made again."""
    peers = load("peers")
    monkeypatch.setenv("MP4GEN_PEERS", str(tmp_path))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = tmp_path / f"suno-easy-python{version}"
    packages = environment / "lib" / f"python{version}" / "site-packages"
    packages.mkdir(parents=True)

    before = peers.packages("suno-easy")
    (environment / "installed-suno-easy==0.2.0").touch()

    assert before == []
    assert peers.packages("suno-easy") == [str(packages)]

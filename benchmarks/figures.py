"""The published figures: which benchmark measures each, where it is in its tables, and its goal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

# The tables that a benchmark wrote, one line of JSON each.
Records = list[dict[str, Any]]
Peer = tuple[str, float] | None


@frozen
class Benchmark:
    """A script, with its arguments for a quick and for a full run."""

    script: str
    quick: str = ""
    full: str = ""


@frozen
class Found:
    """A measured value, and the (name, value) of the best peer of the same run."""

    ours: float
    peer: Peer = None


@frozen
class Figure:
    """One published figure.

    Attributes:
        name: what is measured, with its unit if it is no ratio or count.
        benchmark: which benchmark measures it.
        find: returns it from the benchmark's tables, or None if it is not there.
        goal: the limit.
        at_least: whether the goal must be reached, and not be exceeded.
    """

    name: str
    benchmark: str
    find: Callable[[Records], Found | None]
    goal: float
    at_least: bool = False

    @property
    def goal_text(self) -> str:
        """The goal as text."""
        return f"{'>=' if self.at_least else '<='} {self.goal:g}" if self.goal else "0"

    def is_held(self, value: float) -> bool:
        """Return whether a value holds the goal."""
        return value >= self.goal if self.at_least else value <= self.goal

    def format(self, value: float) -> str:
        """Return the value as text."""
        return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


BENCHMARKS = {
    "rate_limit": Benchmark("rate_limit", "--calls 2000 --client-calls 100"),
    "readme_loop": Benchmark("readme_loop"),
    "naive_script": Benchmark("naive_script", "--seeds 2", "--tracks 1000 --seeds 2"),
    "bulk": Benchmark("bulk", "--seeds 2 --large 1", "--full"),
    "bulk_trouble": Benchmark("bulk_trouble"),
    "one_track": Benchmark("one_track", "--seeds 100"),
    "call_cpu": Benchmark("call_cpu", "--calls 200 --rounds 6"),
    "sync_call": Benchmark("sync_call"),
    "memory": Benchmark("memory", "--many 10000"),
    "import_time": Benchmark("import_time", "--rounds 10"),
    "simulation": Benchmark("simulation", "--seeds 0:20", "--seeds 0:200"),
    "render": Benchmark("render_cost", "--only cost --seconds 30 --repeats 1", "--only cost"),
    "speed": Benchmark("render_cost", "--only speed --repeats 1", "--only speed"),
    "sound": Benchmark("render_cost", "--only audio"),
    "looks": Benchmark("render_cost", "--only looks --seconds 30 --repeats 1", "--only looks"),
    "outputs": Benchmark(
        "render_cost", "--only outputs --seconds 30 --repeats 1", "--only outputs"
    ),
    "server": Benchmark("server_api", "--only load --short", "--only load"),
    "redis": Benchmark("redis_rate_limit", "--periods 6", "--peers"),
    "dask": Benchmark("dask_render", "--songs 4 --seconds 20 --mix 0 --rounds 1"),
    "scale": Benchmark("server_scale", "--quick"),
}


def all_rows(records: Records) -> Iterator[dict[str, Any]]:
    """Yield the rows of all tables."""
    for record in records:
        yield from record.get("rows", [])


def measured(name: str) -> Callable[[Records], Found | None]:
    """Find the row of a figure by the start of its name."""

    def find(records: Records) -> Found | None:
        for row in all_rows(records):
            if str(row.get("figure", "")).startswith(name):
                return Found(float(row["measured"]))
        return None

    return find


def cell(column: str, **where: object) -> Callable[[Records], Found | None]:
    """Find a column in the first row that has the given values."""

    def find(records: Records) -> Found | None:
        for row in all_rows(records):
            if all(row.get(key) == value for key, value in where.items()):
                return Found(float(row[column]))
        return None

    return find


def against(
    column: str, key: str, ours: str, *others: str, best: Callable[..., float] = min
) -> Callable[[Records], Found | None]:
    """Find the worst of our rows, and the best of those of others."""
    worst = max if best is min else min

    def find(records: Records) -> Found | None:
        rows = [row for row in all_rows(records) if key in row]
        mine = [float(row[column]) for row in rows if row[key] == ours]
        theirs = [(float(row[column]), str(row[key])) for row in rows if row[key] in others]
        if not mine:
            return None
        value, name = best(theirs) if theirs else (0.0, "")
        return Found(worst(mine), (name, value) if name else None)

    return find


def summed(*keys: str) -> Callable[[Records], Found | None]:
    """Find the sum of some values of a table that is one object."""

    def find(records: Records) -> Found | None:
        found = [record for record in records if keys[0] in record]
        return Found(float(sum(found[0][key] for key in keys))) if found else None

    return find


def looks(what: str, *without: str) -> Callable[[Records], Found | None]:
    """Find the largest ratio of a look to bars."""

    def find(records: Records) -> Found | None:
        ratios = {
            str(row["figure"]).partition(" / ")[0]: float(row["measured"])
            for row in all_rows(records)
            if str(row.get("figure", "")).endswith(f"/ bars: {what}")
        }
        kept = [ratio for name, ratio in ratios.items() if name not in without]
        return Found(max(kept)) if kept else None

    return find


def lost_in_trouble(records: Records) -> Found | None:
    """Find the tracks that were paid for and lost, beside those of the README's loop."""
    rows = [row for row in all_rows(records) if "trouble" in row]
    ours, theirs = (
        float(sum(row[column] for row in rows))
        for column in ("paid for and lost by it", "paid for and lost")
    )
    return Found(ours, ("the loop", theirs)) if rows else None


FIGURES = (
    Figure("paid for and lost, of 24 tracks in trouble", "readme_loop", lost_in_trouble, 0),
    Figure("405 or 430 of 20 calls in 10 s, counted exactly", "rate_limit",
           against("405", "limiter", "mp4gen", "textbook"), 0),
    Figure("share of the rate that is used, 60 to 200 ms latency", "rate_limit",
           against("used", "limiter", "mp4gen", best=max), 0.94, at_least=True),
    Figure("requests, ours / a careful script's", "naive_script",
           measured("requests, ours"), 0.12),
    Figure("makespan, ours / a careful script's", "naive_script",
           measured("makespan, ours"), 0.75),
    Figure("requests a video, 1,000 tracks", "bulk",
           measured("1,000 tracks, 2 seeds: requests"), 2.02),
    Figure("makespan / floor, 1,000 tracks", "bulk",
           measured("1,000 tracks, 2 seeds: makespan"), 1.10),
    Figure("requests a video, 10,000 tracks", "bulk",
           measured("10,000 tracks, 1 seeds: requests"), 2.01),
    Figure("makespan / floor, 10,000 tracks", "bulk",
           measured("10,000 tracks, 1 seeds: makespan"), 1.03),
    Figure("one track: mean delay / time of the render", "one_track",
           cell("delay / duration", polling="default"), 0.09),
    Figure("one track: requests", "one_track", cell("requests", polling="default"), 8),
    Figure("CPU of a call / bare aiohttp, one at a time", "call_cpu",
           cell("ratio", **{"at once": 1}), 1.3),
    Figure("CPU of a call / bare aiohttp, 50 at once", "call_cpu",
           cell("ratio", **{"at once": 50}), 1.4),
    Figure("blocking call over the async one, us", "sync_call",
           measured("blocking call over"), 150),
    Figure("memory of a waiting conversion / a sleeping task", "memory",
           cell("ratio", what="waiting conversion"), 1.6),
    Figure("memory of one queued for a slot / a sleeping task", "memory",
           cell("ratio", what="queued for a slot"), 2.5),
    Figure("CPU of `import mp4gen` / `import aiohttp`", "import_time",
           cell("ratio", **{"import": "mp4gen"}), 1.15),
    Figure("lost and doubled in simulated runs with kills", "simulation",
           summed("lost", "duplicated"), 0),
    Figure("hung or over the rate in the same", "simulation",
           summed("hangs", "windows over 20"), 0),
    Figure("render CPU / ffmpeg -loop 1, drawn PNG and AAC", "render",
           measured("ours / ffmpeg -loop 1"), 0.10),
    Figure("render CPU / the cheapest still video", "render",
           measured("ours / ffmpeg -loop 1, smooth"), 0.24),
    Figure("render CPU / ffmpeg showcqt", "render", measured("ours / showcqt"), 0.33),
    Figure("CPU of four videos of a song / of one", "outputs",
           measured("four with a cache / one video"), 3.2),
    Figure("3-minute track on all cores, x real time", "speed",
           measured("one 3-minute track in pieces"), 25, at_least=True),
    Figure("signal-to-noise ratio of the sound, worst, dB", "sound",
           measured("signal-to-noise ratio: the worst"), 33, at_least=True),
    Figure("CPU of the dearest look but wave / bars", "looks", looks("CPU", "wave"), 1.6),
    Figure("CPU of wave / bars", "looks", looks("CPU"), 2.0),
    Figure("bits of the largest look but wave / bars", "looks", looks("bits", "wave"), 2.2),
    Figure("bits of wave / bars", "looks", looks("bits"), 3),
    Figure("4 processes on one Redis: refused calls", "redis", measured("refused calls"), 0),
    Figure("share of the rate that they use", "redis",
           measured("share of the rate"), 0.9, at_least=True),
    Figure("the same after one is killed, worst", "redis",
           measured("share after a kill"), 0.85, at_least=True),
    Figure("songs on 2 Dask workers / 1", "dask",
           measured("songs on 2 workers"), 1.8, at_least=True),
    Figure("one song in a Dask cluster / here", "dask", measured("one song in the cluster"), 1.1),
    Figure("tasks lost when the cluster is killed", "dask", measured("tasks lost"), 0),
)  # fmt: skip

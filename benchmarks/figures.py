"""The published figures: which benchmark measures each, where it is in its tables, and its goal."""

from __future__ import annotations

from attrs import frozen
from finders import (
    Finder,
    against,
    cell,
    looks,
    lost_in_trouble,
    measured,
    relative,
    summed,
    total,
)


@frozen
class Benchmark:
    """A script, with its arguments for a quick and for a full run.

    Attributes:
        script: its name, without `.py`.
        quick: arguments of a quick run; None leaves it out of these.
        full: arguments of a full run.
        peers: the peers that it runs, as `peers.py` names them.
        needs: programs and packages without which it cannot run.
    """

    script: str
    quick: str | None = ""
    full: str = ""
    peers: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@frozen
class Figure:
    """One published figure.

    Attributes:
        name: what is measured, with its unit if it is no ratio or count.
        benchmark: which benchmark measures it.
        find: returns it from the benchmark's tables, or None if it is not there.
        goal: the limit.
        at_least: whether the goal must be reached, and not be exceeded.
        in_readme: whether it is in the table of the README, and not only in the documentation.
    """

    name: str
    benchmark: str
    find: Finder
    goal: float
    at_least: bool = False
    in_readme: bool = False

    @property
    def goal_text(self) -> str:
        """The goal as text."""
        return f"{'>=' if self.at_least else '<='} {self.goal:g}" if self.goal else "0"

    def is_held(self, value: float) -> bool:
        """Return whether a value holds the goal."""
        return value >= self.goal if self.at_least else value <= self.goal

    def format(self, value: float) -> str:
        """Return the value as text, with three digits, or four from 1 on."""
        return f"{value:.0f}" if value >= 1000 else f"{value:.{4 if value >= 1 else 3}g}"


RENDER = ("av", "numpy", "PIL")
BENCHMARKS = {
    "rate_limit": Benchmark("rate_limit", "--calls 2000 --client-calls 100", peers=("limiters",)),
    "readme_loop": Benchmark("readme_loop", needs=("requests",)),
    "comparison": Benchmark("comparison", "--scale 10", peers=("suno-easy",)),
    "naive_script": Benchmark("naive_script", "--seeds 2"),
    "thousand_tracks": Benchmark(
        "naive_script", "--tracks 1000 --seeds 1", "--tracks 1000 --seeds 3",
        peers=("limiters", "suno-easy"),
    ),
    "bulk": Benchmark("bulk", "--seeds 6 --large 1", "--full"),
    "bulk_trouble": Benchmark("bulk_trouble", None),
    "bulk_stop": Benchmark("bulk_stop"),
    "bulk_ledger": Benchmark("bulk_ledger", "--tracks 20000 --commits 1000"),
    "callbacks": Benchmark("callbacks", "--seeds 1 --large 0"),
    "one_track": Benchmark("one_track", "--seeds 100"),
    "call_cpu": Benchmark("call_cpu", "--calls 200 --rounds 10"),
    "sync_call": Benchmark("sync_call", "--calls 1000"),
    "memory": Benchmark("memory", "--many 10000"),
    "import_time": Benchmark("import_time", "--rounds 10", peers=("suno-easy",)),
    "simulation": Benchmark("simulation", "--seeds 0:20"),
    "redis": Benchmark(
        "redis_rate_limit",
        "--periods 6 --kills 1 --quick --peers pyrate-limiter", "--peers all",
        peers=("limiters",), needs=("redis-server", "redis"),
    ),
    "render": Benchmark(
        "render_cost", "--only cost --repeats 1", "--only cost",
        peers=("moviepy", "seewav"), needs=RENDER,
    ),
    "speed": Benchmark("render_cost", "--only speed --repeats 3", "--only speed", needs=RENDER),
    "sound": Benchmark("render_cost", "--only audio", "--only audio", needs=RENDER),
    "looks": Benchmark(
        "render_cost", "--only looks --seconds 30 --repeats 1", "--only looks", needs=RENDER
    ),
    "outputs": Benchmark(
        "render_cost", "--only outputs --seconds 30 --repeats 1", "--only outputs", needs=RENDER
    ),
    "workers": Benchmark("server_api", "--only workers --short", "--only workers", needs=RENDER),
    "server": Benchmark("server_api", "--only load --short", "--only load", needs=RENDER),
    "scale": Benchmark(
        "server_scale", "--only queue --quick --starts 2500", "--only queue", needs=RENDER
    ),
    "server_trouble": Benchmark("server_trouble", None, needs=RENDER),
    "dask": Benchmark(
        "dask_render", "--songs 4 --seconds 20 --mix 0 --rounds 1", "--mix 0",
        needs=("distributed", *RENDER),
    ),
}  # fmt: skip

LIMITERS = ("aiolimiter", "pyrate-limiter", "limits, moving window")
SCRIPTS = ("careful script", "careful script, aiolimiter", "suno-easy, one at a time")
PEER_CPU = ("showcqt", "showfreqs", "showwaves", "moviepy", "seewav")
FIGURES = (
    Figure("paid for and lost, of 24 tracks in trouble", "readme_loop", lost_in_trouble, 0,
           in_readme=True),
    Figure("paid for and lost, of 131 tracks in a loop and in threads", "comparison",
           total("paid and lost", "mp4gen", "suno-easy"), 0, in_readme=True),
    Figure("refused of 2,000 calls at the limit, counted exactly", "rate_limit",
           against("405", "limiter", "mp4gen", *LIMITERS), 0, in_readme=True),
    Figure("refused to the whole client over loopback", "rate_limit",
           cell("405", limiter="whole client"), 0),
    Figure("share of the limit that is used, 60 to 200 ms latency", "rate_limit",
           against("used", "limiter", "mp4gen", best=max), 0.94, at_least=True),
    Figure("requests a video, 1,000 tracks", "thousand_tracks",
           against("requests a video", "program", "mp4gen", *SCRIPTS), 2.02, in_readme=True),
    Figure("time of 1,000 tracks / the shortest without a refusal", "thousand_tracks",
           against("seconds", "program", "mp4gen", *SCRIPTS, base="floor"), 1.10, in_readme=True),
    Figure("the same, mean of more runs", "bulk", measured("1,000 tracks", "makespan / floor"),
           1.10),
    Figure("the same, worst of these", "bulk", measured("1,000 tracks", "worst makespan"), 1.35),
    Figure("requests a video, 10,000 tracks", "bulk",
           measured("10,000 tracks", "requests a video"), 2.01),
    Figure("time of 10,000 tracks / the shortest", "bulk",
           measured("10,000 tracks", "makespan / floor"), 1.03),
    Figure("200 tracks: requests / a careful script's", "naive_script",
           measured("requests, ours"), 0.12),
    Figure("200 tracks: time / a careful script's", "naive_script",
           measured("makespan, ours"), 0.75),
    Figure("requests a video with callbacks that are believed", "callbacks",
           measured("1,000 tracks", "believed: requests a video"), 1.05),
    Figure("forged callbacks that are accepted, of 10,000", "callbacks",
           measured("10,000 forgeries: accepted"), 0),
    Figure("one track: mean delay / time of the render", "one_track",
           against("delay / duration", "polling", "default", "runwayml's rule"), 0.09),
    Figure("one track: requests", "one_track",
           against("requests", "polling", "default", "runwayml's rule"), 8),
    Figure("wait of a single call during a bulk run, s", "bulk_trouble",
           measured("single call in a full run"), 10),
    Figure("tracks that fail in six hours of maintenance", "bulk_trouble",
           measured("455 for six hours: failed"), 0),
    Figure("tracks that fail in ten minutes of refusals", "bulk_trouble",
           measured("405 for ten minutes: failed"), 0),
    Figure("submits after a stop", "bulk_stop", measured("stop while 20 submits"), 0),
    Figure("uncertain tracks after an end while connecting", "bulk_stop",
           measured("ended while connecting"), 0),
    Figure("lost and doubled videos in simulated runs with kills", "simulation",
           summed("lost", "duplicated"), 0, in_readme=True),
    Figure("hung or over the limit in these", "simulation", summed("hangs", "windows over 20"), 0),
    Figure("speed of the ledger / plain SQLite on the same disk", "bulk_ledger",
           measured("the same, relative to plain SQLite"), 0.6, at_least=True),
    Figure("CPU of a call / bare aiohttp and json, one at a time", "call_cpu",
           cell("ratio", **{"at once": 1}), 1.3, in_readme=True),
    Figure("CPU of a call / bare aiohttp and json, 50 at once", "call_cpu",
           cell("ratio", **{"at once": 50}), 1.4),
    Figure("blocking call beyond the async one, us", "sync_call",
           measured("blocking call over"), 150),
    Figure("memory of a waiting conversion / a sleeping task", "memory",
           against("ratio", "what", "waiting conversion", "thread"), 1.6, in_readme=True),
    Figure("memory of one queued for a slot / a sleeping task", "memory",
           cell("ratio", what="queued for a slot"), 2.5),
    Figure("CPU of `import mp4gen` / `import aiohttp`", "import_time",
           against("ratio", "import", "mp4gen", "suno-easy"), 1.15, in_readme=True),
    Figure("4 processes on one Redis: refused calls", "redis",
           against("refused", "limiter", "mp4gen", "pyrate-limiter", "limits moving window",
                   "limits fixed window", "limits sliding window counter"), 0, in_readme=True),
    Figure("4 processes on one Redis: refused after a kill", "redis",
           measured("refused calls"), 0),
    Figure("share of the limit that they use", "redis",
           measured("share of the rate"), 0.9, at_least=True),
    Figure("the same after one is killed, worst", "redis",
           measured("share after a kill"), 0.85, at_least=True),
    Figure("CPU of a video / `ffmpeg -loop 1` with a drawn image", "render",
           relative("ours", "ffmpeg -loop 1", *PEER_CPU), 0.10, in_readme=True),
    Figure("the same, lively music, smooth image, copied sound", "render",
           measured("ours / ffmpeg -loop 1, smooth"), 0.24, in_readme=True),
    Figure("CPU of a video / ffmpeg showcqt", "render", measured("ours / showcqt"), 0.33),
    Figure("CPU of a video / moviepy with bars", "render", measured("ours / moviepy"), 0.20,
           in_readme=True),
    Figure("CPU of a video / seewav", "render", measured("ours / seewav"), 0.08, in_readme=True),
    Figure("CPU of four videos of a song / of one", "outputs",
           measured("four with a cache / one video"), 3.2),
    Figure("3-minute track on all cores, x real time", "speed",
           measured("one 3-minute track in pieces", "", {"ffmpeg showcqt": "ffmpeg showcqt"}),
           25, at_least=True, in_readme=True),
    Figure("signal-to-noise ratio of the sound, worst, dB", "sound",
           measured("signal-to-noise ratio: the worst", "", {"ffmpeg": "ffmpeg -c:a"}), 33,
           at_least=True, in_readme=True),
    Figure("CPU of the dearest look but wave / bars", "looks", looks("CPU", "wave"), 1.6),
    Figure("CPU of the dearest look / bars", "looks", looks("CPU"), 2.0, in_readme=True),
    Figure("bits of the largest look but wave / bars", "looks", looks("bits", "wave"), 2.2),
    Figure("bits of the largest look / bars", "looks", looks("bits"), 3),
    Figure("videos a minute for each of two workers / of one alone", "workers",
           cell("ratio (goal >= 0.85 a worker)", workers=2), 0.85, at_least=True),
    Figure("responses of the server beside renders / a bare aiohttp handler", "server",
           cell("rate ratio (goal >= 0.6)"), 0.6, at_least=True, in_readme=True),
    Figure("memory of a waiting task in the server, bytes", "scale",
           cell("bytes each (goal <= 1000)"), 1000, in_readme=True),
    Figure("videos a minute of two Dask workers / one", "dask",
           measured("songs on 2 workers"), 1.8, at_least=True, in_readme=True),
    Figure("one song in a Dask cluster / here", "dask", measured("one song in the cluster"), 1.1),
    Figure("tasks lost when the cluster is killed", "dask", measured("tasks lost"), 0,
           in_readme=True),
    Figure("tasks that fail while the disk, the music or workers fail", "server_trouble",
           measured("failed tasks"), 0),
)  # fmt: skip

"""Draw bar charts as SVG, from the tables that the benchmarks wrote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from attrs import frozen
from finders import CPU, Records, all_rows

WIDTH, MARGIN, LABEL, ROW, TOP = 720, 24, 236, 34, 82
BAR_HEIGHT = 16
# The usual width of a character of the values, in pixels.
CHARACTER = 7.6
# A bar that is this many times as long as the next one is cut.
CUT = 4.0
# The panel brings its own background, since a page may be light in a dark browser.
STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
.panel { fill: #ffffff; stroke: #d8dce6 } .text, .title { fill: #1d2130 } .unit { fill: #5d6478 }
.bar { fill: #c3c9d8 } .ours { fill: #6d4aff } .ideal { stroke: #1d2130 }
.title { font-size: 17px; font-weight: 600 } .unit { font-size: 13px } .strong { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  .panel { fill: #12151d; stroke: #2c3242 } .text, .title { fill: #eceef5 } .unit { fill: #a2a9bc }
  .bar { fill: #4a5268 } .ours { fill: #8f75ff } .ideal { stroke: #eceef5 }
}
"""


@frozen
class Bar:
    """One bar.

    Attributes:
        label: the text before it.
        value: its length.
        note: a text after its value.
        ours: whether it is that of mp4gen.
        ideal: the value that would be ideal, marked by a line.
    """

    label: str
    value: float
    note: str = ""
    ours: bool = False
    ideal: float | None = None

    @property
    def text(self) -> str:
        """The text after the bar."""
        return f"{_number(self.value)}{self.note}"


def draw_charts(records: dict[str, Records], folder: Path) -> None:
    """Write a chart for each benchmark that ran and has one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (title, unit, bars_of) in CHARTS.items():
        if bars := bars_of(records):
            chart = bar_chart(title, unit, bars)
            (folder / f"chart-{name}.svg").write_text(chart, encoding="utf-8")


def bar_chart(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """Return a chart of horizontal bars as SVG."""
    height = TOP + ROW * len(bars) + 12
    after = CHARACTER * max(len(bar.text) for bar in bars) + 12
    longest = _longest(bars)
    scale = (WIDTH - LABEL - MARGIN - after) / longest
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    name = f'role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {name}>',
        f"<style>{STYLE}</style>",
        f'<rect class="panel" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        _text("title", MARGIN, 36, title),
        _text("unit", MARGIN, 58, unit),
    ]
    for number, bar in enumerate(bars):
        parts += _draw_bar(bar, TOP + ROW * number, scale, longest)
    return "\n".join([*parts, "</svg>", ""])


def _longest(bars: Sequence[Bar]) -> float:
    """Return the value that fills the chart: a bar far longer than the others is cut."""
    values = sorted((max(bar.value, bar.ideal or 0.0) for bar in bars), reverse=True)
    if len(values) > 1 and values[1] and values[0] > CUT * values[1]:
        return 1.6 * values[1]
    return values[0] or 1.0


def _draw_bar(bar: Bar, top: float, scale: float, longest: float) -> list[str]:
    length = max(min(bar.value, longest) * scale, 2)
    line, y = top + ROW / 2, top + (ROW - BAR_HEIGHT) / 2
    strong = " strong" if bar.ours else ""
    kind = "ours" if bar.ours else "bar"
    size = f'width="{length:.1f}" height="{BAR_HEIGHT}" rx="3"'
    parts = [
        _text(f"text{strong}", LABEL - 12, line + 5, bar.label, ' text-anchor="end"'),
        f'<rect class="{kind}" x="{LABEL}" y="{y:.1f}" {size}/>',
    ]
    if bar.value > longest:
        x = LABEL + length - 26
        points = f"{x},{y + 18} {x + 6},{y + 18} {x + 14},{y - 2} {x + 8},{y - 2}"
        parts.append(f'<polygon class="panel" stroke-width="0" points="{points}"/>')
    end = length
    if bar.ideal is not None:
        at = LABEL + bar.ideal * scale
        end = max(length, bar.ideal * scale + 2)
        parts.append(
            f'<path class="ideal" stroke-width="2" d="M{at:.1f} {y - 4:.1f}V{y + 20:.1f}"/>'
        )
    return [*parts, _text(f"text{strong}", LABEL + end + 8, line + 5, bar.text)]


def _text(kind: str, x: float, y: float, text: str, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _thousand_tracks(records: dict[str, Records]) -> list[Bar]:
    rows = [row for row in all_rows(records.get("thousand_tracks", [])) if "program" in row]
    bars = [
        Bar(
            "the shortest without a refusal" if row["program"] == "floor" else str(row["program"]),
            float(row["seconds"]) / 60,
            " min" if row["program"] == "floor" else f" min, {float(row['405']):,.0f} refused",
            ours=row["program"] == "mp4gen",
        )
        for row in rows
    ]
    return sorted(bars, key=lambda bar: bar.value)


def _refusals(records: dict[str, Records]) -> list[Bar]:
    rows = [row for row in all_rows(records.get("rate_limit", [])) if row.get("latency ms") == 100]
    names = {"textbook": "a textbook window"}
    return [
        Bar(
            names.get(str(row["limiter"]), str(row["limiter"])),
            float(row["405"]),
            ours=row["limiter"] == "mp4gen",
        )
        for row in sorted(rows, key=lambda row: float(row["405"]))
    ]


def _memory(records: dict[str, Records]) -> list[Bar]:
    names = {
        "sleeping task": "asyncio.sleep in a task",
        "waiting conversion": "mp4gen, between polls",
        "queued for a slot": "mp4gen, before its submit",
        "thread": "a waiting thread",
    }
    rows = [row for row in all_rows(records.get("memory", [])) if "bytes each" in row]
    return [
        Bar(
            names.get(str(row["what"]), str(row["what"])),
            float(row["bytes each"]),
            ours=row["what"] in ("waiting conversion", "queued for a slot"),
        )
        for row in rows
    ]


def _render_cpu(records: dict[str, Records]) -> list[Bar]:
    names = {
        "ours": "mp4gen",
        "ours, fine": "mp4gen, --quality fine",
        "ffmpeg -loop 1": "ffmpeg -loop 1 (a still)",
        "showcqt": "ffmpeg showcqt",
        "showfreqs": "ffmpeg showfreqs",
        "showwaves": "ffmpeg showwaves",
    }
    bars = [
        Bar(names.get(name, name), float(row["measured"]), ours=name.startswith("ours"))
        for row in all_rows(records.get("render", []))
        for name in [str(row.get("figure", "")).removesuffix(CPU)]
        if str(row.get("figure", "")).endswith(CPU)
    ]
    return sorted(bars, key=lambda bar: bar.value)


def _cores(records: dict[str, Records]) -> list[Bar]:
    rows = [*all_rows(records.get("workers", [])), *all_rows(records.get("dask", []))]
    bars: list[Bar] = []
    for key, name in (("workers", "mp4gen serve"), ("Dask workers", "on Dask")):
        found = {int(row[key]): _video_minutes(row) for row in rows if key in row}
        for count, value in found.items():
            cores = "1 core" if count == 1 else f"{count} cores"
            bars.append(Bar(f"{name}, {cores}", value, ours=True, ideal=found[1] * count))
    return bars


def _video_minutes(row: dict[str, object]) -> float:
    return float(str(row["a minute"])) * float(str(row["seconds each"])) / 60


CHARTS: dict[str, tuple[str, str, Callable[[dict[str, Records]], list[Bar]]]] = {
    "thousand-tracks": (
        "1,000 tracks through the API",
        "minutes, and requests refused; 20 requests in 10 s, polls included",
        _thousand_tracks,
    ),
    "refusals": (
        "Calls that a service with an exact limit refuses",
        "of 2,000 calls, 20 in 10 s allowed, latency of 100 ms with spikes",
        _refusals,
    ),
    "memory": ("Memory of one wait", "bytes", _memory),
    "render-cpu": (
        "Processor time of a minute of video",
        "CPU seconds, 1280x720 at 30 frames a second, with sound",
        _render_cpu,
    ),
    "cores": (
        "Minutes of video that are rendered in a minute",
        "the line is as many times that of one core",
        _cores,
    ),
}

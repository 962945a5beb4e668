"""Draw bar charts as SVG, from the tables that the benchmarks wrote."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from attrs import frozen
from figures import Records, all_rows

WIDTH, LABEL, ROW, TOP, VALUE = 720, 250, 30, 46, 70
OURS, OTHER = "#7c5cff", "#9aa0b4"
# Readable on white and on dark pages, as the README is shown on both.
TEXT = "#6b7080"


@frozen
class Bar:
    """One bar: its label and value, and whether it is ours."""

    label: str
    value: float
    ours: bool = False


def draw_charts(records: dict[str, Records], folder: Path) -> None:
    """Write a chart for each benchmark that ran and has one."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, title, bars in (
        ("refusals", "Refused of 2,000 calls, limit counted exactly", _refusals(records)),
        ("memory", "Memory of one wait, bytes", _memory(records)),
        ("render-cpu", "CPU seconds for the video of one song", _render_cpu(records)),
    ):
        if bars:
            (folder / f"{name}.svg").write_text(bar_chart(title, bars), encoding="utf-8")


def bar_chart(title: str, bars: Sequence[Bar]) -> str:
    """Return a chart of horizontal bars as SVG."""
    height = TOP + ROW * len(bars) + 10
    largest = max(bar.value for bar in bars) or 1.0
    scale = (WIDTH - LABEL - VALUE) / largest
    font = f'font-family="Inter, system-ui, sans-serif" font-size="14" fill="{TEXT}"'
    box = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} {font}>',
        f'<text x="0" y="22" font-size="16" font-weight="600">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        parts += _draw_bar(bar, TOP + ROW * number, scale)
    return "\n".join([*parts, "</svg>", ""])


def _draw_bar(bar: Bar, top: float, scale: float) -> list[str]:
    length = max(bar.value * scale, 2)
    weight = ' font-weight="600"' if bar.ours else ""
    text = top + ROW / 2 + 1
    size = f'width="{length:.1f}" height="{ROW - 14}" rx="3"'
    return [
        f'<text x="{LABEL - 12}" y="{text}" text-anchor="end"{weight}>{escape(bar.label)}</text>',
        f'<rect x="{LABEL}" y="{top + 4}" {size} fill="{OURS if bar.ours else OTHER}"/>',
        f'<text x="{LABEL + length + 8:.1f}" y="{text}"{weight}>{bar.value:,.4g}</text>',
    ]


def _refusals(records: dict[str, Records]) -> list[Bar]:
    rows = [row for row in all_rows(records.get("rate_limit", [])) if row.get("latency ms") == 100]
    return [
        Bar(str(row["limiter"]), float(row["405"]), ours=row["limiter"] == "mp4gen") for row in rows
    ]


def _memory(records: dict[str, Records]) -> list[Bar]:
    rows = [row for row in all_rows(records.get("memory", [])) if "bytes each" in row]
    return [
        Bar(str(row["what"]), float(row["bytes each"]), ours=row["what"] != "sleeping task")
        for row in rows
    ]


def _render_cpu(records: dict[str, Records]) -> list[Bar]:
    names = {
        str(row["figure"]).removesuffix(": CPU s"): float(row["measured"])
        for row in all_rows(records.get("render", []))
        if str(row.get("figure", "")).endswith(": CPU s")
    }
    bars = [
        Bar(name.replace("ours", "mp4gen"), spent, name == "ours") for name, spent in names.items()
    ]
    return sorted(bars, key=lambda bar: bar.value)

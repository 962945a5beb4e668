"""Measure the speed and the memory of renders; run by `render_cost.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time

from render_peers import visualisers
from support_render import ENVIRONMENT, OURS, Context, lowest, python, repeated, run

# VmHWM of the process itself: the rusage of an ended child includes the parent's pages.
MEMORY = (
    OURS
    + """
lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(lines["VmHWM"].split()[0]) * 1024 / 1e6)
"""
)
ANALYSIS = """
import sys, time
from mp4gen.render import analysis
start = time.process_time()
analysis.analyse(sys.argv[1], fps=30, bands=64, max_duration=7200)
print(time.process_time() - start)
"""


def speed(context: Context) -> None:
    """Measure seconds of video per second of real time, and the delay of a cancel."""
    cores = os.cpu_count() or 1
    track = repeated(context, 180)
    whole = [python(OURS, track, context.output, "fast", cores)]
    alone = [python(OURS, track, context.output, "fast", 1)]
    two = [python(OURS, context.music, context.folder / f"{n}.mp4", "fast", 1) for n in (1, 2)]
    jobs = {
        "one 3-minute track in pieces": (whole, 180, 25),
        "one 3-minute track in one process": (alone, 180, None),
        "two tracks side by side": (two, 2 * context.seconds, 16),
    }
    if shutil.which("ffmpeg"):
        command = visualisers(str(context.music), "", context.output, context.seconds)["showcqt"]
        jobs["ffmpeg showcqt"] = ([command], context.seconds, None)
    found = dict.fromkeys(jobs, 1e9)
    for _ in range(context.repeats):
        for name, (commands, _, _) in jobs.items():
            found[name] = min(found[name], _together(commands))
    for name, (_, seconds, goal) in jobs.items():
        rate = seconds / found[name]
        context.report.add(f"{name}: x real time, {cores} cores", rate, min_value=goal)
    spent = lowest({"analysis": python(ANALYSIS, context.music)}, context.repeats)["analysis"]
    context.report.add("analysis: x real time on one core", context.seconds / spent, min_value=200)
    context.report.add("cancel: ms until it has stopped", _cancel_latency(context), max_value=100)


def _together(commands: list[list[str]]) -> float:
    start = time.perf_counter()
    children = [subprocess.Popen(each, env=ENVIRONMENT) for each in commands]  # noqa: S603
    assert max([child.wait() for child in children]) == 0
    return time.perf_counter() - start


def _cancel_latency(context: Context) -> float:
    from mp4gen.errors import RenderCancelledError
    from mp4gen.render import render_video

    cancel, at = threading.Event(), [0.0]

    def stop(done: float, _: float) -> None:
        if done > 0 and not cancel.is_set():
            at[0] = time.perf_counter()
            cancel.set()

    try:
        render_video(context.music, context.output, cancel=cancel, on_progress=stop)
    except RenderCancelledError:
        return 1000 * (time.perf_counter() - at[0])
    raise AssertionError("The render was not cancelled.")


def memory(context: Context) -> None:
    """Compare the peak memory of an hour and of three minutes of the same music repeated."""
    peaks = {}
    for minutes in (3, 60):
        long = repeated(context, minutes * 60)
        peaks[minutes] = float(run(python(MEMORY, long, context.output, "fast", 1)).output)
        context.report.add(f"peak of {minutes} minutes, MB", peaks[minutes], max_value=250)
        long.unlink()
    context.report.add("peak of 60 minutes / of 3", peaks[60] / peaks[3], max_value=1.1)

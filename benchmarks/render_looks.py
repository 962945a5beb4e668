"""Compare looks, outputs, backgrounds and lyrics with a plain video; run by `render_cost.py`."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import render_backgrounds
import render_lyrics
from support_render import OURS, Context, lowest, python, run

# One song as a landscape, a portrait, a square, and a landscape of half its length.
OUTPUTS = """
import sys
from mp4gen.render import RenderStyle, SongCache, render_video
music, to, seconds, is_shared = sys.argv[1:5]
cache = SongCache() if int(is_shared) else None
for width, height, length in ((1280, 720, None), (720, 1280, None), (720, 720, None),
                              (1280, 720, float(seconds) / 2)):
    render_video(music, to, author="Suno Artist", title="Midnight Over Lisbon", max_duration=7200,
                 domain_name="music.example.com", length=length, cache=cache,
                 style=RenderStyle(width=width, height=height))
"""
LOOK = """
import sys
from mp4gen.render import RenderStyle, render_video
music, to, look = sys.argv[1:4]
render_video(music, to, author="Suno Artist", title="Midnight Over Lisbon", max_duration=7200,
             domain_name="music.example.com", style=RenderStyle(look=look))
"""
# The video alone, in our own loop: moving, or one still frame sent again and again. All kinds take
# turns within one process, a second of video each, so that a slow moment affects all alike.
LOOP = """
import itertools, json, sys, time, av
from mp4gen.render import RenderStyle, analysis, encode, pieces, preparation
music, to, kinds = sys.argv[1:4]
style = RenderStyle()
request = preparation.RenderRequest(
    "Suno Artist", "music.example.com", "Midnight Over Lisbon", None, style, 7200)
prepared = preparation.prepare(music, request, analysis.analyse)
own = encode._options

def turns(number, options, still):
    frame, canvas = encode.new_frame(style)
    whole = pieces.Piece(0, prepared.spec.frame_count)
    frame_numbers = pieces.Drawing(prepared, canvas).draw(whole)
    if still:
        next(frame_numbers)
        frame_numbers = iter(range(prepared.spec.frame_count))
    with av.open(f"{to}.{number}", "w", format="mp4") as output:
        encode._options = (lambda *_: options) if options else own
        video = encode.video_stream(output, style)
        for _ in range(0, prepared.spec.frame_count, style.fps):
            start = time.process_time()
            for frame.pts in itertools.islice(frame_numbers, style.fps):
                output.mux(video.encode(frame))
            yield time.process_time() - start
        output.mux(video.encode(None))

kinds = [turns(number, *kind) for number, kind in enumerate(json.loads(kinds))]
print(json.dumps(list(zip(*kinds))))
"""
# The most CPU time and bits beside those of bars, if they are not 1.6 and 2.2.
LOOK_GOALS = {"wave": (2.0, 3.0)}


def outputs(context: Context) -> None:
    """Compare four videos of a song, which share the analysis and the audio, with one."""
    command = (OUTPUTS, context.music, context.output, context.seconds)
    commands = {
        "one": python(OURS, context.music, context.output, "fast", 1),
        "four with a cache": python(*command, 1),
        "four without": python(*command, 0),
    }
    spent = lowest(commands, context.repeats)
    goals = {"four with a cache": 3.2, "four without": None}
    for name, goal in goals.items():
        context.report.add(
            f"{name} / one video of a song", spent[name] / spent["one"], max_value=goal
        )


def looks(context: Context) -> None:
    """Compare the whole render and the video's bits of each look with those of bars."""
    from mp4gen.render.looks import OWN_LOOKS

    files = {look: context.folder / f"{look}.mp4" for look in OWN_LOOKS}
    commands = {look: python(LOOK, context.music, to, look) for look, to in files.items()}
    costs = lowest(commands, context.repeats)
    bits = {look: _video_bits(to) for look, to in files.items()}
    for look in OWN_LOOKS[1:]:
        cpu_goal, bits_goal = LOOK_GOALS.get(look, (1.6, 2.2))
        name = f"{look} / bars"
        context.report.add(f"{name}: CPU", costs[look] / costs["bars"], max_value=cpu_goal)
        context.report.add(f"{name}: bits", bits[look] / bits["bars"], max_value=bits_goal)
    context.report.add("bars: CPU s", costs["bars"])
    context.report.add("bars: kb/s", bits["bars"] / context.seconds / 1000)


def _video_bits(path: Path) -> int:
    with av.open(str(path)) as container:
        return 8 * sum(packet.size for packet in container.demux(video=0))


def frames(context: Context) -> None:
    """Compare moving frames with a still frame in the same loop."""
    crf_21 = {"preset": "ultrafast", "crf": "21", "x264-params": "cabac=1:8x8dct=1:keyint=240"}
    fine = {"preset": "veryfast", "crf": "20", "x264-params": "bframes=0:keyint=240"}
    kinds = {
        "moving": ({}, False),
        "still, same quantizer": ({}, True),
        "still, crf 21": (crf_21, True),
        "fine, moving": (fine, False),
        "fine, still": (fine, True),
    }
    command = python(LOOP, context.music, context.output, json.dumps(list(kinds.values())))
    runs = np.array([json.loads(run(command).output) for _ in range(context.repeats)])
    # The lowest of the repeats, second by second.
    costs = dict(zip(kinds, runs.min(axis=0).sum(axis=0).tolist(), strict=True))
    for name, spent in costs.items():
        context.report.add(f"{name}: CPU s", spent)
    for over, under, goal in (
        ("moving", "still, crf 21", 0.6),
        ("moving", "still, same quantizer", 1.25),
        ("fine, moving", "fine, still", 1.65),
    ):
        context.report.add(f"{over} / {under}", costs[over] / costs[under], max_value=goal)


def backgrounds(context: Context) -> None:
    """Compare the backgrounds with the default, and measure the contrast of text on them."""
    pictures = render_backgrounds.draw_pictures(context.folder)
    kinds = {"auto": "auto", "blur": "blur", "colour": "#1d2b53", "picture": pictures["photo"]}
    commands = {
        kind: python(
            render_backgrounds.SCRIPT, context.music, context.folder / f"{kind}.mp4", background,
            pictures["cover"],
        )
        for kind, background in kinds.items()
    }  # fmt: skip
    costs = lowest(commands, context.repeats)
    sizes = {
        kind: render_backgrounds.picture_bytes(str(context.folder / f"{kind}.mp4"))
        for kind in kinds
    }
    for kind, most_cpu, most_bits in (
        ("blur", 1.5, 1.25),
        ("colour", 1.1, 1.1),
        ("picture", 1.1, 1.5),
    ):
        cpu, bits = costs[kind] / costs["auto"], sizes[kind] / sizes["auto"]
        context.report.add(f"{kind} / auto background: CPU", cpu, max_value=most_cpu)
        context.report.add(f"{kind} / auto background: bits", bits, max_value=most_bits)
    least = render_backgrounds.least_contrasts(context.music, pictures)
    for needed, found in least.items():
        name = "title and author" if needed == max(least) else "watermark"
        context.report.add(f"least contrast of {name}", found, min_value=needed)


def lyrics(context: Context) -> None:
    """Compare a video with lyrics, lit from word to word, with one without."""
    words = render_lyrics.write_lyrics(context.folder / "words.lrc", context.seconds)
    videos = {kind: context.folder / f"{kind}.mp4" for kind in ("with", "without")}
    commands = {
        kind: python(render_lyrics.SCRIPT, context.music, to, words if kind == "with" else "")
        for kind, to in videos.items()
    }
    costs = lowest(commands, context.repeats)
    sizes = {kind: render_backgrounds.picture_bytes(str(to)) for kind, to in videos.items()}
    cpu, bits = costs["with"] / costs["without"], sizes["with"] / sizes["without"]
    context.report.add("lyrics / no lyrics: CPU", cpu, max_value=1.6)
    context.report.add("lyrics / no lyrics: bits", bits, max_value=2.2)

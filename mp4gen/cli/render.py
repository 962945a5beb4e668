"""`mp4gen render`: one music file into one MP4, without any server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import attrs
from cyclopts import Parameter

from mp4gen.render import RenderResult, RenderStyle, render_video
from mp4gen.render.options import DEFAULT_STYLE

from .exit_codes import DONE
from .options import AsJson, parse_size
from .output import Output, display_path
from .progress_bars import ProgressDisplay
from .run_progress import format_duration
from .runner import run, run_in_thread


def render(
    audio: Annotated[Path, Parameter(help="mp3, m4a, aac, flac, ogg, opus, wav or aiff.")],
    /,
    *,
    to: Annotated[Path, Parameter(help="The MP4; an existing file is replaced.")],
    author: Annotated[
        str | None, Parameter(help="Shown at the beginning. Without it: the file's artist tag.")
    ] = None,
    domain_name: Annotated[str | None, Parameter(help="A watermark at the bottom.")] = None,
    title: Annotated[str | None, Parameter(help="Without it: the file's title tag.")] = None,
    cover: Annotated[
        Path | None,
        Parameter(help="PNG, JPEG or WEBP. Without it: the file's own, or one made from it."),
    ] = None,
    audio_mode: Annotated[
        Literal["compatible", "copy"],
        Parameter(
            name="--audio",
            help="compatible: AAC, which plays everywhere. copy: mp3, aac, flac, alac and opus "
            "bit for bit, the rest as FLAC of up to 24 bits.",
        ),
    ] = "compatible",
    size: Annotated[
        str, Parameter(help="Width x height; 720x1280 and 720x720 have layouts of their own.")
    ] = "1280x720",
    fps: Annotated[int, Parameter(help="Frames per second, 24 to 60.")] = DEFAULT_STYLE.fps,
    quality: Annotated[
        Literal["fast", "fine"], Parameter(help="fine: smaller files for more work.")
    ] = DEFAULT_STYLE.quality,
    qp: Annotated[
        int, Parameter(help="Quantizer of fast: 16 (best quality) to 28 (smallest file).")
    ] = DEFAULT_STYLE.qp,
    threads: Annotated[int, Parameter(help="Encoder threads; 0 for as many as are good.")] = 0,
    font: Annotated[
        list[Path] | None,
        Parameter(
            negative=(), help="A font for letters that the bundled one lacks; may be repeated."
        ),
    ] = None,
    max_duration: Annotated[float, Parameter(help="Seconds of music at most.")] = 1200.0,
    timeout: Annotated[
        float | None,
        Parameter(help="Seconds that it may take. Without it: a minute and ten times the music."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Render one music file into an MP4."""
    width, height = parse_size(size)
    style = RenderStyle(
        width=width,
        height=height,
        fps=fps,
        quality=quality,
        qp=qp,
        threads=threads,
        fonts=tuple(map(str, font or ())),
    )
    job = partial(
        render_video,
        audio,
        to,
        author=author,
        domain_name=domain_name,
        title=title,
        cover=cover,
        style=style,
        audio_mode=audio_mode,
        max_duration=max_duration,
        timeout=timeout,
    )
    return run(_render(job, str(audio.name), Output(as_json=as_json)))


async def _render(job: Callable[..., RenderResult], label: str, output: Output) -> int:
    cancel = threading.Event()
    with ProgressDisplay(output) as display:
        bar = display.bar(label)

        def on_progress(done: float, total: float) -> None:
            fraction = done / total if total else None
            bar.update(
                "rendering", fraction, detail=f"{format_duration(done)} of {format_duration(total)}"
            )

        work = partial(job, on_progress=on_progress, cancel=cancel)
        result = await run_in_thread(work, on_cancel=cancel.set)
    for warning in result.warnings:
        output.status(warning)
    output.line(
        f"{display_path(result.path)}  ({format_duration(result.duration)}, {result.width}x{result.height}, "
        f"{result.size_bytes / 1e6:.1f} MB)"
    )
    output.record(attrs.asdict(result))
    return DONE

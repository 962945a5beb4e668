"""`mp4gen render`: render one audio file as an MP4, without a server."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from mp4gen.render import RenderResult, render_video
from mp4gen.render.options import AudioMode

from .exit_codes import DONE
from .options import AsJson
from .output import Output, display_path
from .progress_bars import ProgressDisplay
from .run_progress import format_duration
from .runner import run, run_in_thread
from .video_options import DEFAULT_VIDEO_OPTIONS, VideoOptions


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Content:
    """What the video shows; each option is an argument of `render_video`.

    Attributes:
        author: Name shown at the beginning.
        domain_name: Watermark at the bottom.
        title: Title of the track.
        cover: PNG, JPEG or WEBP image.
    """

    author: Annotated[str | None, Parameter(show_default="the artist tag")] = None
    domain_name: str | None = None
    title: Annotated[str | None, Parameter(show_default="the title tag, else the file name")] = None
    cover: Annotated[
        Path | None, Parameter(show_default="the embedded cover, or a generated one")
    ] = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Limits:
    """How long the audio and the render may be; each option is an argument of `render_video`.

    Attributes:
        max_duration: Maximum seconds of audio.
        timeout: Maximum seconds that the render may take.
    """

    max_duration: float = 1200.0
    timeout: Annotated[float | None, Parameter(show_default="60 s and ten times the audio")] = None


_NO_CONTENT, _DEFAULT_LIMITS = Content(), Limits()


def render(
    audio: Annotated[Path, Parameter(help="File: mp3, m4a, aac, flac, ogg, opus, wav or aiff.")],
    /,
    *,
    to: Annotated[Path, Parameter(help="MP4 file to write; an existing file is replaced.")],
    content: Content = _NO_CONTENT,
    audio_mode: Annotated[
        AudioMode,
        Parameter(
            name="--audio",
            help="Sound of the video. compatible: AAC, which plays everywhere. copy: mp3, aac, "
            "flac, alac and opus bit for bit, other formats as FLAC of up to 24 bits.",
        ),
    ] = "compatible",
    video: VideoOptions = DEFAULT_VIDEO_OPTIONS,
    limits: Limits = _DEFAULT_LIMITS,
    as_json: AsJson = False,
) -> int:
    """Render an audio file as an MP4."""
    job = partial(
        render_video,
        audio,
        to,
        style=video.style(),
        audio_mode=audio_mode,
        **attrs.asdict(content),
        **attrs.asdict(limits),
    )
    return run(_render(job, audio.name, Output(as_json=as_json)))


async def _render(job: Callable[..., RenderResult], label: str, output: Output) -> int:
    cancel = threading.Event()
    with ProgressDisplay(output) as display:
        bar = display.bar(label)

        def on_progress(done: float, total: float) -> None:
            detail = f"{format_duration(done)} of {format_duration(total)}"
            bar.update("rendering", done / total if total else None, detail)

        work = partial(job, on_progress=on_progress, cancel=cancel)
        result = await run_in_thread(work, on_cancel=cancel.set)
    for warning in result.warnings:
        output.status(warning)
    size, megabytes = f"{result.width}x{result.height}", result.size_bytes / 1e6
    facts = f"{format_duration(result.duration)}, {size}, {megabytes:.1f} MB"
    output.line(f"{display_path(result.path)}  ({facts})")
    output.record(attrs.asdict(result))
    return DONE

"""`mp4gen render`: render audio files as MP4s, without a server."""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mp4gen.filesystem import names_folder
from mp4gen.render import RenderResult, probe, render_video
from mp4gen.render.formats import FORMAT_NAMES

from .arguments import expand_user_text
from .exit_codes import DONE, UsageError
from .options import AsJson, ensure_directory
from .output import Output, display_path
from .progress_bars import ProgressDisplay
from .render_jobs import RenderJob, check_target, find_jobs
from .render_options import Content, Limits, Sound, Videos, check_arguments, render_arguments
from .render_report import report_done, report_skipped
from .render_run import RenderRun, parse_workers, usable_processors
from .run_progress import format_duration
from .runner import run, run_in_thread
from .standard_input import STANDARD_INPUT, standard_input_job

_NO_CONTENT, _DEFAULT_SOUND = Content(), Sound()
_DEFAULT_VIDEOS, _DEFAULT_LIMITS = Videos(), Limits()


def render(
    *audio: Annotated[
        Path,
        Parameter(
            name="AUDIO",
            allow_leading_hyphen=True,
            help=f"Audio files ({FORMAT_NAMES}), folders of them, or - for standard input.",
        ),
    ],
    to: Annotated[
        str, Parameter(help="Folder for the videos, or the MP4 file of a single audio file.")
    ],
    overwrite: Annotated[
        bool, Parameter(help="Render existing videos again, and replace them.")
    ] = False,
    workers: Annotated[
        int | None,
        Parameter(
            show_default="one for each processor",
            help="Processes: one for each file, several for the last ones.",
        ),
    ] = None,
    content: Content = _NO_CONTENT,
    sound: Sound = _DEFAULT_SOUND,
    video: Videos = _DEFAULT_VIDEOS,
    limits: Limits = _DEFAULT_LIMITS,
    as_json: AsJson = False,
) -> int:
    """Render audio files as MP4s."""
    # It stays text, since a `Path` drops the slash of a new folder.
    output, to = Output(as_json=as_json), expand_user_text(to)
    processes = usable_processors() if workers is None else parse_workers(workers)
    styles = video.styles()
    arguments = render_arguments(content, sound, limits) | {
        "workers": processes,
        "style": next(iter(styles.values())),
    }
    check_target(to)
    if STANDARD_INPUT in audio:
        if len(styles) > 1:
            raise UsageError(f"One --to for {len(styles)} presets of standard input. Choose one.")
        with standard_input_job(audio, to) as job:
            if content.title is None:
                arguments["title"] = probe(job.audio).title or job.video.stem
            return _render_one(job, arguments, output, overwrite=overwrite)
    unreadable: list[OSError] = []
    jobs = find_jobs(audio, to, unreadable.append, styles)
    _check_songs(content, len({job.audio for job in jobs}))
    check_arguments(arguments, styles.values())
    if names_folder(to):
        ensure_directory(Path(to))
    if len(jobs) == 1 and len(audio) == 1 and not audio[0].is_dir():
        return _render_one(jobs[0], arguments, output, overwrite=overwrite)
    return run(RenderRun(output, jobs, arguments, processes, overwrite, unreadable).run())


def _check_songs(content: Content, songs: int) -> None:
    """Refuse the options for a single audio file if there are several."""
    if songs > 1 and content.title is not None:
        raise UsageError(f"One --title for {songs} audio files. Remove it.")
    if songs > 1 and content.lyrics not in ("auto", "none"):
        raise UsageError(f"One --lyrics for {songs} audio files. Remove it.")


def _render_one(
    job: RenderJob, arguments: Mapping[str, Any], output: Output, *, overwrite: bool
) -> int:
    if not overwrite and job.is_done():
        output.status(f"{display_path(job.video)} exists already. Use --overwrite to replace it.")
        report_skipped(output, job)
        return DONE
    work = partial(render_video, job.audio, job.video, **arguments)
    return run(_show_render(work, job, output))


async def _show_render(work: Callable[..., RenderResult], job: RenderJob, output: Output) -> int:
    cancel = threading.Event()
    with ProgressDisplay(output) as display:
        bar = display.bar(Path(job.name).name)

        def on_progress(done: float, total: float) -> None:
            detail = f"{format_duration(done)} of {format_duration(total)}"
            bar.update("rendering", done / total if total else None, detail)

        rendering = partial(work, on_progress=on_progress, cancel=cancel)
        result = await run_in_thread(rendering, on_cancel=cancel.set)
    report_done(output, job, result)
    return DONE

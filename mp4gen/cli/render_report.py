"""Reports the end of each render of `mp4gen render`; renders nothing."""

from pathlib import Path
from typing import Any

import attrs

from mp4gen.render import RenderResult

from .exit_codes import error_message
from .output import Output, display_path
from .render_jobs import RenderJob
from .run_progress import format_duration


def report_done(output: Output, job: RenderJob, result: RenderResult) -> None:
    """Print the path of a video, and its warnings with the name of its audio file."""
    for warning in result.warnings:
        named = job.audio.name in warning
        output.status(warning if named else f"{display_path(Path(job.name))}: {warning}")
    size, megabytes = f"{result.width}x{result.height}", result.size_bytes / 1e6
    facts = f"{format_duration(result.duration)}, {size}, {megabytes:.1f} MB"
    output.line(f"{display_path(result.path)}  ({facts})")
    output.record(_record(job, "done", **attrs.asdict(result)))


def report_skipped(output: Output, job: RenderJob) -> None:
    """Print the record of a video that exists."""
    output.record(_record(job, "skipped"))


def report_failed(output: Output, job: RenderJob, error: Exception) -> None:
    """Print why there is no video."""
    message = error_message(error)
    output.line(f"FAILED {display_path(Path(job.name))}: {message}")
    output.record(_record(job, "failed", error=type(error).__name__, message=message))


def report_unreadable(output: Output, error: OSError) -> None:
    """Print why a folder was not searched."""
    message = error_message(error)
    output.line(f"FAILED {message}")
    folder = Path(error.filename)
    output.record(
        {"audio": folder, "status": "failed", "error": type(error).__name__, "message": message}
    )


def _record(job: RenderJob, status: str, **values: Any) -> dict[str, Any]:
    return {"audio": job.name, "status": status, "path": job.video, **values}

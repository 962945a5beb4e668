"""The options of `mp4gen serve`, each with its environment variable; starts nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
from cyclopts import Group, Parameter

from mp4gen.render import RenderStyle

from .exit_codes import UsageError
from .options import parse_bytes, parse_rate_limit, parse_size, read_secret

_RENDER_DEFAULTS = RenderStyle()
_ACCESS = Group("Access", sort_key=5)
_VIDEO = Group("Video", sort_key=6)
_LIMITS = Group("Limits", sort_key=7)


def from_env(name: str, text: str, **kwargs: Any) -> Parameter:
    """An option that can also be given as `MP4GEN_SERVE_<name>`."""
    return Parameter(env_var=f"MP4GEN_SERVE_{name}", help=text, **kwargs)


@Parameter(name="*", group=_ACCESS)
@attrs.frozen(kw_only=True)
class Access:
    """Who may use the server."""

    key_file: Annotated[
        Path | None, from_env("KEY_FILE", "A file that holds the API key that callers must send.")
    ] = None
    key: Annotated[
        str | None,
        from_env(
            "KEY",
            "The key itself. As an option, everybody on this machine can see it: better use the "
            "variable or --key-file.",
        ),
    ] = attrs.field(default=None, repr=False)
    accounts: Annotated[
        Path | None,
        from_env(
            "ACCOUNTS",
            "A file with one name=key a line: accounts that do not see each other's videos.",
        ),
    ] = None
    allowed_host: Annotated[
        list[str] | None,
        from_env("ALLOWED_HOST", "A further host name to answer to; may be repeated.", negative=()),
    ] = None
    allow_local_callbacks: Annotated[
        bool,
        from_env(
            "ALLOW_LOCAL_CALLBACKS",
            "Send callbacks to loopback and private addresses too.",
            negative=(),
            show_default=False,
        ),
    ] = False
    callback_secret_file: Annotated[
        Path | None,
        from_env("CALLBACK_SECRET_FILE", "A file with the secret that signs callbacks."),
    ] = None

    def settings(self) -> dict[str, Any]:
        """The arguments of `ServerConfig` that these are.

        Raises:
            UsageError: a file that cannot be read, or two keys.
        """
        if self.key is not None and self.key_file is not None:
            raise UsageError("--key and --key-file both give a key; leave one out")
        secret = self.callback_secret_file
        return {
            "key": read_secret(self.key_file, "--key-file") if self.key_file else self.key,
            "account_keys": _accounts(self.accounts) if self.accounts else {},
            "allowed_hosts": self.allowed_host or (),
            "allow_local_callbacks": self.allow_local_callbacks,
            "callback_secret": read_secret(secret, "--callback-secret-file") if secret else None,
        }


@Parameter(name="*", group=_VIDEO)
@attrs.frozen(kw_only=True)
class Style:
    """How videos look."""

    size: Annotated[str, from_env("SIZE", "Width x height.")] = "1280x720"
    fps: Annotated[int, from_env("FPS", "Frames per second, 24 to 60.")] = _RENDER_DEFAULTS.fps
    quality: Annotated[
        Literal["fast", "fine"], from_env("QUALITY", "fine: smaller files for more work.")
    ] = _RENDER_DEFAULTS.quality
    qp: Annotated[
        int, from_env("QP", "Quantizer of fast: 16 (best quality) to 28 (smallest file).")
    ] = _RENDER_DEFAULTS.qp
    font: Annotated[
        list[Path] | None,
        from_env(
            "FONT", "A font for letters that the bundled one lacks; may be repeated.", negative=()
        ),
    ] = None

    def settings(self) -> dict[str, Any]:
        """The arguments of `ServerConfig` that these are.

        Raises:
            UsageError: a size that is none.
            RenderError: a value out of range.
        """
        width, height = parse_size(self.size)
        style = RenderStyle(
            width=width,
            height=height,
            fps=self.fps,
            quality=self.quality,
            qp=self.qp,
            fonts=tuple(map(str, self.font or ())),
        )
        return {"style": style}


@Parameter(name="*", group=_LIMITS)
@attrs.frozen(kw_only=True)
class Limits:
    """What the server takes on."""

    workers: Annotated[
        int | None,
        from_env("WORKERS", "Videos rendered at once. Without it: one for each processor."),
    ] = None
    rate_limit: Annotated[
        str, from_env("RATE_LIMIT", "Submits of one account, as calls/seconds.")
    ] = "20/10"
    queue_limit: Annotated[int, from_env("QUEUE_LIMIT", "Tasks that may wait at once.")] = 10_000
    retention_days: Annotated[
        float, from_env("RETENTION_DAYS", "Days that a finished video is kept.")
    ] = 15.0
    min_free: Annotated[
        str, from_env("MIN_FREE", "No new tasks while the disk has less room than this.")
    ] = "512M"
    max_upload: Annotated[str, from_env("MAX_UPLOAD", "The largest file that the page takes.")] = (
        "512M"
    )
    max_duration: Annotated[
        float, from_env("MAX_DURATION", "Seconds of music in one video at most.")
    ] = 1200.0
    render_timeout: Annotated[
        float, from_env("RENDER_TIMEOUT", "Seconds that one render may take.")
    ] = 3600.0
    progress_timeout: Annotated[
        float, from_env("PROGRESS_TIMEOUT", "Seconds without progress that end a render.")
    ] = 120.0
    worker_memory: Annotated[
        str, from_env("WORKER_MEMORY", "Address space of one worker; 0 for no limit.")
    ] = "4G"
    shutdown_timeout: Annotated[
        float, from_env("SHUTDOWN_TIMEOUT", "Seconds that running renders get when it stops.")
    ] = 10.0
    maintenance: Annotated[
        bool,
        from_env(
            "MAINTENANCE",
            "Answer every call with code 455. A running server does so while a file named "
            "`maintenance` is in its data folder.",
            negative=(),
            show_default=False,
        ),
    ] = False

    def settings(self) -> dict[str, Any]:
        """The arguments of `ServerConfig` that these are.

        Raises:
            UsageError: a size or a rate that is none.
        """
        settings = {
            "rate_limit": parse_rate_limit(self.rate_limit),
            "queue_limit": self.queue_limit,
            "retention_days": self.retention_days,
            "min_free_bytes": parse_bytes(self.min_free),
            "max_upload_bytes": parse_bytes(self.max_upload),
            "max_duration": self.max_duration,
            "render_timeout": self.render_timeout,
            "progress_timeout": self.progress_timeout,
            "worker_memory_bytes": parse_bytes(self.worker_memory),
            "shutdown_timeout": self.shutdown_timeout,
            "maintenance": self.maintenance,
        }
        return settings if self.workers is None else {**settings, "workers": self.workers}


DEFAULT_ACCESS, DEFAULT_STYLE, DEFAULT_LIMITS = Access(), Style(), Limits()


def _accounts(path: Path) -> dict[str, str]:
    """The accounts in a file of name=key lines.

    Raises:
        UsageError: a line that is something else.
    """
    try:
        lines = path.expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UsageError(f"--accounts: {path} cannot be read ({reason})") from None
    accounts: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, mark, key = (part.strip() for part in line.partition("="))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not mark or not name or not key or name in accounts:
            raise UsageError(f"{path}:{number}: each line must be name=key, each name once")
        accounts[name] = key
    return accounts

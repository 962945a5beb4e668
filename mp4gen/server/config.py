"""How one server is set up, as a value that is checked when it is made; touches no file or port."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import attrs

from mp4gen.addresses import is_loopback
from mp4gen.errors import ConfigurationError
from mp4gen.options import RateLimit

if TYPE_CHECKING:
    from mp4gen.render import RenderStyle

DEFAULT_PORT = 8787
GIB = 1 << 30
MIB = 1 << 20


class ExecutorFactory(Protocol):
    """Makes the executor of one render slot; called again after an executor broke."""

    def __call__(self) -> Executor:
        """A fresh executor that runs one job at a time."""


def default_data() -> Path:
    """Where a server keeps its state unless told otherwise (the XDG base directory rules)."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "mp4gen" / "server"


def _expand_path(value: str | os.PathLike[str]) -> Path:
    return Path(value).expanduser()


def _expand_data_path(value: str | os.PathLike[str] | None) -> Path:
    return Path(value).expanduser() if value is not None else default_data()


def _min(low: float) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value < float("inf"):
            raise ConfigurationError(
                f"{attribute.name} must be a number of at least {low:g}, not {value!r}"
            )

    return check


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@attrs.frozen(kw_only=True)
class ServerConfig:
    """How one server is set up.

    Attributes:
        music: the music folder. Each folder in it that holds music is a music task.
        data: where the server keeps its state and the videos; None for the user's data folder.
        host: the address to listen on. One that others can reach needs a key.
        port: the port to listen on; 0 for any free one.
        key: the API key that callers must send; None to let everybody on this machine in.
        account_keys: more keys, each by the name of its account. Accounts do not see each other's videos.
        public_url: the address callers use where it is not the one listened on (behind a proxy).
        allowed_hosts: host names to answer to, beside addresses, localhost and public_url's.
        workers: videos rendered at once; by default one for each processor.
        executor: makes the executor of one slot; by default a process of its own.
        style: how videos look unless a task asks for another shape; None for the renderer's own.
        max_duration: seconds of music in one video, at most.
        rate_limit: submits that each account may send.
        queue_limit: tasks that may wait at once.
        retention_days: how long a finished video is kept.
        min_free_bytes: no new tasks while the disk has less room than this.
        max_upload_bytes: the largest file that the page takes.
        allow_local_callbacks: send callbacks to loopback and private addresses too.
        callback_secret: signs callbacks (X-Webhook-Signature); None for unsigned ones.
        maintenance: answer every API call with code 455; what is queued goes on.
        render_timeout: seconds that one render may take.
        progress_timeout: seconds without any progress after which a render is given up.
        worker_memory_bytes: address space of one worker; 0 for no limit.
        shutdown_timeout: seconds that running renders get to finish when the server stops.

    Raises:
        ConfigurationError: a value that cannot work; one sentence says which and what to do.
    """

    music: Path = attrs.field(converter=_expand_path)
    data: Path = attrs.field(default=None, converter=_expand_data_path)
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    key: str | None = attrs.field(default=None, repr=False)
    account_keys: Mapping[str, str] = attrs.field(factory=dict, repr=False, converter=dict)
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    workers: int = attrs.field(factory=_cpus, validator=_min(1))
    executor: ExecutorFactory | None = attrs.field(default=None, repr=False)
    style: RenderStyle | None = None
    max_duration: float = attrs.field(default=1200.0, validator=_min(1))
    rate_limit: RateLimit = attrs.field(default=RateLimit(20, per=10.0))
    queue_limit: int = attrs.field(default=10_000, validator=_min(1))
    retention_days: float = attrs.field(default=15.0, validator=_min(0))
    min_free_bytes: int = attrs.field(default=512 * MIB, validator=_min(0))
    max_upload_bytes: int = attrs.field(default=512 * MIB, validator=_min(1))
    allow_local_callbacks: bool = False
    callback_secret: str | None = attrs.field(default=None, repr=False)
    maintenance: bool = False
    render_timeout: float = attrs.field(default=3600.0, validator=_min(1))
    progress_timeout: float = attrs.field(default=120.0, validator=_min(1))
    worker_memory_bytes: int = attrs.field(default=4 * GIB, validator=_min(0))
    shutdown_timeout: float = attrs.field(default=10.0, validator=_min(0))

    def __attrs_post_init__(self) -> None:
        _check_port(self.port)
        for name, key in self.accounts.items():
            _check_key(name, key)
        if len(set(self.accounts.values())) != len(self.accounts):
            raise ConfigurationError("two accounts have the same key; give each its own")
        if not self.accounts and not is_loopback(self.host.strip("[]")):
            raise ConfigurationError(
                f"listening on {self.host} lets others in: set a key, or listen on 127.0.0.1"
            )
        if self.public_url is not None:
            _check_public_url(self.public_url)

    @property
    def accounts(self) -> dict[str, str]:
        """Each account's key by its name; the one of `key` has the empty name."""
        own = {} if self.key is None else {"": self.key}
        return {**own, **self.account_keys}


def _check_port(port: object) -> None:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise ConfigurationError(f"port must be a number from 0 to 65535, not {port!r}")


def _check_key(name: str, key: object) -> None:
    usable = isinstance(key, str) and key.isascii() and key.isprintable() and key == key.strip()
    if not usable or not key:
        whose = f"the key of account {name!r}" if name else "the key"
        raise ConfigurationError(f"{whose} must be printable ASCII without spaces around it")


def _check_public_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and not parts.query
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(f"public_url must be an http:// or https:// address, not {url!r}")

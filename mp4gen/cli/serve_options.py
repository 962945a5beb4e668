"""The options of `mp4gen serve`, derived from the fields of `ServerConfig`; starts nothing.

A field here has the name and the type of an option. Its default, its help text and its
environment variable come from the field of `ServerConfig`, unless a table below says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import attrs
from cyclopts import Group, Parameter

from mp4gen.options import RateLimit
from mp4gen.server import ServerConfig
from mp4gen.server.config import GIB, MIB, default_data

from .exit_codes import UsageError
from .options import parse_bytes, read_secret, read_text, resolve_secret
from .rate_limit import parse_rate_limit
from .style_options import PRESET_HELP, StyleOptions

T = TypeVar("T")

_MAX_ACCOUNTS_BYTES = MIB

# Options that have another name than their field.
_FIELDS = {
    "key_file": "key",
    "accounts": "account_keys",
    "allowed_host": "allowed_hosts",
    "trusted_proxy": "trusted_proxies",
    "callback_secret_file": "callback_secret",
    "min_free": "min_free_bytes",
    "max_upload": "max_upload_bytes",
    "worker_memory": "worker_memory_bytes",
}
# Options that differ from their field in more than the name.
_HELP = {
    "data": "Data directory, for the database and the videos.",
    "executor": "Scheduler of the Dask cluster that renders, such as dask://10.0.0.5:8786, or "
    "dask+tls://10.0.0.5:8786 for encrypted connections. By default this machine renders.",
    "key_file": "File that contains the API key that clients must send.",
    "key": "The API key itself. Prefer the variable or --key-file: other users of this machine can "
    "see an option.",
    "accounts": "File with one name=key a line. An account sees only its own videos.",
    "allowed_host": "Further allowed host name; repeatable.",
    "trusted_proxy": "Address or network of a proxy whose X-Forwarded-For is believed; repeatable. "
    "With --public-url also a proxy on this machine.",
    "callback_secret_file": "File that contains the secret that signs callbacks.",
    "rate_limit": "Submits that each account may send, as requests/seconds.",
    "min_free": "Free disk space below which no new task is accepted.",
    "max_upload": "Maximum size of a file uploaded on the page.",
    "worker_memory": "Maximum address space of one worker; 0 for no limit.",
    "maintenance": "Answer every API call with code 455. A running server does the same while its "
    "data directory contains a file named `maintenance`.",
}


def _options(group: Group) -> Callable[[type[T]], type[T]]:
    """Make a class of options, each with its environment variable MP4GEN_SERVE_<NAME>."""

    def decorate(cls: type[T]) -> type[T]:
        options = attrs.frozen(kw_only=True, field_transformer=_derive)(cls)
        return Parameter(name="*", group=group)(options)

    return decorate


def _derive(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    config = attrs.fields_dict(ServerConfig)
    hints = get_type_hints(cls, include_extras=True)
    derived = []
    for field in fields:
        source = config.get(_FIELDS.get(field.name, field.name))
        parameter = Parameter(env_var=f"MP4GEN_SERVE_{field.name.upper()}")
        changes: dict[str, Any] = {"type": Annotated[hints[field.name], parameter]}
        if source is not None:
            text = _HELP.get(field.name, source.metadata["help"])
            changes |= {"default": _default(source), "metadata": {"help": text}}
            changes["repr"] = source.repr  # keys and secrets have none
        derived.append(field.evolve(**changes))
    return derived


def _default(source: attrs.Attribute[Any]) -> Any:
    """Return the default of a setting as its option shows it; None leaves it to `ServerConfig`."""
    match source.default:
        case RateLimit(requests=requests, per=per):
            return f"{requests}/{per:g}"
        case int(size) if source.name.endswith("_bytes"):
            return f"{size // GIB}G" if size % GIB == 0 else f"{size // MIB}M"
        case bool() | int() | float() | str() as value:
            return value
        case _:
            return None


@_options(Group.create_default_parameters())
class Service:
    """What is served, and at which address."""

    music: Path | None
    data: Annotated[Path | None, Parameter(show_default=str(default_data()))]
    files: str | None
    file_links: Literal["streamed", "presigned"]
    host: str
    port: int
    tls_cert: Path | None
    tls_key: Path | None
    public_url: str | None
    executor: str | None
    access_log: bool
    metrics: bool


@_options(Group("Access", sort_key=5))
class Access:
    """Who may use the server."""

    key_file: Path | None
    key: str | None
    accounts: Path | None
    allowed_host: list[str] | None
    trusted_proxy: list[str] | None
    allow_local_callbacks: bool
    callback_secret_file: Path | None


@_options(Group("Video", sort_key=6))
class Video(StyleOptions):
    """How videos look."""

    preset: Annotated[str | None, Parameter(help=PRESET_HELP)] = None


@_options(Group("Limits", sort_key=7))
class Limits:
    """How much the server accepts."""

    workers: int | None
    rate_limit: str
    queue_limit: int
    retention_days: float
    min_free: str
    max_upload: str
    max_duration: float
    render_timeout: float
    progress_timeout: float
    worker_memory: str
    shutdown_timeout: float
    maintenance: bool


DEFAULT_SERVICE, DEFAULT_ACCESS = Service(), Access()
DEFAULT_VIDEO, DEFAULT_LIMITS = Video(), Limits()


def server_config(service: Service, access: Access, video: Video, limits: Limits) -> ServerConfig:
    """Return the configuration that the options describe.

    Raises:
        UsageError: An option is missing or invalid.
    """
    if service.music is None:
        raise UsageError("Missing argument: --music. Choose a folder of audio files.")
    options: dict[str, Any] = {}
    for group in (service, access, limits):
        options |= attrs.asdict(group, recurse=False)  # type: ignore[arg-type]  # made by _options
    secret = options["callback_secret_file"]
    options |= dict(zip(("key_file", "accounts"), read_keys(access), strict=True))
    del options["key"]
    options |= {
        "callback_secret_file": read_secret(secret, "--callback-secret-file") if secret else None,
        "rate_limit": parse_rate_limit(options["rate_limit"]),
    }
    for name in ("min_free", "max_upload", "worker_memory"):
        options[name] = parse_bytes(options[name])
    settings = {
        _FIELDS.get(name, name): value for name, value in options.items() if value is not None
    }
    return ServerConfig(style=video.style(video.preset), **settings)


def read_keys(access: Access) -> tuple[str | None, dict[str, str]]:
    """Return the server's own key, and those of its accounts by name.

    Raises:
        UsageError: A file cannot be read.
    """
    accounts = _read_accounts(access.accounts) if access.accounts else {}
    return resolve_secret(access.key, access.key_file), accounts


def _read_accounts(path: Path) -> dict[str, str]:
    """Return the accounts of a file of name=key lines."""
    accounts: dict[str, str] = {}
    lines = read_text(path, "--accounts", _MAX_ACCOUNTS_BYTES).splitlines()
    for number, line in enumerate(lines, 1):
        name, _, key = (part.strip() for part in line.partition("="))
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not name or not key or name in accounts:
            raise UsageError(f"Invalid line: {path}:{number}. Use name=key, and each name once.")
        accounts[name] = key
    if not accounts:
        raise UsageError(f"No account in {path}. Add a line name=key, or remove --accounts.")
    return accounts

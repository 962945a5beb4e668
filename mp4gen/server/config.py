"""The settings of one server, validated on creation; opens no file and no port."""

from __future__ import annotations

import inspect
import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal, Protocol

import attrs

from mp4gen.addresses import is_loopback, parse_http_url
from mp4gen.errors import ConfigurationError
from mp4gen.options import RateLimit, invalid_setting, is_number, number_validator
from mp4gen.render.options import DEFAULT_STYLE, RenderStyle

DEFAULT_PORT = 8787
GIB = 1 << 30
MIB = 1 << 20
_MAX_SECONDS = 365 * 86400
_MAX_WORKERS = 1024
# Also an address, and a port, which is ignored; but not a URL.
_HOST_NAME = re.compile(r"[^\s\\/@?#,]+")
# The name of a bucket by the rules of AWS, and a prefix of names without odd characters.
_BUCKET_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[\w!()*'.-]+)*)/?", re.ASCII)
_MAX_MEMORY = 1 << 50
_DASK_URL = re.compile(r"dask(\+tls)?://(\[[\da-fA-F:]+\]|[^\s/?#@:]+):\d{1,5}")
# Pixels per second of the largest videos for which `render_timeout` is meant.
_REFERENCE_PIXEL_RATE = 1920 * 1080 * 30


class ExecutorFactory(Protocol):
    """Makes the executor of one render slot; called again after an executor broke."""

    def __call__(self) -> Executor:
        """Return a new executor that runs one job at a time."""


def default_data() -> Path:
    """Return the default data directory, by the XDG base directory rules or those of Windows."""
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_DATA_HOME"
    home = os.environ.get(variable) or _expand_path("~") / ".local" / "share"
    return Path(home) / "mp4gen" / "server"


def _expand_path(value: str | os.PathLike[str]) -> Path:
    # Path.expanduser raises if there is no such user or no home, as in some containers.
    return Path(os.path.expanduser(value))  # noqa: PTH111


def _expand_optional_path(value: str | os.PathLike[str] | None) -> Path | None:
    return None if value is None else _expand_path(value)


def _expand_data_path(value: str | os.PathLike[str] | None) -> Path:
    path = default_data() if value is None else _expand_path(value)
    if value is None and path.parts[0] == "~":
        raise ConfigurationError(
            "No home folder for the server's data. Choose a folder with --data."
        )
    return path


def _min(low: float) -> Any:
    return number_validator(f"a number of at least {low:g}", lambda value: value >= low)


def _whole(low: int, high: int, hint: str) -> Any:
    return number_validator(hint, lambda value: value == int(value) and low <= value <= high)


def _seconds(low: float) -> Any:
    # The kernel's limits are whole numbers of 64 bits.
    return number_validator(
        f"a number of seconds from {low:g} to {_MAX_SECONDS}",
        lambda value: low <= value <= _MAX_SECONDS,
    )


def _check_choice(*choices: str) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in choices:
            raise invalid_setting(attribute.name, value, " or ".join(choices))

    return check


def _strip_slash(url: str | None) -> str | None:
    return None if url is None else url.rstrip("/")


def _check_host(_: object, attribute: attrs.Attribute[Any], name: str) -> None:
    if not _HOST_NAME.fullmatch(name):
        raise invalid_setting(attribute.name, name, "a host name, such as studio.local")


def _check_executor(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, str) and not _DASK_URL.fullmatch(value):
        raise invalid_setting(attribute.name, value, "for instance dask://10.0.0.5:8786")


def _check_bucket(_: object, attribute: attrs.Attribute[Any], url: str | None) -> None:
    found = None if url is None else _BUCKET_URL.fullmatch(str(url))
    if url is not None and (found is None or {".", ".."} & {*found[2].split("/")}):
        raise invalid_setting(attribute.name, str(url), "s3://BUCKET or s3://BUCKET/PREFIX")


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _with_help(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Copy each field's description from the class's docstring into `metadata["help"]`."""
    # Under `python -OO` there is no docstring, and so there is no help.
    docstring = inspect.cleandoc(cls.__doc__ or "")
    found = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", docstring, re.MULTILINE)
    texts = {name: " ".join(text.split()) for name, text in found}
    return [field.evolve(metadata={"help": texts.get(field.name, "")}) for field in fields]


@attrs.frozen(kw_only=True, field_transformer=_with_help)
class ServerConfig:
    """The settings of one server, with their defaults.

    `attrs.fields(ServerConfig).<name>.metadata["help"]` holds each description below.

    Attributes:
        music: The music folder. Each folder in it that contains audio is a music task.
        data: The data directory, for the database and the videos: new, empty or the server's own,
            and not in the music folder. None for the user's own.
        files: Bucket of an S3-compatible object storage for the finished videos, as
            s3://BUCKET/PREFIX; by default they stay in the data directory. The variables of AWS,
            such as AWS_ENDPOINT_URL, name its host and the credentials.
        file_links: How links lead to videos in `files`: "streamed" through the server, or
            "presigned", which redirects each request to the bucket's host.
        host: The address to listen on. An address that other machines can reach needs a key.
        port: The port to listen on; 0 for any free port.
        key: The API key that clients must send; None to accept all clients on this machine.
        account_keys: The keys of further accounts, by account name. An account sees only its
            own videos.
        tls_cert: PEM file with the certificate, and those of its issuers, to serve https.
        tls_key: PEM file with the key of `tls_cert`.
        public_url: The URL that clients use, if it is not the address listened on (a proxy).
        trusted_proxies: Addresses or networks of proxies whose `X-Forwarded-For` is believed; with
            `public_url` also a proxy on this machine.
        allowed_hosts: Further allowed host names, beside addresses, localhost and `public_url`.
        workers: Videos rendered at once; by default one for each processor.
        executor: Where videos are rendered: `dask://HOST:PORT`, or `dask+tls://HOST:PORT`, is the
            scheduler of a Dask cluster. By default worker processes on this machine, or what a
            function returns: it makes the executor of one render slot.
        style: How videos look, unless a task asks for another aspect ratio.
        max_duration: Maximum seconds of music in one video.
        rate_limit: Submits that each account may send.
        queue_limit: Maximum number of queued tasks.
        retention_days: Days that a finished video is kept; 0 to keep all videos.
        min_free_bytes: Free disk space in bytes below which no new task is accepted.
        max_upload_bytes: Maximum size in bytes of a file uploaded on the page.
        allow_local_callbacks: Also send callbacks to loopback and private addresses.
        callback_secret: Signs callbacks (`X-Webhook-Signature`); None for unsigned callbacks.
        access_log: Log one line for each request, without keys and unguessable names.
        metrics: Answer `GET /metrics` with figures for Prometheus; it needs no key.
        maintenance: Answer every API call with code 455; queued tasks are still rendered.
        render_timeout: Maximum seconds that one render may take; more, in proportion, for videos
            above 1920x1080 pixels at 30 frames per second.
        progress_timeout: Maximum seconds without progress, before a render is stopped.
        worker_memory_bytes: Maximum address space in bytes of one worker; 0 for no limit.
        shutdown_timeout: Seconds that running renders get to finish when the server stops.

    Raises:
        ConfigurationError: A value is invalid; the text says which one and what to use instead.
    """

    music: Path = attrs.field(converter=_expand_path)
    data: Path = attrs.field(default=None, converter=_expand_data_path)
    files: str | None = attrs.field(default=None, validator=_check_bucket)
    file_links: Literal["streamed", "presigned"] = attrs.field(
        default="streamed", validator=_check_choice("streamed", "presigned")
    )
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    key: str | None = attrs.field(default=None, repr=False)
    account_keys: Mapping[str, str] = attrs.field(factory=dict, repr=False, converter=dict)
    tls_cert: Path | None = attrs.field(default=None, converter=_expand_optional_path)
    tls_key: Path | None = attrs.field(default=None, converter=_expand_optional_path)
    public_url: str | None = attrs.field(default=None, converter=_strip_slash)
    trusted_proxies: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    allowed_hosts: tuple[str, ...] = attrs.field(
        default=(), converter=tuple, validator=attrs.validators.deep_iterable(_check_host)
    )
    workers: int = attrs.field(
        factory=_cpus, validator=_whole(1, _MAX_WORKERS, f"a whole number from 1 to {_MAX_WORKERS}")
    )
    executor: ExecutorFactory | str | None = attrs.field(
        default=None, repr=False, validator=_check_executor
    )
    style: RenderStyle = DEFAULT_STYLE
    max_duration: float = attrs.field(default=1200.0, validator=_seconds(1))
    rate_limit: RateLimit = attrs.field(default=RateLimit(20, per=10.0))
    queue_limit: int = attrs.field(default=10_000, validator=_min(1))
    retention_days: float = attrs.field(default=15.0, validator=_min(0))
    min_free_bytes: int = attrs.field(default=512 * MIB, validator=_min(0))
    max_upload_bytes: int = attrs.field(default=512 * MIB, validator=_min(1))
    allow_local_callbacks: bool = False
    callback_secret: str | None = attrs.field(default=None, repr=False)
    access_log: bool = False
    metrics: bool = False
    maintenance: bool = False
    render_timeout: float = attrs.field(default=3600.0, validator=_seconds(1))
    progress_timeout: float = attrs.field(default=120.0, validator=_seconds(1))
    worker_memory_bytes: int = attrs.field(
        default=4 * GIB, validator=_whole(0, _MAX_MEMORY, "at most 1024 TB, or 0 for no limit")
    )
    shutdown_timeout: float = attrs.field(default=10.0, validator=_seconds(0))

    def __attrs_post_init__(self) -> None:
        if not (isinstance(self.port, int) and is_number(self.port) and 0 <= self.port <= 65535):
            raise invalid_setting("port", self.port, "a number from 0 to 65535")
        for name, key in self.accounts.items():
            _check_key(name, key)
        if len(set(self.accounts.values())) != len(self.accounts):
            raise ConfigurationError(
                "Two accounts have the same key. Use a different key for each account."
            )
        if not self.accounts and not is_loopback(self.host.strip("[]")):
            raise ConfigurationError(
                f"Other machines can reach {self.host} without a key. Set a key, or listen on "
                "127.0.0.1."
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            missing, given = "tls_key", "tls_cert"
            if self.tls_cert is None:
                missing, given = given, missing
            raise ConfigurationError(
                f"The setting {given} needs {missing}, too. Set both for https, or none."
            )
        if self.file_links != "streamed" and self.files is None:
            raise ConfigurationError(
                "The setting file_links needs files. Choose a bucket, or leave out both."
            )
        if self.public_url is not None:
            _check_public_url(self.public_url)
        for proxy in self.trusted_proxies:
            _check_network(proxy)

    @property
    def scaled_render_timeout(self) -> float:
        """The maximum seconds for a render of this `style`."""
        pixel_rate = self.style.width * self.style.height * self.style.fps
        return self.render_timeout * max(1.0, float(pixel_rate / _REFERENCE_PIXEL_RATE))

    @property
    def bucket(self) -> tuple[str, str] | None:
        """The bucket and the prefix of `files`; None if videos stay in the data directory."""
        found = _BUCKET_URL.fullmatch(self.files) if self.files is not None else None
        return None if found is None else (found[1], found[2].strip("/"))

    @property
    def accounts(self) -> dict[str, str]:
        """The key of each account by its name; the account of `key` has the empty name."""
        own = {} if self.key is None else {"": self.key}
        return {**own, **self.account_keys}


def _check_key(name: str, key: object) -> None:
    usable = isinstance(key, str) and key.isascii() and key.isprintable() and key == key.strip()
    if not usable or not key:
        owner = f" of account {name!r}" if name else ""
        raise ConfigurationError(
            f"Invalid key{owner}. Use printable ASCII without spaces around it."
        )


def _check_public_url(url: str) -> None:
    parts = parse_http_url(url)
    if parts is None or parts.query:
        raise invalid_setting("public_url", url, "an http:// or https:// URL")


def _check_network(text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise invalid_setting(
            "trusted_proxies", text, "an address or a network, for instance 172.16.0.0/12"
        ) from None

"""The options that many commands share, and the client that they make; sends nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import attrs
from cyclopts import Group, Parameter

from mp4gen.addresses import is_loopback
from mp4gen.api.dialects import Dialect
from mp4gen.client import Client
from mp4gen.options import RateLimit
from mp4gen.settings import resolve_base_url

from .exit_codes import UsageError

_CONNECTION = Group("Connection", sort_key=10)
_OUTPUT = Group("Output", sort_key=11)
_KEY_BYTES = 4096

AsJson = Annotated[
    bool,
    Parameter(
        name="--json",
        negative=(),
        show_default=False,
        group=_OUTPUT,
        help="One JSON record a line on stdout; progress stays on stderr.",
    ),
]


@Parameter(name="*", group=_CONNECTION)
@attrs.frozen(kw_only=True)
class Connection:
    """Which account on which host."""

    key_file: Annotated[
        Path | None,
        Parameter(help="A file that holds the API key. Without it: MP4GEN_API_KEY."),
    ] = None
    key: Annotated[
        str | None,
        Parameter(
            help="The API key itself. Everybody on this machine can see it while the command "
            "runs, and your shell remembers it: better use MP4GEN_API_KEY or --key-file."
        ),
    ] = attrs.field(default=None, repr=False)
    base_url: Annotated[
        str | None,
        Parameter(help="The API's address. Without it: MP4GEN_BASE_URL, else https://api.api.box."),
    ] = None
    dialect: Annotated[
        Literal["suno", "kie"] | None,
        Parameter(help="What the API's codes mean. Without it: decided by the host's name."),
    ] = None
    proxy: Annotated[str | None, Parameter(help="An http:// proxy for everything.")] = None

    @property
    def can_connect(self) -> bool:
        """Whether the API can be asked: with a key, or on this machine without one."""
        named = self.key is not None or self.key_file is not None
        known = named or bool(os.environ.get("MP4GEN_API_KEY", "").strip())
        return known or is_loopback(urlsplit(resolve_base_url(self.base_url)).hostname)

    def client(self, **kwargs: Any) -> Client:
        """A client of that account; `kwargs` are arguments of `Client`.

        Raises:
            UsageError: no key, or one that cannot be read.
            ConfigurationError: an address that cannot be one.
        """
        base_url = resolve_base_url(self.base_url)
        key = self._key()
        if not self.can_connect:
            raise UsageError(
                f"no API key for {urlsplit(base_url).hostname}: set MP4GEN_API_KEY, or name a "
                "file with --key-file; `mp4gen demo` needs none, and shows everything"
            )
        dialects = {"suno": Dialect.SUNO, "kie": Dialect.KIE}
        dialect = dialects[self.dialect] if self.dialect else None
        return Client(key, base_url=base_url, dialect=dialect, proxy=self.proxy, **kwargs)

    def _key(self) -> str | None:
        if self.key is not None and self.key_file is not None:
            raise UsageError("--key and --key-file both give a key; leave one out")
        if self.key is not None and not self.key.strip():
            raise UsageError("--key is empty; give the key, or leave the option out")
        return read_secret(self.key_file, "--key-file") if self.key_file else self.key


# Everything from the environment.
FROM_ENVIRONMENT = Connection()


def read_secret(path: Path, option: str) -> str:
    """The one line of a file that holds a secret.

    Raises:
        UsageError: it cannot be read, or holds something else.
    """
    try:
        with path.expanduser().open("rb") as file:
            raw = file.read(_KEY_BYTES + 1)
        text = raw.decode().strip()
    except OSError as error:
        raise UsageError(f"{option}: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{option}: {path} holds no text; it must hold the key alone") from None
    if not text or len(raw) > _KEY_BYTES or len(text.split()) != 1:
        raise UsageError(f"{option}: {path} must hold the key alone, on one line")
    return text


def ensure_directory(path: Path) -> Path:
    """The folder of `--to`, made where missing.

    Raises:
        UsageError: it is a file, or cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"--to {path}: there is a file of that name; name a folder") from None
    except OSError as error:
        raise UsageError(
            f"--to {path}: the folder cannot be made ({error.strerror}); name another"
        ) from None
    return path


def parse_rate_limit(text: str) -> RateLimit:
    """`20/10` as 20 calls in 10 seconds.

    Raises:
        UsageError: it is written in another way.
    """
    count, _, seconds = text.partition("/")
    try:
        return RateLimit(int(count), per=float(seconds))
    except ValueError:
        raise UsageError(
            f"a rate limit is written as calls/seconds, for instance 20/10, not {text}"
        ) from None


def parse_bytes(text: str) -> int:
    """`512M` as bytes; K, M and G count in 1024s.

    Raises:
        UsageError: it is written in another way.
    """
    units = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    number, unit = text.rstrip("KkMmGgBb"), text.lstrip("0123456789.").upper().rstrip("B")
    try:
        return int(float(number) * units[unit])
    except (ValueError, KeyError, OverflowError):
        raise UsageError(f"a size is written as a number and K, M or G, not {text}") from None


def parse_size(text: str) -> tuple[int, int]:
    """`1280x720` as width and height.

    Raises:
        UsageError: it is written in another way.
    """
    width, _, height = text.lower().partition("x")
    if not (width.isascii() and width.isdecimal() and height.isascii() and height.isdecimal()):
        raise UsageError(f"a size is written as width x height, for instance 1280x720, not {text}")
    return int(width), int(height)

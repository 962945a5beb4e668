"""The options that several commands share, and the client that they make; sends nothing.

Functions raise `UsageError` for an invalid value.
"""

import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import attrs
from cyclopts import Group, Parameter

from mp4gen.addresses import is_loopback, parse_http_url
from mp4gen.client import Client
from mp4gen.events import Event
from mp4gen.settings.account import resolve_base_url
from mp4gen.transport.proxies import proxy_from_env, resolve_proxy

from .exit_codes import DONE, AfterSendingError, UsageError
from .failure_reporter import FailureReporter
from .host_names import require_known_name
from .output import Output
from .rate_limit import DEFAULT, VARIABLE, SharedLimit, parse_shared_limit, redis_reported
from .runner import in_background, run

_MAX_SECRET_BYTES = 4096

AsJson = Annotated[
    bool,
    Parameter(
        name="--json",
        group=Group("Output", sort_key=11),
        help="Print one JSON record a line on stdout. Progress stays on stderr.",
    ),
]


@Parameter(name="*", group=Group("Connection", sort_key=10))
@attrs.frozen(kw_only=True)
class Connection:
    """The host and the account of a command.

    Attributes:
        key_file: File that contains the API key.
        key: API key. Other users of this machine can see it: prefer the variable or the file.
        base_url: URL of the API.
        dialect: Meaning of the API's codes.
        proxy: URL of an HTTP proxy for all requests; "" for none.
        rate_limit: Requests that the account may send, as requests/seconds, or the URL of a Redis
            that keeps the limit for several processes, such as redis://HOST:6379/0?limit=20/10.
        ca_file: PEM file of further certificates to trust, for instance a self-signed one.
        allow_http: Send the key unencrypted to an http:// server in a private network.
    """

    key_file: Annotated[Path | None, Parameter(show_default="MP4GEN_API_KEY")] = None
    key: str | None = attrs.field(default=None, repr=False)
    base_url: Annotated[
        str | None, Parameter(show_default="MP4GEN_BASE_URL, or https://api.api.box")
    ] = None
    dialect: Annotated[
        Literal["suno", "kie"] | None, Parameter(show_default="that of the host")
    ] = None
    proxy: Annotated[
        str | None, Parameter(show_default="HTTPS_PROXY, http_proxy or ALL_PROXY, except NO_PROXY")
    ] = attrs.field(default=None, repr=False)
    rate_limit: Annotated[str | None, Parameter(show_default=f"{VARIABLE}, or {DEFAULT}")] = (
        attrs.field(default=None, repr=False)
    )
    ca_file: Path | None = None
    allow_http: bool = False

    @property
    def shared_limit(self) -> SharedLimit:
        """The value of `--rate-limit`, or of its variable.

        Raises:
            UsageError: The value is invalid.
        """
        return parse_shared_limit(self.rate_limit)

    @property
    def can_connect(self) -> bool:
        """Whether there is a key, or the API is on this machine and needs none."""
        if self.key is not None or self.key_file is not None:
            return True
        if os.environ.get("MP4GEN_API_KEY", "").strip():
            return True
        return is_loopback(urlsplit(resolve_base_url(self.base_url)).hostname)

    def client(
        self,
        reporter: FailureReporter,
        on_event: Callable[[Event], object] | None = None,
        **kwargs: Any,
    ) -> Client:
        """Return a client of the account; `kwargs` are further arguments of `Client`.

        Failures that are retried are reported to `reporter`.

        Raises:
            UsageError: There is no key, or the key cannot be read.
            ConfigurationError: The URL is invalid.
        """
        base_url = resolve_base_url(self.base_url)
        key = resolve_secret(self.key, self.key_file)
        if not self.can_connect:
            raise UsageError(
                f"No API key for {urlsplit(base_url).hostname}. Set MP4GEN_API_KEY or use "
                "--key-file. To try mp4gen without a key, run 'mp4gen demo'."
            )
        client = Client(
            key,
            base_url=base_url,
            dialect=self.dialect,
            rate_limit=self.shared_limit.limiter(base_url, key),
            proxy=self.proxy or None,
            trust_env=self.proxy is None,
            ssl_context=_trusting(self.ca_file) if self.ca_file else None,
            allow_http=self.allow_http,
            on_event=_handlers(reporter.handle_event, on_event),
            **kwargs,
        )
        self._warn_if_unencrypted(base_url, reporter.output)
        return client

    def _warn_if_unencrypted(self, base_url: str, output: Output) -> None:
        parts = urlsplit(base_url)
        if self.allow_http and parts.scheme == "http" and not is_loopback(parts.hostname):
            output.status(f"The key and the videos travel unencrypted to {parts.hostname}.")

    @asynccontextmanager
    async def opened(self, reporter: FailureReporter, **kwargs: Any) -> AsyncIterator[Client]:
        """Yield a client, as `client` returns it, and close it after the block.

        Raises:
            AfterSendingError: The block raised an error after the client had sent a request.
        """
        client = self.client(reporter, **kwargs)
        address = urlsplit(client.base_url).netloc
        redis_host = self.shared_limit.redis_host
        silence = reporter.report_silence(address, is_shared=redis_host is not None)
        try:
            with redis_reported(reporter.report):
                async with client, in_background(silence):
                    await self.require_known_host(client.base_url)
                    if redis_host is not None:
                        await require_known_name(f"redis://{redis_host}")
                    yield client
        except Exception as error:
            if client.has_sent:
                raise AfterSendingError(error) from error
            raise

    def run(
        self,
        work: Callable[[Client], Awaitable[int | None]],
        reporter: FailureReporter,
        **kwargs: Any,
    ) -> int:
        """Run `work` with a client and return its exit code, or 0 if it returns None."""

        async def with_client() -> int:
            async with self.opened(reporter, **kwargs) as client:
                return await work(client) or DONE

        return run(with_client())

    async def require_known_host(self, url: str) -> None:
        """Check that the name of a URL's host, or of its proxy, exists.

        Raises:
            UsageError: The host name does not exist.
        """
        if parse_http_url(url) is None:
            # The client's own error describes an invalid URL.
            return
        proxy = resolve_proxy(self.proxy or None)
        if self.proxy is None:
            proxy = proxy_from_env(url)
        await require_known_name(url if proxy is None else proxy.url, is_proxy=proxy is not None)


DEFAULT_CONNECTION = Connection()


def _handlers(
    first: Callable[[Event], object], second: Callable[[Event], object] | None
) -> Callable[[Event], object]:
    if second is None:
        return first

    def handle(event: Event) -> None:
        first(event)
        second(event)

    return handle


def _trusting(ca_file: Path) -> ssl.SSLContext:
    """Return the TLS settings that also trust the certificates of a file."""
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise UsageError(
            f"Invalid file for --ca-file: {ca_file}. Use a PEM file with certificates."
        ) from None
    except OSError as error:
        raise UsageError(
            f"Cannot read {ca_file} for --ca-file: {error.strerror}. Use another file."
        ) from None
    return context


def resolve_secret(key: str | None, key_file: Path | None) -> str | None:
    """Return the key of the options `--key` and `--key-file`, or None without them."""
    if key is not None and key_file is not None:
        raise UsageError("Both --key and --key-file set the key. Remove one of them.")
    if key is not None and not key.strip():
        raise UsageError("The value of --key is empty. Enter the key, or remove the option.")
    return read_secret(key_file, "--key-file") if key_file else key


def read_secret(path: Path, option: str) -> str:
    """Return the single line of a file that contains a secret."""
    text = read_text(path, option, _MAX_SECRET_BYTES).strip()
    if len(text.split()) != 1:
        raise UsageError(
            f"Invalid file for {option}: {path}. Use a text file with the key alone, on one line."
        )
    return text


def read_text(path: Path, option: str, max_bytes: int) -> str:
    """Return the text of a file in UTF-8 that contains secrets."""
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "it is not UTF-8"
    else:
        if len(raw) <= max_bytes:
            return text
        reason = f"it has more than {max_bytes} bytes"
    # Raised outside of the handlers: the context of the error would show the content.
    raise UsageError(f"Cannot read {path} for {option}: {reason}. Use another file.")


def ensure_directory(path: Path) -> Path:
    """Create the folder of `--to` if it is missing, and return it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "it is a file" if is_file else error.strerror
        raise UsageError(
            f"Cannot use {path} as the folder for --to: {reason}. Choose another folder."
        ) from None
    return path


def parse_bytes(text: str) -> int:
    """Return `512M` in bytes; K, M and G are powers of 1024."""
    return _parse(text, 1024, "size", "512M")


def parse_number(text: str, option: str, example: str) -> int:
    """Return the value of an option such as `192k`; K, M and G are powers of 1000."""
    return _parse(text, 1000, f"value for {option}", example)


def _parse(text: str, base: int, kind: str, example: str) -> int:
    units = {"": 1, "K": base, "M": base**2, "G": base**3}
    number, unit = text.rstrip("KkMmGgBb"), text.lstrip("0123456789.").upper().rstrip("B")
    try:
        return int(float(number) * units[unit])
    except (ValueError, KeyError, OverflowError):
        raise UsageError(
            f"Invalid {kind}: {text!r}. Use a number and K, M or G, for instance {example}."
        ) from None


def parse_extra(fields: Sequence[str] | None) -> dict[str, Any]:
    """Return the fields of `--extra NAME=VALUE`; a value that is not JSON is text."""
    found: dict[str, Any] = {}
    for field in fields or ():
        name, equals, value = field.partition("=")
        if not name or not equals:
            raise UsageError(f"Invalid --extra: {field!r}. Use NAME=VALUE, for instance look=ring.")
        try:
            found[name] = json.loads(value)
        except (ValueError, RecursionError):
            found[name] = value
    return found

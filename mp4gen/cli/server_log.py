"""Writes the log of `mp4gen serve` to stderr, as text or as JSON; decides nothing.

Each record is one line that controls no terminal and contains no secret. As text, the traceback of
an error follows in indented lines. A warning names its causes on its own line.
"""

import logging
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal

from mp4gen.secret import Secret

from .output import escape_control_chars, to_json_line

LogFormat = Literal["text", "json"]
_MAX_CAUSES = 5
_REPEAT_SECONDS = 60.0


class ServerLogHandler(logging.Handler):
    """Writes records to stderr.

    Args:
        log_format: The format of a line.
        secrets: Texts that no line shows.

    Attributes:
        log_format: The format of a line.
    """

    def __init__(self, log_format: LogFormat, secrets: Iterable[str | None]) -> None:
        super().__init__(logging.INFO)
        self.log_format = log_format
        self._secrets: list[Secret] = []
        self.hide(secrets)
        self._last_report = ("", 0.0)
        # This loads a codec, which a process without free descriptors could not do later.
        escape_control_chars("\n")

    def hide(self, secrets: Iterable[str | None]) -> None:
        """Hide further texts."""
        self._secrets += [Secret(one) for one in secrets if one]

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        if record.name == "asyncio" and self._is_repeated(record):
            return
        # The reader of the log may be gone, or the process out of memory: the server goes on.
        with suppress(Exception):
            text = self._as_json(record) if self.log_format == "json" else self._as_text(record)
            sys.stderr.write(text)
            sys.stderr.flush()

    def _is_repeated(self, record: logging.LogRecord) -> bool:
        """Return whether asyncio said the same lately, as it does for each connection refused."""
        message, (last, at) = record.getMessage(), self._last_report
        # The clock of records may be set back.
        if message == last and abs(record.created - at) < _REPEAT_SECONDS:
            return True
        self._last_report = message, record.created
        return False

    def _as_text(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        error = _error_of(record)
        message = record.getMessage()
        causes = _causes(error, known=message)
        cause = f" cause={causes!r}" if causes else ""
        lines = [f"{time} {record.levelname} {message}{cause}"]
        if error is not None and record.levelno >= logging.ERROR:
            lines += [f"  {line}" for line in _traceback(error)]
        return "".join(escape_control_chars(self._redact(line)) + "\n" for line in lines)

    def _as_json(self, record: logging.LogRecord) -> str:
        values: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if error := _error_of(record):
            values |= {"error": _causes(error), "traceback": list(_traceback(error))}
        return to_json_line(self._redact_all(values)) + "\n"

    def _redact(self, text: str) -> str:
        for secret in self._secrets:
            text = secret.redact(text)
        return text

    def _redact_all(self, value: Any) -> Any:
        match value:
            case str():
                return self._redact(value)
            case list() | tuple():
                return [self._redact_all(one) for one in value]
            case dict():
                return {name: self._redact_all(one) for name, one in value.items()}
        return value


def _error_of(record: logging.LogRecord) -> BaseException | None:
    return record.exc_info[1] if record.exc_info else None


def _traceback(error: BaseException) -> Iterator[str]:
    for part in traceback.format_exception(error):
        yield from part.splitlines()


def _causes(error: BaseException | None, known: str = "") -> str:
    """Return an error and what caused it, in one line, without the texts that are known."""
    parts: list[str] = []
    found = error
    while found is not None and len(parts) < _MAX_CAUSES:
        # A process pool adds the traceback of its worker as a cause.
        is_traceback = type(found).__name__ == "_RemoteTraceback"
        if not is_traceback and (str(found) not in known or not str(found)):
            parts.append(f"{type(found).__name__}: {found}")
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return " <- ".join(parts)

"""File names from a template such as `{author} - {audio_id}`; touches no file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter

import attrs

from .exit_codes import UsageError
from .track_table import Row

DEFAULT_TEMPLATE = "{audio_id}"
_REQUEST_FIELDS = ("task_id", "audio_id", "author", "domain_name", "line")


@attrs.frozen
class Template:
    """A template whose fields are known to exist.

    Attributes:
        parts: (text, the field that follows it or None).
    """

    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str, columns: Iterable[str]) -> Template:
        """Read a template.

        Args:
            text: with fields in braces; `{{` is a brace.
            columns: further fields, beside a request's own.

        Raises:
            UsageError: it cannot be read, or names a field that does not exist.
        """
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise UsageError(f"--name {text} cannot be read ({error}); {_example()}") from None
        known = (*_REQUEST_FIELDS, *columns)
        for _, field, spec, conversion in parsed:
            if field is not None and (field not in known or spec or conversion):
                raise UsageError(
                    f"--name cannot use {{{field}}}: it knows "
                    f"{', '.join(f'{{{name}}}' for name in known)}"
                )
        return cls(tuple((literal, field) for literal, field, _, _ in parsed))

    def render(self, row: Row) -> str:
        """The name for `row`, without its ending; its audio id where nothing else is left."""
        values = _field_values(row)
        filled = "".join(
            text + (values.get(field, "") if field else "") for text, field in self.parts
        )
        return filled if filled.strip(" -_.") else row.request.audio_id


def _field_values(row: Row) -> Mapping[str, str]:
    request = row.request
    return {
        **row.extra_columns,
        "task_id": request.task_id,
        "audio_id": request.audio_id,
        "author": request.author or "",
        "domain_name": request.domain_name or "",
        "line": str(row.line),
    }


def _example() -> str:
    return 'write it like "{author} - {audio_id}"'

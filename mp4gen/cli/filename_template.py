"""Renders file names from a template such as `{author} - {audio_id}`; opens no file."""

from __future__ import annotations

from collections.abc import Iterable
from string import Formatter

import attrs

from .exit_codes import UsageError
from .track_table import Row

DEFAULT_TEMPLATE = "{audio_id}"
_REQUEST_FIELDS = ("task_id", "audio_id", "author", "domain_name", "line")


@attrs.frozen
class Template:
    """A template whose fields all exist.

    Attributes:
        parts: (text, the field after it, or None).
    """

    parts: tuple[tuple[str, str | None], ...]

    @classmethod
    def parse(cls, text: str, columns: Iterable[str]) -> Template:
        """Parse and validate a template.

        Args:
            text: The template, with fields in braces; `{{` is a brace.
            columns: Names of further fields, beside those of a request.

        Raises:
            UsageError: The syntax is invalid, or a field does not exist.
        """
        try:
            parsed = list(Formatter().parse(text))
        except ValueError as error:
            raise UsageError(
                f"Invalid --name: {text!r} ({error}). Use a template such as "
                '"{author} - {audio_id}".'
            ) from None
        known = (*_REQUEST_FIELDS, *columns)
        for _, field, spec, conversion in parsed:
            if field is not None and (field not in known or spec or conversion):
                fields = ", ".join(f"{{{name}}}" for name in known)
                raise UsageError(f"Invalid field in --name: {{{field}}}. Use one of: {fields}.")
        return cls(tuple((literal, field) for literal, field, _, _ in parsed))

    def render(self, row: Row) -> str:
        """Return the file name of `row` without extension; its audio id if that is empty."""
        request = row.request
        own = {field: getattr(request, field) or "" for field in _REQUEST_FIELDS[:-1]}
        values = {**row.extra_columns, **own, "line": str(row.line)}
        name = "".join(
            text + (values.get(field, "") if field else "") for text, field in self.parts
        )
        return name if name.strip(" -_.") else request.audio_id

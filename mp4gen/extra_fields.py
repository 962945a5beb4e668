"""Check and freeze the further JSON fields of a request; sends nothing.

They can be nested, so that a frozen request needs a copy that cannot be changed.
"""

import json
import math
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

# The fields of a request that have names of their own.
OWN_FIELDS = ("task_id", "audio_id", "author", "domain_name", "callback_url")
# Hosts do not keep larger ones exactly.
_MAX_INT = 1 << 64
_MAX_DEPTH = 50
_OWN_NAMES = {name.replace("_", ""): name for name in OWN_FIELDS}


def own_field(name: str) -> str | None:
    """Return the field that `name` spells in snake_case, camelCase or any other way, or None."""
    return _OWN_NAMES.get("".join(char for char in name.lower() if char.isalnum()))


def problem(fields: object) -> str | None:
    """Return what is wrong with further fields, or None."""
    if not isinstance(fields, Mapping):
        return f"must be a mapping of JSON fields, not {type(fields).__name__}"
    for name in fields:
        if isinstance(name, str) and (own := own_field(name)):
            return f"must not hold {name}; use the argument {own}"
    return _value_problem(fields, 0)


def _value_problem(value: object, depth: int) -> str | None:
    if depth > _MAX_DEPTH:
        return f"must not be nested more than {_MAX_DEPTH} levels deep"
    found, parts = None, list[object]()
    match value:
        case None | bool():
            pass
        case int():
            found = None if abs(value) < _MAX_INT else "must not hold numbers of more than 64 bits"
        case float():
            found = None if math.isfinite(value) else f"must not hold {value}, which JSON lacks"
        case str():
            lacks = any(unicodedata.category(char) == "Cs" for char in value)
            found = "must not hold half a character (a lone surrogate)" if lacks else None
        case Mapping() if not all(isinstance(name, str) for name in value):
            found = "must have names that are text"
        case Mapping():
            parts = [*value, *value.values()]
        case list() | tuple():
            parts = [*value]
        case _:
            found = f"must hold JSON values, not {type(value).__name__}"
    problems = (_value_problem(part, depth + 1) for part in parts)
    return found or next(filter(None, problems), None)


def freeze(fields: Any) -> Any:
    """Return a copy that cannot be changed; None for no fields, and invalid fields as they are."""
    return fields if fields is None or problem(fields) else _freeze(thaw(fields)) or None


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return MappingProxyType({name: _freeze(item) for name, item in value.items()})
    return tuple(map(_freeze, value)) if isinstance(value, list) else value


def dump(fields: Mapping[str, Any] | None) -> str | None:
    """Return the fields as JSON text, equal for equal fields; None for None."""
    if fields is None:
        return None
    return json.dumps(fields, sort_keys=True, ensure_ascii=False, default=dict)


def thaw(fields: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the fields as values that `json.dumps` takes; no fields for None."""
    found: dict[str, Any] = json.loads(dump(fields) or "{}")
    return found

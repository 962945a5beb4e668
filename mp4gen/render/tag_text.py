"""Repair the text of tags whose encoding was not declared, or not truly. Reads no files."""

from collections.abc import Iterable

from .characters import sanitize

UNREADABLE = "\N{REPLACEMENT CHARACTER}"


def repair(text: str) -> str:
    """Return the text as it was meant.

    Args:
        text: bytes of an unknown encoding are lone surrogates, as `surrogateescape` makes them,
            or were taken for Latin-1.
    """
    if any("\udc80" <= char <= "\udcff" for char in text):
        return _decode(text.encode("utf-8", "surrogateescape"))
    for disguise in ("latin-1", "cp1252"):
        try:
            return _decode(text.encode(disguise))
        except UnicodeEncodeError:
            continue
    return text


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def join(texts: Iterable[str]) -> str:
    """Repair and sanitize the values of a tag, and join the different ones by commas."""
    values = (sanitize(repair(text)) for text in texts)
    return sanitize(", ".join(dict.fromkeys(filter(None, values))))

"""Untrusted text as characters: sanitize it, and split it into letters. Knows no fonts."""

import unicodedata

MAX_CHARACTERS = 300
MAX_MARKS = 4
_JOINERS = "\u200c\u200d"


def sanitize(text: str | None) -> str:
    """Return plain one-line NFC text without control characters, overrides and stacked marks."""
    if not text:
        return ""
    kept: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", text[: 4 * MAX_CHARACTERS]):
        kind = unicodedata.category(char)
        if kind in ("Cc", "Zl", "Zp", "Zs"):
            char = " "  # noqa: PLW2901 (every kind of space is one space)
        elif kind in ("Cf", "Cs", "Co", "Cn") and char not in _JOINERS:
            continue
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks <= MAX_MARKS:
            kept.append(char)
    return " ".join("".join(kept).split())[:MAX_CHARACTERS].strip()


def grapheme_clusters(text: str) -> list[str]:
    """Split text into letters with their marks, joined emoji and flags."""
    found: list[str] = []
    for char in text:
        last = found[-1] if found else ""
        joined = last.endswith("\u200d") and is_emoji(last)
        flag = _is_flag(char) and len(last) == 1 and _is_flag(last)
        if last and (_extends(char) or joined or flag):
            found[-1] += char
        else:
            found.append(char)
    return found


def _extends(char: str) -> bool:
    is_mark = unicodedata.category(char) in ("Mn", "Mc", "Me")
    return is_mark or is_invisible(char) or 0x1F3FB <= ord(char) <= 0x1F3FF


def is_invisible(char: str) -> bool:
    """Return whether a character joins or varies others, and shows nothing itself."""
    return char in _JOINERS or 0xFE00 <= ord(char) <= 0xFE0F


def _is_flag(char: str) -> bool:
    return 0x1F1E6 <= ord(char) <= 0x1F1FF


def is_emoji(cluster: str) -> bool:
    """Return whether a letter is an emoji, or contains one."""
    return "\ufe0f" in cluster or any(0x1F000 <= ord(char) <= 0x1FBFF for char in cluster)


def script_of(cluster: str) -> str:
    """Return the script of a letter in upper case, or "emoji"."""
    if is_emoji(cluster) or unicodedata.category(cluster[0]) == "So":
        return "emoji"
    return unicodedata.name(cluster[0], "symbols").split()[0]

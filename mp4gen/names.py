"""File names from text that came from outside: safe everywhere, never leaving their folder."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from urllib.parse import unquote, urlsplit

# Bytes in UTF-8; most file systems allow 255, and the temporary file's name is longer than this.
MAX_NAME = 120
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]+')
_DEVICES = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


def safe_stem(text: str, *, fallback: str = "video") -> str:
    """`text` as a file name without its ending.

    What a file system could stumble over becomes `_`; a name that had to be shortened ends in a
    digest of the whole, so that two long ones stay different.
    """
    normal = unicodedata.normalize("NFC", text)
    shown = "".join(c if unicodedata.category(c)[0] not in "CZ" else " " for c in normal)
    stem = _FORBIDDEN.sub("_", " ".join(shown.split())).strip(" .")
    if not stem.strip("_"):
        return fallback
    if _DEVICES.match(stem):
        stem = f"_{stem}"
    return _shortened(stem)


def name_in_url(url: str) -> str:
    """The last part of a URL's path as a safe file name ending in `.mp4`."""
    last = unquote(urlsplit(url).path.rpartition("/")[2])
    return f"{safe_stem(re.sub(r'(?i)[.]mp4$', '', last))}.mp4"


def _shortened(stem: str) -> str:
    raw = stem.encode()
    if len(raw) <= MAX_NAME:
        return stem
    digest = hashlib.sha256(raw).hexdigest()[:10]
    kept = raw[: MAX_NAME - len(digest) - 1].decode(errors="ignore").strip(" .")
    return f"{kept}-{digest}"

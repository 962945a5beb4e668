"""File names from text that came from outside: safe everywhere, never leaving their folder."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final
from urllib.parse import unquote, urlsplit

# Bytes in UTF-8, the ending included; the temporary file's name is longer, and 255 is the limit of
# most file systems.
MAX_NAME_BYTES: Final = 120
_MAX_STEM_BYTES: Final = MAX_NAME_BYTES - len(".mp4")
_FORBIDDEN_CHARACTERS: Final = re.compile(r'[<>:"/\\|?*]+')
# Names that Windows gives to devices, whatever follows their first dot.
_WINDOWS_DEVICES: Final = re.compile(
    r"(?i)^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)"
)


def safe_stem(text: str, *, fallback: str = "video") -> str:
    """`text` as a file name without its ending.

    What a file system, a shell or a reader could stumble over becomes `_` or a space. A name that
    had to be changed ends in a digest of the whole text, so that two different texts never share a
    file.
    """
    normalized = unicodedata.normalize("NFC", text)
    printable = "".join(c if unicodedata.category(c)[0] not in "CZ" else " " for c in normalized)
    stem = _FORBIDDEN_CHARACTERS.sub("_", " ".join(printable.split())).strip(" .-")
    if not stem.strip("_"):
        stem = fallback
    if _WINDOWS_DEVICES.match(stem):
        stem = f"_{stem}"
    if not text or (stem == normalized and len(stem.encode()) <= _MAX_STEM_BYTES):
        return stem
    return _with_digest(stem, normalized)


def filename_from_url(url: str) -> str:
    """The last part of a URL's path as a safe file name ending in `.mp4`."""
    try:
        filename = unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        filename = ""
    return f"{safe_stem(re.sub(r'(?i)[.]mp4$', '', filename))}.mp4"


def _with_digest(stem: str, text: str) -> str:
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:10]
    max_bytes = _MAX_STEM_BYTES - len(digest) - 1
    truncated = stem.encode()[:max_bytes].decode(errors="ignore").strip(" .-")
    return f"{truncated}-{digest}"

"""Turn text from outside into file names that are safe on every system, inside their folder."""

import hashlib
import re
import unicodedata
from typing import Final
from urllib.parse import unquote, urlsplit

from mp4gen.filesystem import portable_name

# Bytes in UTF-8 with the extension. The temporary file's name is longer; file systems allow 255.
MAX_NAME_BYTES: Final = 120
_MAX_STEM_BYTES: Final = MAX_NAME_BYTES - len(".mp4")


def safe_stem(text: str) -> str:
    """Return `text` as a file name without extension, "video" if nothing of it is left.

    Characters that file systems, shells or readers misinterpret become `_` or a space. A changed
    name ends in a digest of the whole text, so different texts never share a file.
    """
    normalized = unicodedata.normalize("NFC", text)
    printable = "".join(c if unicodedata.category(c)[0] not in "CZ" else " " for c in normalized)
    stem = portable_name(" ".join(printable.split()).strip(" .-"))
    if not stem.strip("_"):
        stem = "video"
    if not text or (stem == normalized and len(stem.encode()) <= _MAX_STEM_BYTES):
        return stem
    return _with_digest(stem, normalized)


def filename_from_url(url: str) -> str:
    """Return the last part of a URL's path as a safe file name with the extension `.mp4`."""
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

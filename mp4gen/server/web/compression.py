"""Sends text compressed to clients that accept it, and not again to those that have it."""

import gzip
import hashlib
import json
from typing import Any

import attrs
from aiohttp import hdrs, web

_MIN_BYTES = 1000
# Higher levels save less than 1 % more.
_LEVEL = 6


@attrs.frozen
class Text:
    """A text as it is sent: its bytes, the compressed ones and its entity tag."""

    plain: bytes
    compressed: bytes
    etag: str
    content_type: str


def compress(content: bytes, content_type: str = "application/json") -> Text:
    """Return a text that can be sent many times; takes some milliseconds for each megabyte."""
    etag = hashlib.blake2b(content, digest_size=12).hexdigest()
    compressed = gzip.compress(content, _LEVEL, mtime=0) if len(content) >= _MIN_BYTES else content
    return Text(content, compressed, etag, content_type)


def compress_json(value: Any) -> Text:
    """Return a JSON document that can be sent many times."""
    return compress(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


def send_text(request: web.Request, text: Text, headers: dict[str, str]) -> web.Response:
    """Return the response with a text, or 304 if the client has it."""
    kept = {**headers, hdrs.ETAG: f'"{text.etag}"', hdrs.VARY: hdrs.ACCEPT_ENCODING}
    if any(tag.value == text.etag for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=kept)
    accepted = request.headers.get(hdrs.ACCEPT_ENCODING, "").lower()
    body = text.plain
    if "gzip" in accepted and text.compressed is not text.plain:
        kept[hdrs.CONTENT_ENCODING] = "gzip"
        body = text.compressed
    is_font = text.content_type.startswith("font/")
    kept[hdrs.CONTENT_TYPE] = text.content_type + ("" if is_font else "; charset=utf-8")
    return web.Response(body=body, headers=kept)

"""Callbacks, both sides: build, sign, read and verify them; no I/O, no waiting."""

import base64
import hmac
import time
from collections.abc import Mapping
from typing import Any

import attrs

from mp4gen.errors import ValidationError
from mp4gen.models import Value
from mp4gen.secret import Secret

from . import converters
from .responses import dump_json, find_task_id, load_response_json

# Seconds by which the clocks may differ, with the way of the callback; the vendor documents none.
_MAX_SIGNATURE_AGE = 300.0


@attrs.frozen(eq=False, repr=False)
class VideoCallback(Value):
    """The content of a callback; it does not prove who sent it.

    Attributes:
        task_id: The video task.
        code: 200 for a success, for docs.kie.ai also 0.
        message: The sender's text.
        video_url: The URL of the video, or None after a failure.
    """

    task_id: str
    code: int
    message: str
    video_url: str | None

    @property
    def failed(self) -> bool:
        """Whether the callback reports a failure."""
        return self.code not in {0, 200}


def build_callback(task_id: str, video_url: str | None, *, code: int = 200) -> bytes:
    """Build the body for the end of a task (docs.sunoapi.org, "Music Video Generation Callbacks").

    Unlike all other bodies it uses snake_case. A failure has no `video_url` and its own `code`.
    """
    message = "MP4 generated successfully." if code == 200 else "Music video generation failed"
    data = {"task_id": task_id, "video_url": video_url}
    return dump_json({"code": code, "msg": message, "data": data})


def sign_callback(task_id: str, secret: str | Secret, timestamp: int) -> dict[str, str]:
    """Return the two headers of a signed callback (docs.kie.ai, "Webhook Security Verification").

    They sign the task id and the time in seconds since 1970, not the body.
    """
    text = f"{task_id}.{timestamp}".encode("utf-8", "surrogatepass")
    signed = hmac.digest(Secret(secret).reveal().encode(), text, "sha256")
    signature = base64.b64encode(signed).decode("ascii")
    return {"X-Webhook-Timestamp": str(timestamp), "X-Webhook-Signature": signature}


def parse_callback(
    body: bytes | str | Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    secret: str | Secret | None = None,
    now: float | None = None,
) -> VideoCallback:
    """Read a callback in any process: nothing is kept, nothing is sent.

    Its sender is unknown unless a `secret` is given, and no host signs the link: ask
    `get_music_video_details()` before you trust it.

    Args:
        body: The request's body, or the object that a framework decoded from it.
        headers: The request's headers, in any case; needed with a `secret`.
        secret: The account's webhook key, to check the signature (docs.kie.ai, "Webhook Security
            Verification"); None for hosts that do not sign.
        now: Seconds since 1970, for the age of the signature; default: the current time.

    Raises:
        ValidationError: The body has no task id (`field` is "body"), or the signature is missing,
            wrong or older than five minutes ("headers").
    """
    value = _decode(body)
    data = value.get("data") if isinstance(value, Mapping) else None
    task_id = find_task_id(data) or find_task_id(value)
    if task_id is None:
        raise ValidationError(
            {"body": "must be the JSON of a callback, with a task id; pass it unchanged"}
        )
    now = time.time() if now is None else now
    if secret is not None and not verify_signature(headers or {}, task_id, secret, now):
        raise ValidationError(
            {"headers": "the signature is missing, wrong or too old; check the webhook key"}
        )
    code = converters.parse_int(value.get("code"))
    url = data.get("video_url") or data.get("videoUrl") if isinstance(data, Mapping) else None
    return VideoCallback(
        task_id,
        code if code is not None else 200,
        str(value.get("msg") or "")[:500],
        converters.parse_url(url),
    )


def _decode(body: bytes | str | Mapping[str, Any]) -> Any:
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    return load_response_json(bytes(body)) if isinstance(body, bytes | bytearray) else body


def verify_signature(
    headers: Mapping[str, str], task_id: str, secret: str | Secret, now: float
) -> bool:
    """Return whether a callback carries a recent valid signature (docs.kie.ai, as above).

    Args:
        headers: Headers of the callback, in any case.
        task_id: Task id from its body.
        secret: The account's webhook key.
        now: Seconds since 1970.
    """
    lowercase = {str(name).lower(): str(value) for name, value in headers.items()}
    timestamp = lowercase.get("x-webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 20):
        return False
    expected = sign_callback(task_id, secret, int(timestamp))["X-Webhook-Signature"]
    signature = lowercase.get("x-webhook-signature", "").encode("utf-8", "replace")
    is_recent = abs(now - int(timestamp)) <= _MAX_SIGNATURE_AGE
    return hmac.compare_digest(expected.encode(), signature) and is_recent

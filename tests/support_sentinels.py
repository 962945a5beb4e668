"""The secrets of the suite: no log, error, traceback or `repr` may contain one of them."""

import traceback

from mp4gen.testing.service import FAKE_KEY

PROXY_PASSWORD = "sentinel-proxy-7f3a"
RECEIVER_SECRET = "sentinel-receiver-91c2"
SENTINELS = (FAKE_KEY, PROXY_PASSWORD, RECEIVER_SECRET)


def shown_in(text: str) -> list[str]:
    """Return the secrets that `text` contains."""
    return [secret for secret in SENTINELS if secret in text]


def traceback_text(error: BaseException) -> str:
    """Return the traceback with the variables of all frames but those of the tests."""
    formatted = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    return "".join(part for part in formatted if "/tests/" not in part.partition("\n")[0])

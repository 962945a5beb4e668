"""Writes the log of the package to stderr for `MP4GEN_LOG`; imports nothing of the rest."""

import logging

_LEVELS = {"info": logging.INFO, "debug": logging.DEBUG}
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to_stderr(level: str) -> None:
    """Write the log of `mp4gen` to stderr, one line a record, from `info` or `debug` on."""
    logger = logging.getLogger("mp4gen")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(_has_no_other_place)
    logger.addHandler(handler)
    number = _LEVELS.get(level.strip().lower())
    if number is None:
        logger.warning("Invalid MP4GEN_LOG: %r. Use info or debug.", level)
    else:
        logger.setLevel(number)


def _has_no_other_place(record: logging.LogRecord) -> bool:
    """Return False for the log of the server, which `mp4gen serve` writes itself."""
    server = "mp4gen.server"
    return not (record.name.startswith(server) and logging.getLogger(server).handlers)

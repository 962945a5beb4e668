"""Turn music tracks into MP4 videos: an asyncio SDK for the "Create Music Video" API.

The package also contains a command line (`mp4gen[cli]`) and a server of the same API that renders
the videos itself (`mp4gen[server]`). Importing this module loads neither.
"""

import logging
import os
import typing

from . import lazy

if typing.TYPE_CHECKING:
    __version__: str
    from . import redis as redis
    from . import render as render
    from . import server as server
    from . import sync as sync
    from . import testing as testing
    from .api.callbacks import VideoCallback, parse_callback
    from .api.dialects import Dialect
    from .api.timestamped_lyrics import TimestampedLyrics
    from .bulk.results import Conversion, RunSummary
    from .bulk.run import ConversionRun
    from .client import Client
    from .conversion.callbacks import CallbackReceiver
    from .errors import (
        AlreadyExistsError,
        ApiError,
        AuthenticationError,
        ConfigurationError,
        DownloadError,
        InsufficientCreditsError,
        InvalidRequestError,
        LedgerError,
        MaintenanceError,
        Mp4GenError,
        NotFoundError,
        ProtocolError,
        RateLimitError,
        RenderCancelledError,
        RenderError,
        RenderIOError,
        RequestTimeoutError,
        ServerError,
        TransportError,
        UnexpectedError,
        ValidationError,
    )
    from .events import (
        CompletedEvent,
        DownloadProgressEvent,
        Event,
        FailedEvent,
        MaintenanceEvent,
        PausedEvent,
        PollEvent,
        RetryEvent,
        SubmittedEvent,
    )
    from .lyrics.values import LyricLine, LyricWord
    from .models import Track, Video, VideoDetails, VideoRequest, VideoStatus
    from .options import Polling, RateLimit, Retry
    from .task_errors import GenerationFailedError, SubmitUncertainError, WaitTimeoutError
    from .transport.rate_limit import Priority, RateLimiter, SlidingWindowLimiter

__all__ = [
    "AlreadyExistsError",
    "ApiError",
    "AuthenticationError",
    "CallbackReceiver",
    "Client",
    "CompletedEvent",
    "ConfigurationError",
    "Conversion",
    "ConversionRun",
    "Dialect",
    "DownloadError",
    "DownloadProgressEvent",
    "Event",
    "FailedEvent",
    "GenerationFailedError",
    "InsufficientCreditsError",
    "InvalidRequestError",
    "LedgerError",
    "LyricLine",
    "LyricWord",
    "MaintenanceError",
    "MaintenanceEvent",
    "Mp4GenError",
    "NotFoundError",
    "PausedEvent",
    "PollEvent",
    "Polling",
    "Priority",
    "ProtocolError",
    "RateLimit",
    "RateLimitError",
    "RateLimiter",
    "RenderCancelledError",
    "RenderError",
    "RenderIOError",
    "RequestTimeoutError",
    "Retry",
    "RetryEvent",
    "RunSummary",
    "ServerError",
    "SlidingWindowLimiter",
    "SubmitUncertainError",
    "SubmittedEvent",
    "TimestampedLyrics",
    "Track",
    "TransportError",
    "UnexpectedError",
    "ValidationError",
    "Video",
    "VideoCallback",
    "VideoDetails",
    "VideoRequest",
    "VideoStatus",
    "WaitTimeoutError",
    "parse_callback",
]

# The application decides where the log goes; without it, the log goes nowhere.
logging.getLogger(__name__).addHandler(logging.NullHandler())
if os.environ.get("MP4GEN_LOG"):
    from .settings.stderr_log import log_to_stderr

    log_to_stderr(os.environ["MP4GEN_LOG"])
    del log_to_stderr


if not typing.TYPE_CHECKING:
    # Loaded on use: pytest imports the package for its plugin in every project.
    _load, __dir__ = lazy.loader(
        __name__,
        __all__,
        (
            "errors",
            "options",
            "models",
            "events",
            "task_errors",
            "api.dialects",
            "api.callbacks",
            "transport.rate_limit",
            "conversion.callbacks",
            "client",
            "lyrics.values",
            "api.timestamped_lyrics",
            "bulk.results",
            "bulk.run",
        ),
        subpackages=("redis", "render", "server", "sync", "testing"),
        unneeded={"Client": {"api.callbacks", "conversion.callbacks"}},
    )

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from .version import package_version

            return package_version()
        return _load(name)

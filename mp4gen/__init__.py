"""Turn music tracks into MP4 videos: an asyncio SDK for the "Create Music Video" API.

The package also contains a command line (`mp4gen[cli]`) and a server of the same API that renders
the videos itself (`mp4gen[server]`). Importing this module loads neither.
"""

import typing

from .api.dialects import Dialect
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
from .models import Conversion, RunSummary, Track, Video, VideoDetails, VideoRequest, VideoStatus
from .options import Polling, RateLimit, Retry
from .task_errors import GenerationFailedError, SubmitUncertainError, WaitTimeoutError
from .transport.rate_limit import Priority, RateLimiter, SlidingWindowLimiter

if typing.TYPE_CHECKING:
    from .bulk.run import ConversionRun

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
    "Track",
    "TransportError",
    "UnexpectedError",
    "ValidationError",
    "Video",
    "VideoDetails",
    "VideoRequest",
    "VideoStatus",
    "WaitTimeoutError",
]

# The package claims its public names, wherever they are defined.
for _name in {*__all__} - {"ConversionRun"}:
    globals()[_name].__module__ = __name__
del _name


def __getattr__(name: str) -> object:
    # Loaded on use: a client that starts no bulk run does not pay for it.
    if name != "ConversionRun":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .bulk.run import ConversionRun

    ConversionRun.__module__ = __name__
    return ConversionRun


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

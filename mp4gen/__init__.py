"""Turn music tracks into MP4 videos: an asyncio SDK for the "Create Music Video" API.

The package also contains a command line (`mp4gen[cli]`) and a server of the same API that renders
the videos itself (`mp4gen[server]`). Importing this module loads neither.
"""

import importlib
import logging
import os
import typing

if typing.TYPE_CHECKING:
    from . import sync as sync
    from .api.callbacks import VideoCallback, parse_callback
    from .api.dialects import Dialect
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
    from .models import (
        Conversion,
        RunSummary,
        Track,
        Video,
        VideoDetails,
        VideoRequest,
        VideoStatus,
    )
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


# The modules that define the public names, all but a bulk run's: who starts none pays for none.
_MODULES = (
    "api.callbacks",
    "api.dialects",
    "client",
    "conversion.callbacks",
    "errors",
    "events",
    "models",
    "options",
    "task_errors",
    "transport.rate_limit",
)


def __getattr__(name: str) -> object:
    # Loaded on use: pytest imports the package for its plugin in every project.
    if name == "sync":
        return importlib.import_module(f"{__name__}.sync")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    modules = ["bulk.run"] if name == "ConversionRun" else _MODULES
    found = [vars(importlib.import_module(f"{__name__}.{module}")) for module in modules]
    for public in __all__:
        value = next((names[public] for names in found if public in names), None)
        if value is not None:
            # Tracebacks name the package, wherever a name is defined.
            value.__module__ = __name__
            globals()[public] = value
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "sync"})

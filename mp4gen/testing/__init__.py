"""A fake of the API on loopback for the tests of an app, with any fault on demand.

`FakeService` is a real HTTP server, so neither mp4gen nor the app needs mocks. The pytest fixture
`mp4gen_service` runs one in its own thread.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from .callbacks import CallbackBehavior, SentCallback
    from .faults import FAULT_MEANINGS, FAULTS
    from .scripted_response import ScriptedResponse
    from .service import FakeService, lognormal
    from .state import FakeTask, RecordedRequest

__all__ = [
    "FAULTS",
    "FAULT_MEANINGS",
    "CallbackBehavior",
    "FakeService",
    "FakeTask",
    "RecordedRequest",
    "ScriptedResponse",
    "SentCallback",
    "lognormal",
]


def __getattr__(name: str) -> object:
    # Loaded on use: the plugin is imported in every project, the service in few.
    if name in __all__:
        for module in ("callbacks", "faults", "scripted_response", "service", "state"):
            found = vars(importlib.import_module(f"{__name__}.{module}"))
            globals().update({public: found[public] for public in __all__ if public in found})
        for public in __all__:
            if hasattr(globals()[public], "__module__"):
                globals()[public].__module__ = __name__
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

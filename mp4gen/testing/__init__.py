"""A fake of the API on loopback for the tests of an app, with any fault on demand.

`FakeService` is a real HTTP server, so neither mp4gen nor the app needs mocks. The pytest fixture
`mp4gen_service` runs one in its own thread.
"""

import typing

from mp4gen import lazy

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

if not typing.TYPE_CHECKING:
    # Loaded on use: the plugin is imported in every project, the service in few.
    __getattr__, __dir__ = lazy.loader(
        __name__, __all__, ("faults", "scripted_response", "callbacks", "state", "service")
    )

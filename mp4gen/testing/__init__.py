"""What tests of an app that uses mp4gen need: the API on loopback, with any fault on demand.

`FakeService` is a real HTTP server; no part of mp4gen or of the app has to be replaced. With
pytest, the fixture `mp4gen_service` gives one that runs in a thread of its own.
"""

from __future__ import annotations

from .callbacks import CallbackBehavior, SentCallback
from .faults import FAULTS, ScriptedResponse
from .service import FakeService, lognormal
from .state import FakeTask, RecordedRequest

__all__ = [
    "FAULTS",
    "CallbackBehavior",
    "FakeService",
    "FakeTask",
    "RecordedRequest",
    "ScriptedResponse",
    "SentCallback",
    "lognormal",
]

# The package claims its public names: where they are defined is nobody's business.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
lognormal.__module__ = __name__
del _name

"""A fake of the API on loopback for the tests of an app, with any fault on demand.

`FakeService` is a real HTTP server, so neither mp4gen nor the app needs mocks. The pytest fixture
`mp4gen_service` runs one in its own thread.
"""

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

# The package claims its public names.
for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
lognormal.__module__ = __name__
del _name

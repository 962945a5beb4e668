"""A process that starts alone; the new process loads this module before it knows its work."""

import sys
from multiprocessing.context import SpawnProcess
from types import ModuleType


class WorkerProcess(SpawnProcess):
    """A spawned process that does not import the server's main module again.

    A script that starts a server at its top level would start another one in each worker.
    """

    def start(self) -> None:
        """Start the process."""
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main

"""Starts a scheduler and workers of Dask as processes on free loopback ports, and ends them."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

# `python -m dask` that leaves no process behind if the tests are killed. In a `preexec_fn`, the
# child of a process with threads can wait for a lock for ever.
_DASK = """
import ctypes, runpy, signal
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
runpy.run_module("dask", run_name="__main__", alter_sys=True)
"""


class DaskCluster:
    """The processes of one cluster, each of which can be killed.

    Attributes:
        workers: The processes of the workers by name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = "0"
        self._scheduler: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """The setting `executor` of a server."""
        return f"dask://127.0.0.1:{self._port}"

    def start_scheduler(self) -> None:
        """Start the scheduler, and wait until it listens; the second time on the same port."""
        ready = self._folder / "scheduler.json"
        ready.unlink(missing_ok=True)
        options = ["--host", "127.0.0.1", "--port", self._port, "--no-dashboard"]
        self._scheduler = self._start(
            "scheduler", "scheduler", *options, "--scheduler-file", str(ready)
        )
        # It writes the file under this name when it listens.
        while not ready.exists() or not ready.stat().st_size:
            assert self._scheduler.poll() is None, self.log_of("scheduler")
            time.sleep(0.02)  # it is another process: there is no event
        self._port = json.loads(ready.read_text())["address"].rpartition(":")[2]

    def start_worker(self, name: str, *options: str, **environment: str) -> None:
        """Start a worker of one thread, which joins by itself."""
        self.workers[name] = self._start(
            name,
            "worker",
            f"tcp://127.0.0.1:{self._port}",
            *("--name", name, "--nthreads", "1", "--no-nanny", "--no-dashboard"),
            *("--memory-limit", "0", "--host", "127.0.0.1"),
            *("--local-directory", str(self._folder / name), *options),
            **environment,
        )

    def _start(self, name: str, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-c", _DASK, *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                cwd=self._folder,
            )

    def log_of(self, name: str) -> str:
        """Return what a process has written."""
        return (self._folder / f"{name}.log").read_text()

    def renders_of(self, name: str) -> list[psutil.Process]:
        """Return the processes that render for a worker."""
        children = psutil.Process(self.workers[name].pid).children()
        return [one for one in children if "resource_tracker" not in " ".join(one.cmdline())]

    @contextlib.contextmanager
    def suspended(self, name: str) -> Iterator[list[psutil.Process]]:
        """Let a worker's render go on only after the block; yield its processes."""
        processes = self.renders_of(name)
        for process in processes:
            process.suspend()
        try:
            yield processes
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def folders_of(self, name: str) -> list[Path]:
        """Return the folders of the jobs of a worker."""
        return list((self._folder / name).glob("dask-scratch-space/*/mp4gen-*"))

    def kill_worker(self, name: str) -> None:
        """Kill a worker, as a power failure does."""
        self._kill(self.workers.pop(name))

    def kill_scheduler(self) -> None:
        """Kill the scheduler; its workers end by themselves, and the caller waits for them."""
        self._kill(self._scheduler)

    def wait_for_end_of_workers(self) -> list[str]:
        """Wait until all workers have ended; return their names."""
        names = list(self.workers)
        for name in names:
            self.workers.pop(name).wait()
        return names

    def close(self) -> None:
        """End all processes."""
        for process in (*self.workers.values(), self._scheduler):
            self._kill(process)

    @staticmethod
    def _kill(process: Any) -> None:
        if process is not None and process.poll() is None:
            process.kill()
        if process is not None:
            process.wait()

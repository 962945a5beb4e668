"""Run the steps of a ledger in one thread: those that wait at the same time share one commit."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import attrs

from mp4gen.errors import LedgerError

T = TypeVar("T")


@attrs.define(eq=False)
class _Write:
    """An operation for the ledger's thread, and its result after the commit."""

    operation: partial[Any]
    done: bool = False
    result: Any = None
    error: Exception | None = None


class LedgerThread:
    """An SQLite file and the thread that uses it; the base of `Ledger`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "mp4gen-ledger")
        self._queued_writes: deque[_Write] = deque()
        self._closed = False
        # A forked child has neither the lock nor the thread.
        self._process_id = os.getpid()
        self._db: sqlite3.Connection

    async def _run(self, operation: Callable[..., T], *args: Any) -> T:
        """Run `operation` in the ledger's thread and commit it."""
        if self._closed:
            raise LedgerError(f"The ledger is closed: {self._path}. Start another run.")
        if os.getpid() != self._process_id:
            raise LedgerError(
                f"The ledger belongs to the parent process: {self._path}. Start the run in one "
                "process."
            )
        write = _Write(partial(operation, self, *args))
        self._queued_writes.append(write)
        result: T = await self._wait(self._in_thread(self._result_of, write))
        return result

    async def _wait(self, future: asyncio.Future[T]) -> T:
        """Return the thread's result; if the caller is cancelled, wait for its end first."""
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()
            raise
        except sqlite3.Error as error:
            raise LedgerError(self._error_message(error)) from error

    def _in_thread(self, operation: Callable[..., T], *args: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, operation, *args)

    def _error_message(self, error: sqlite3.Error) -> str:
        code = getattr(error, "sqlite_errorname", "")
        if code == "SQLITE_FULL":
            return f"No space left for the ledger: {self._path}. Free some space, then run again."
        if code in {"SQLITE_NOTADB", "SQLITE_CORRUPT"}:
            return f"Not a ledger, or a damaged one: {self._path}. Use another file."
        return f"Cannot use the ledger {self._path}: {error}. Check the disk, then run again."

    # --- in the thread ----------------------------------------------------------------------

    def _result_of(self, write: _Write) -> Any:
        """Return the result of `write`; commit all waiting writes with it."""
        if not write.done:
            self._commit([self._queued_writes.popleft() for _ in range(len(self._queued_writes))])
        if write.error is not None:
            raise write.error
        return write.result

    def _commit(self, writes: Sequence[_Write]) -> None:
        """Run all `writes` in one transaction, or each in its own if one of them fails."""
        # A disk that failed may have left a transaction, whose steps were reported as failed.
        self._roll_back()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for write in writes:
                write.result = write.operation()
            self._db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - raised to the caller of the write
            if len(writes) > 1 and self._roll_back():
                for write in writes:
                    self._commit([write])
                return
            self._roll_back()
            for write in writes:
                write.error = error
        for write in writes:
            write.done = True

    def _roll_back(self) -> bool:
        """End the transaction, if SQLite has not done so by itself; return whether that worked."""
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        return not self._db.in_transaction

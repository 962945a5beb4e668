"""Run the server's scheduler, queue and store in virtual time; run by `server_scale.py`."""

import asyncio
import heapq
import random
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from report import resident_memory
from server_day import IdleExecutor

from mp4gen.render.options import DEFAULT_STYLE
from mp4gen.server.config import ServerConfig
from mp4gen.server.counters import Counters
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.library import Library
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.queue.fair_queue import FairQueue
from mp4gen.server.queue.fingerprint import Fingerprints
from mp4gen.server.queue.scheduler import RenderScheduler
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import Task
from mp4gen.server.rendering.worker import RenderedVideo
from mp4gen.server.videos.folder import FolderVideos

T = TypeVar("T")

# A render takes as many seconds as its worker's core needs for a song of this many minutes.
SONG_MINUTES, CPU_SECONDS_A_MINUTE = (1.5, 6.0), 13 / 3


def render_seconds(chance: random.Random) -> float:
    """Return how long one render takes."""
    return chance.uniform(*SONG_MINUTES) * CPU_SECONDS_A_MINUTE


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select

        def jump(timeout: float | None = None) -> Any:
            if timeout:
                self._now += timeout
            # Without a timer, only a thread can wake the loop.
            return select(None if timeout is None else 0)

        self._selector.select = jump

    def time(self) -> float:
        """Return the virtual time."""
        return self._now


class InlineStore(Store):
    """A store that writes on the event loop, and syncs nothing: the disk is not measured here."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for connection in (self._write_connection, self._read_connection):
            connection.execute("PRAGMA synchronous = OFF")

    async def _run_in_writer(self, func: Callable[..., T], *args: Any) -> T:
        return func(*args)


class SimulatedRenderer:
    """Takes the time of a render and records it in the store, as the real one does."""

    def __init__(self, store: Store, order: "OrderCheck", starts: int) -> None:
        self._store, self._order, self._starts = store, order, starts
        self._chance = random.Random(1)
        self.finished = 0
        self.is_done = asyncio.Event()

    async def render(self, task: Task, *_: Any, **__: Any) -> RenderedVideo:
        """Wait as long as a render takes."""
        now = asyncio.get_running_loop().time()
        self._order.record_start(task.account, int(task.task_id, 16))
        await self._store.mark_started(task, now, task.fingerprint or "", lease_until=now + 100)
        await asyncio.sleep(render_seconds(self._chance))
        await self._store.finish(task.task_id, now, size=1, duration=task.estimated_duration)
        self._order.record_end(task.account)
        self.finished += 1
        if self.finished == self._starts:
            self.is_done.set()
        return RenderedVideo(task.estimated_duration)

    def forget(self, _: str) -> None:
        """Keep nothing."""


class OrderCheck:
    """Observes the order of starts: first in first out in an account, equal shares between them."""

    def __init__(self) -> None:
        self._last: dict[str, int] = defaultdict(lambda: -1)
        self._running: Counter[str] = Counter()
        self.out_of_order = self.starts = 0
        self.largest_share, self.smallest_share = 0, 0

    def record_start(self, account: str, number: int) -> None:
        """Record the start of a task."""
        self.starts += 1
        self.out_of_order += number < self._last[account]
        self._last[account] = number
        self._running[account] += 1

    def record_end(self, account: str) -> None:
        """Record the end of a task."""
        self._running[account] -= 1

    def look(self) -> None:
        """Record the shares of the accounts now, while all of them have tasks waiting."""
        self.largest_share = max(self._running.values())
        self.smallest_share = min(self._running.values())


class TimedQueue(FairQueue):
    """The queue of the scheduler, with the time of each pick."""

    def __init__(self) -> None:
        super().__init__()
        self.took: list[float] = []

    def get(self) -> str | None:
        """Take the next task."""
        begun = time.thread_time()
        task_id = super().get()
        self.took.append(time.thread_time() - begun)
        return task_id


def run_scheduler(
    store: InlineStore, folder: Path, *, workers: int, starts: int, before: int, peak: int
) -> dict[str, Any]:
    """Run the scheduler on the tasks of a store, until it has finished the first `starts`."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(
            _run_scheduler(store, folder, workers=workers, starts=starts, before=before, peak=peak)
        )
    finally:
        loop.close()


async def _run_scheduler(
    store: InlineStore, folder: Path, *, workers: int, starts: int, before: int, peak: int
) -> dict[str, Any]:
    (folder / "music").mkdir(exist_ok=True)
    values = {"music": folder / "music", "data": folder, "workers": workers, "min_free_bytes": 0}
    config = ServerConfig(**values, executor=IdleExecutor, queue_limit=10_000_000)
    data = DataDirectory(folder)
    library = LibraryReader(Library(config.music))
    scheduler = RenderScheduler(
        config,
        store,
        library,
        data,
        FolderVideos(data),
        fingerprints=Fingerprints(DEFAULT_STYLE),
        on_finished=lambda _: None,
        on_change=lambda: None,
        counters=Counters(),
    )
    order = OrderCheck()
    renderer = SimulatedRenderer(store, order, starts)
    queue = TimedQueue()
    scheduler._renderer, scheduler._queue = renderer, queue  # type: ignore[assignment]  # noqa: SLF001
    begun = time.thread_time()
    scheduler.start()
    started = time.thread_time() - begun
    tasks = len(queue)
    used = resident_memory() * (1 << 20) - before
    peak_used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - peak
    begun = time.thread_time()
    await renderer.is_done.wait()
    cpu = (time.thread_time() - begun) / starts
    order.look()
    states = {store.get(f"{number:032x}").state for number in range(20)}  # type: ignore[union-attr]
    took = sorted(queue.took)
    row = {
        "waiting": tasks,
        "workers": scheduler.rendering,
        "finished": renderer.finished,
        "s to start": started,
        "bytes each (goal <= 1000)": used / tasks,
        "peak bytes each": peak_used / tasks,
        "us to pick": 1e6 * took[len(took) // 2],
        "p99.9 ms (goal <= 1)": 1000 * took[int(0.999 * len(took))],
        "CPU ms from start to end": 1000 * cpu,
        "virtual hours": asyncio.get_running_loop().time() / 3600,
        "out of order": order.out_of_order,
        "shares": f"{order.smallest_share} to {order.largest_share}",
        "states": states,
    }
    await scheduler.stop(0.0)
    library.close()
    return row


def run_queue(accounts: Iterable[str], *, workers: int) -> dict[str, Any]:
    """Take all tasks from the queue, each by the worker that is free first."""
    queue, order, chance = FairQueue(), OrderCheck(), random.Random(1)
    account_of = dict(enumerate(accounts))
    for number, account in account_of.items():
        queue.put(account, str(number))
    tasks, now = len(queue), 0.0
    running: list[tuple[float, str]] = []
    late_starts = -1
    last_start_of: dict[str, float] = {}
    begun = time.thread_time()
    while queue or running:
        if len(running) == workers or not queue:
            now, ended = heapq.heappop(running)
            queue.task_done(ended)
            order.record_end(account_of[int(ended)])
        if order.starts == tasks // 4:
            order.look()
            account_of[tasks] = "late"
            queue.put("late", str(tasks))
        if (task_id := queue.get()) is not None:
            account = account_of[int(task_id)]
            order.record_start(account, int(task_id))
            if account == "late":
                late_starts = order.starts - tasks // 4 - 1
            last_start_of[account] = now
            heapq.heappush(running, (now + render_seconds(chance), task_id))
    took = (time.thread_time() - begun) / tasks
    others = [at for account, at in last_start_of.items() if account not in {"bulk", "late"}]
    return {
        "tasks": order.starts,
        "us each": 1e6 * took,
        "out of order": order.out_of_order,
        "shares in the middle": f"{order.smallest_share} to {order.largest_share}",
        "starts before a late account's first": late_starts,
        "virtual hours": now / 3600,
        "small accounts served after": f"{min(others) / 3600:.2f} to {max(others) / 3600:.2f} h",
    }

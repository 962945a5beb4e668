"""Starts servers that kill themselves at a named point: a program, controlled by stdin.

It imports everything once and forks a server for each line it reads, which takes milliseconds
instead of a second. The server does not know the points: they wrap its functions in the child.
"""

import asyncio
import importlib
import importlib.util
import inspect
import json
import os
import pkgutil
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mp4gen import render
from mp4gen.api import protocol
from mp4gen.errors import RenderIOError
from mp4gen.render import RenderStyle
from mp4gen.server import Server, ServerConfig, data_dir
from mp4gen.server.callbacks import sender
from mp4gen.server.library import library
from mp4gen.server.queue import retries, scheduler, store, task_renderer
from mp4gen.server.rendering import supervisor, worker

STYLE = RenderStyle(width=256, height=144, fps=24)
BEFORE, AFTER = "before", "after"

# Name: the owner of a function, the function, before or after it, and which call of it.
POINTS: dict[str, tuple[Any, Callable[..., Any], str, int]] = {
    "the body is about to be read": (protocol, protocol.parse_create_body, BEFORE, 1),
    "the body is read": (protocol, protocol.parse_create_body, AFTER, 1),
    "the track is found": (library.Library, library.Library.find, AFTER, 1),
    "the task is about to be stored": (store.Store, store.Store._add, BEFORE, 1),
    "the task is written, not committed": (store.Store, store.Store._commit, BEFORE, 1),
    "the task is committed, not reported": (store.Store, store.Store._add, AFTER, 1),
    "the task is about to be queued": (
        scheduler.RenderScheduler,
        scheduler.RenderScheduler.submit,
        BEFORE,
        1,
    ),
    "the task is queued, not answered": (protocol, protocol.build_create_response, BEFORE, 1),
    "the render is about to be recorded": (store.Store, store.Store.mark_started, BEFORE, 1),
    "the render is recorded": (store.Store, store.Store.mark_started, AFTER, 1),
    "the render is prepared": (
        task_renderer.TaskRenderer,
        task_renderer.TaskRenderer._prepare,
        AFTER,
        1,
    ),
    "the render has a channel": (
        supervisor.WorkerChannel,
        supervisor.WorkerChannel.__init__,
        AFTER,
        1,
    ),
    "the render reports its first progress": (
        supervisor.WorkerChannel,
        supervisor.WorkerChannel.report_progress,
        AFTER,
        1,
    ),
    "the render reports its second progress": (
        supervisor.WorkerChannel,
        supervisor.WorkerChannel.report_progress,
        AFTER,
        2,
    ),
    "the video is rendered": (
        supervisor.SupervisedRender,
        supervisor.SupervisedRender.run,
        AFTER,
        1,
    ),
    "the video is about to be published": (
        data_dir.DataDirectory,
        data_dir.DataDirectory.publish,
        BEFORE,
        1,
    ),
    "the video is published, not committed": (
        data_dir.DataDirectory,
        data_dir.DataDirectory.publish,
        AFTER,
        1,
    ),
    "the record is written, the video is not published": (
        data_dir.DataDirectory,
        data_dir.DataDirectory.write_record,
        AFTER,
        1,
    ),
    "the result is committed": (store.Store, store.Store._finish, AFTER, 1),
    "the callback is about to be queued": (
        sender.CallbackSender,
        sender.CallbackSender.send,
        BEFORE,
        1,
    ),
    "the callback is about to be sent": (sender, sender.post, BEFORE, 1),
    "the callback is answered": (sender, sender.post, AFTER, 1),
    "the callback is about to be recorded": (
        store.Store,
        store.Store.set_callback_state,
        BEFORE,
        1,
    ),
    "the callback is recorded": (store.Store, store.Store.set_callback_state, AFTER, 1),
}

# At the start, with a folder of an old version and a video that the database does not know.
START_POINTS: dict[str, tuple[Any, Callable[..., Any], str, int]] = {
    "the folder is about to be marked": (data_dir, data_dir.mark, BEFORE, 1),
    "the folder is marked": (data_dir, data_dir.mark, AFTER, 1),
    "the database is about to be migrated": (store, store.migrate, BEFORE, 1),
    "the database is migrated": (store, store.migrate, AFTER, 1),
    "a found task is about to be added": (store.Store, store.Store._adopt, BEFORE, 1),
    "a found task is written, not committed": (store.Store, store.Store._commit, BEFORE, 1),
    "a found task is added": (store.Store, store.Store._adopt, AFTER, 1),
    "a missing record is about to be written": (
        data_dir.DataDirectory,
        data_dir.DataDirectory.write_record,
        BEFORE,
        1,
    ),
    "a missing record is written": (
        data_dir.DataDirectory,
        data_dir.DataDirectory.write_record,
        AFTER,
        1,
    ),
    "the leftovers are deleted": (
        data_dir.DataDirectory,
        data_dir.DataDirectory.remove_leftovers,
        AFTER,
        1,
    ),
}
# When a video is made again because its file is gone.
REVIVAL_POINTS: dict[str, tuple[Any, Callable[..., Any], str, int]] = {
    "the revival is about to be stored": (store.Store, store.Store._revive, BEFORE, 1),
    "the revival is written, not committed": (store.Store, store.Store._commit, BEFORE, 2),
    "the revival is stored, not queued": (store.Store, store.Store._revive, AFTER, 1),
    "the revived task is rendered, not committed": (
        data_dir.DataDirectory,
        data_dir.DataDirectory.publish,
        AFTER,
        1,
    ),
}
# When a user deletes a video.
REMOVAL_POINTS: dict[str, tuple[Any, Callable[..., Any], str, int]] = {
    "the removal is about to be stored": (store.Store, store.Store._remove, BEFORE, 1),
    "the removal is stored": (store.Store, store.Store._remove, AFTER, 1),
    "the video is about to be deleted": (
        data_dir.DataDirectory,
        data_dir.DataDirectory.remove_video,
        BEFORE,
        1,
    ),
    "the video is deleted": (
        data_dir.DataDirectory,
        data_dir.DataDirectory.remove_video,
        AFTER,
        1,
    ),
    "the deletion is about to be recorded": (store.Store, store.Store.forget_videos, BEFORE, 1),
    "the deletion is recorded": (store.Store, store.Store.forget_videos, AFTER, 1),
}
# The same for a server whose first render fails by the disk.
TROUBLE_POINTS: dict[str, tuple[Any, Callable[..., Any], str, int]] = {
    "the trouble is about to be recorded": (store.Store, store.Store.requeue, BEFORE, 1),
    "the trouble is recorded": (store.Store, store.Store.requeue, AFTER, 1),
    "the second try is about to be recorded": (store.Store, store.Store.mark_started, BEFORE, 2),
    "the second try is recorded": (store.Store, store.Store.mark_started, AFTER, 2),
}

# With a bucket, while a video is stored in it.
BUCKET_POINTS: dict[str, tuple[Any, Callable[..., Any], str, int]] = {}
BUCKET_START_POINTS: dict[str, tuple[Any, Callable[..., Any], str, int]] = {}
BUCKET_REMOVAL_POINTS: dict[str, tuple[Any, Callable[..., Any], str, int]] = {}
if importlib.util.find_spec("obstore"):
    from mp4gen.server.videos import bucket

    BUCKET_START_POINTS = {
        "the prefix is about to be marked": (bucket.Bucket, bucket.Bucket.put, BEFORE, 1),
        "the prefix is marked": (bucket.Bucket, bucket.Bucket.put, AFTER, 1),
    }
    BUCKET_POINTS = {
        "the video is in the folder": (
            data_dir.DataDirectory,
            data_dir.DataDirectory.publish,
            AFTER,
            1,
        ),
        "the record is in the bucket": (bucket.Bucket, bucket.Bucket.put, AFTER, 2),
        "the upload is about to begin": (bucket.Bucket, bucket.Bucket.put_file, BEFORE, 1),
        "the video is in the bucket and in the folder": (
            bucket.Bucket,
            bucket.Bucket.put_file,
            AFTER,
            1,
        ),
        "the video is in the bucket, not committed": (
            data_dir.DataDirectory,
            data_dir.DataDirectory.remove_video_files,
            AFTER,
            1,
        ),
    }
    BUCKET_REMOVAL_POINTS = {
        "the object is about to be deleted": (bucket.Bucket, bucket.Bucket.delete, BEFORE, 1),
        "the object is deleted": (bucket.Bucket, bucket.Bucket.delete, AFTER, 1),
    }

_ALL_POINTS = POINTS | START_POINTS | REVIVAL_POINTS | REMOVAL_POINTS | TROUBLE_POINTS
_ALL_POINTS |= BUCKET_START_POINTS | BUCKET_POINTS | BUCKET_REMOVAL_POINTS


def fail_first_render() -> None:
    """Let the first render of this process meet a full disk, and the second one come soon."""
    real, calls = worker.render, 0

    def render(job: worker.RenderJob) -> worker.RenderedVideo:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RenderIOError("Cannot write video.mp4: No space left on device.")
        return real(job)

    worker.render = render
    retries.INITIAL_DELAY = 0.05


def arm(point: str) -> None:
    """Kill this process when it reaches `point`."""
    owner, original, side, count = _ALL_POINTS[point]
    if point in TROUBLE_POINTS:
        fail_first_render()
    calls = 0

    def kill_at(at: str) -> None:
        if at == side and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def sync_wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        kill_at(BEFORE)
        result = original(*args, **kwargs)
        kill_at(AFTER)
        return result

    async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        kill_at(BEFORE)
        result = await original(*args, **kwargs)
        kill_at(AFTER)
        return result

    setattr(
        owner,
        original.__name__,
        async_wrapper if inspect.iscoroutinefunction(original) else sync_wrapper,
    )


def send_message(**values: Any) -> None:
    """Write one line of JSON to stdout."""
    os.write(1, json.dumps(values).encode() + b"\n")


async def serve(music: str, data: str, processes: bool, files: str | None) -> None:
    """Serve until killed."""
    config = ServerConfig(
        music=music,
        data=data,
        port=0,
        style=STYLE,
        workers=1,
        min_free_bytes=0,
        allow_local_callbacks=True,
        files=files,
        executor=None if processes else lambda: ThreadPoolExecutor(1),
    )
    async with Server(config) as server:
        send_message(url=server.url)
        while True:
            await asyncio.sleep(0.02)
            if processes and server.worker_pids:
                send_message(workers=server.worker_pids)
                processes = False


def load() -> None:
    """Load the renderer, which a server loads for its first render and takes longer than that."""
    # The threads of numpy's matrix products would not exist in a fork.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for module in pkgutil.iter_modules(render.__path__, f"{render.__name__}."):
        importlib.import_module(module.name)


def main() -> None:
    """Fork a server for each line of JSON, and report its exit code."""
    load()
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            # A point that is never reached must not block the test.
            signal.alarm(100)
            if order["point"]:
                arm(order["point"])
            os.environ.clear()
            os.environ.update(order["environment"])
            asyncio.run(serve(order["music"], order["data"], order["processes"], order["files"]))
            os._exit(0)
        send_message(pid=pid)
        _, status = os.waitpid(pid, 0)
        send_message(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()

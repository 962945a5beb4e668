"""Renders on a cluster of Dask: real schedulers and workers, in processes of their own."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("distributed")

from mp4gen.server import ServerConfig
from mp4gen.server.preflight import CheckResult
from mp4gen.server.rendering.dask.cluster import DaskSlots
from mp4gen.server.troubles import ClusterAwayError

from .conftest import FAST_STYLE, Caller, Serve, run_check, write_song
from .support_dask import DaskCluster

pytestmark = pytest.mark.slow

# Seconds of music that is worth a helper.
LONG = 130.0


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler and two workers, for all tests that leave them as they are."""
    cluster = DaskCluster(tmp_path_factory.mktemp("dask"))
    cluster.start_scheduler()
    for name in ("anna", "bert"):
        cluster.start_worker(name)
    yield cluster
    cluster.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[DaskCluster]:
    """A scheduler without workers, for one test."""
    folder = tmp_path / "dask"
    folder.mkdir()
    cluster = DaskCluster(folder)
    cluster.start_scheduler()
    yield cluster
    cluster.close()


async def video_of(caller: Caller, task_id: str, audio_id: str, **extra: Any) -> bytes:
    """Render a track, and return the bytes of its video."""
    details = await caller.create_and_wait(task_id, audio_id, **extra)
    assert details["successFlag"] == "SUCCESS", details
    return await video_bytes(caller, details["taskId"])


async def video_bytes(caller: Caller, task_id: str) -> bytes:
    """Return the bytes of a finished video."""
    details = await caller.details(task_id)
    async with caller.session.get(details["response"]["videoUrl"]) as response:
        return await response.read()


async def until(condition: Any) -> Any:
    """Wait until something in another process has changed, and return it."""
    while not (result := condition()):  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.02)
    return result


async def until_rendering(caller: Caller, task_id: str) -> None:
    """Wait until some seconds of the video of a task are done."""
    await until(lambda: (caller.server.progress(task_id) or (0, 0))[0] > 0)


async def until_trouble(caller: Caller, text: str) -> dict[str, Any]:
    """Wait until the server says why its queue waits, and return its health."""
    await until(lambda: text in (caller.server._scheduler.trouble or ""))
    return await caller.get("/healthz")


def worker_of(caller: Caller, task_id: str) -> str:
    """Return the name of the worker that renders a task."""
    return caller.server._scheduler._running[task_id].slot.worker.name


async def submit(caller: Caller, task_id: str, audio_id: str) -> str:
    """Submit a track, and return the id of its task."""
    return (await caller.generate(task_id, audio_id))["data"]["taskId"]


async def test_cluster_makes_the_same_bytes_as_this_machine(
    shared: DaskCluster, serve: Serve, music: Path, tmp_path: Path
) -> None:
    """Music, texts and fonts travel with the job; the music is larger than one chunk."""
    write_song(music / "album" / "large.wav", seconds=40.0)
    font = Path(__file__).parents[2] / "mp4gen/render/fonts/Inter-Medium.ttf"
    style = attrs.evolve(FAST_STYLE, fonts=(font,))
    options = {"author": "Ärzte", "domainName": "music.example.com", "aspectRatio": "1:1"}
    here = await serve(style=style, data=tmp_path / "here")
    there = await serve(style=style, data=tmp_path / "there", executor=shared.url)
    tracks = [("album", "large"), ("Artist/Nachtmusik", "夜の窓")]

    expected = [await video_of(here, *track, **options) for track in tracks]
    found = [await video_of(there, *track, **options) for track in tracks]

    assert [len(one) for one in found] == [len(one) for one in expected]
    assert found == expected
    assert there.server.worker_pids == []
    assert shared.folders_of("anna") + shared.folders_of("bert") == []


async def test_check_renders_in_the_cluster(
    shared: DaskCluster, own: DaskCluster, music: Path, tmp_path: Path
) -> None:
    """`serve --check` says what a start would meet, also if there is nothing to render with."""
    config = ServerConfig(
        music=music, data=tmp_path / "data", style=FAST_STYLE, executor=shared.url
    )

    found = await run_check(config, "renderer")
    empty = await run_check(attrs.evolve(config, executor=own.url), "renderer")

    assert found.passed
    assert f"was rendered in {shared.url}" in found.message
    assert empty == CheckResult(
        "renderer", False, f"The Dask cluster {own.url} has no workers. Start one."
    )


async def test_wait_for_a_cluster_ends_with_any_error(music: Path, tmp_path: Path) -> None:
    """Dask raises errors of all kinds, such as one of a type if it has no certificates."""
    slots = DaskSlots(
        ServerConfig(music=music, data=tmp_path / "data", executor="dask+tls://127.0.0.1:9")
    )
    slots.start(lambda: None)

    with pytest.raises(ClusterAwayError, match=r"cannot use the Dask .*:9: TLS expects .*\. Check"):
        await slots.wait_until_ready()
    await slots.close()


async def test_damaged_music_fails_its_task_only(
    shared: DaskCluster, serve: Serve, music: Path
) -> None:
    """The text is that of a local render."""
    (music / "album" / "bad.mp3").write_bytes(b"no music" * 100)
    caller = await serve(executor=shared.url)

    bad = await caller.create_and_wait("album", "bad")

    assert (bad["successFlag"], bad["errorCode"]) == ("GENERATE_MP4_FAILED", 400)
    assert "bad.mp3" in bad["errorMessage"]


async def test_deleted_task_ends_its_render_on_the_worker(
    shared: DaskCluster, serve: Serve, music: Path, visit: Any
) -> None:
    """The process stops, its files are deleted, and the worker takes the next job."""
    write_song(music / "album" / "long.wav", seconds=2 * LONG)
    caller = await serve(executor=shared.url)
    page = visit(caller)
    await page.open()
    task_id = await page.create(task="album", audio="long")
    await until_rendering(caller, task_id)
    name = worker_of(caller, task_id)
    assert shared.folders_of(name) != []

    status, _, _ = await page.ask("DELETE", f"/page/videos/{task_id}")

    assert status == 200
    await until(lambda: not shared.folders_of(name))
    assert await video_of(caller, "album", "one")


async def test_server_that_leaves_ends_its_renders(
    shared: DaskCluster, serve: Serve, music: Path
) -> None:
    """No worker goes on with a job that no server waits for, and the next server renders it."""
    write_song(music / "album" / "long.wav", seconds=LONG)
    caller = await serve(executor=shared.url)
    task_id = await submit(caller, "album", "long")
    await until_rendering(caller, task_id)
    name = worker_of(caller, task_id)
    before = shared.folders_of(name)

    with shared.suspended(name):
        await caller.server.__aexit__()

    await until(lambda: not shared.folders_of(name))
    again = await serve(executor=shared.url)
    await until_rendering(again, task_id)
    assert before


async def test_crash_of_a_render_counts_and_costs_no_worker(
    shared: DaskCluster, serve: Serve, music: Path
) -> None:
    """The process of a render may die by its song; the worker and its other jobs stay."""
    write_song(music / "album" / "long.wav", seconds=LONG)
    caller = await serve(executor=shared.url)
    task_id = await submit(caller, "album", "long")
    await until_rendering(caller, task_id)

    with shared.suspended(worker_of(caller, task_id)) as processes:
        for process in processes:
            process.kill()

    await until(lambda: task_id not in caller.server._scheduler._running)
    task = caller.server._scheduler._store.get(task_id)
    assert (task.attempts, task.troubles) == (1, 0)
    assert "crashed" in task.last_trouble
    assert await video_of(caller, "album", "one")


def helpers_of(caller: Caller) -> list[str]:
    """Return the names of the workers that help with a render of another one."""
    return [one.worker.name for one in caller.server._scheduler._slots._helpers._running]


async def test_idle_workers_help_with_long_music(
    shared: DaskCluster, serve: Serve, music: Path, tmp_path: Path
) -> None:
    """A helper joins, makes room for a task, and joins again; the bytes are the same."""
    write_song(music / "album" / "long.wav", seconds=LONG)
    here = await serve(data=tmp_path / "here")
    there = await serve(data=tmp_path / "there", executor=shared.url)
    expected = await video_of(here, "album", "long")

    task_id = await submit(there, "album", "long")
    await until_rendering(there, task_id)
    with shared.suspended(worker_of(there, task_id)):
        helper = (await until(lambda: helpers_of(there)))[0]
        await until(lambda: shared.folders_of(helper))
        other = await submit(there, "album", "one")

        assert helpers_of(there) == []
        assert worker_of(there, other) == helper
        assert (await there.wait_until_finished(other))["successFlag"] == "SUCCESS"
        assert await until(lambda: helpers_of(there)) == [helper]
        await until(lambda: shared.folders_of(helper))

    assert (await there.wait_until_finished(task_id))["successFlag"] == "SUCCESS"
    assert await video_bytes(there, task_id) == expected
    await until(lambda: not helpers_of(there))
    await until(lambda: not shared.folders_of(helper))


async def test_helper_that_is_killed_costs_no_render(
    own: DaskCluster, serve: Serve, music: Path, tmp_path: Path
) -> None:
    """Its piece is encoded again, in the same attempt."""
    for name in ("a", "b"):
        own.start_worker(name)
    write_song(music / "album" / "long.wav", seconds=LONG)
    caller = await serve(executor=own.url)
    await until(lambda: caller.server._scheduler.slots == 2)
    task_id = await submit(caller, "album", "long")
    await until_rendering(caller, task_id)
    with own.suspended(worker_of(caller, task_id)):
        helper = (await until(lambda: helpers_of(caller)))[0]
        await until(lambda: own.renders_of(helper))

    own.kill_worker(helper)

    await until(lambda: caller.server._scheduler.slots == 1)
    assert (await caller.wait_until_finished(task_id))["successFlag"] == "SUCCESS"
    task = caller.server._scheduler._store.get(task_id)
    assert (task.attempts, task.troubles) == (1, 0)


async def test_renders_go_on_when_a_worker_is_killed(
    own: DaskCluster, serve: Serve, music: Path
) -> None:
    """Four workers render at once; the task of a killed one is rendered by another."""
    for name in "abcd":
        own.start_worker(name)
    for number in range(5):
        write_song(music / "bulk" / f"{number}.wav", seconds=30.0, pitch=300 + number)
    caller = await serve(executor=own.url)
    await until(lambda: caller.server._scheduler.slots == 4)
    task_ids = [await submit(caller, "bulk", str(number)) for number in range(5)]
    # The last worker may begin seconds after the first one.
    await until(lambda: caller.server._scheduler.rendering == 4)
    await until_rendering(caller, task_ids[3])

    with own.suspended(worker_of(caller, task_ids[3])):
        own.kill_worker(worker_of(caller, task_ids[3]))

    ends = [await caller.wait_until_finished(task_id) for task_id in task_ids]
    assert [one["successFlag"] for one in ends] == ["SUCCESS"] * 5
    tasks = [caller.server._scheduler._store.get(task_id) for task_id in task_ids]
    assert [task.attempts for task in tasks] == [1] * 5
    assert sum(task.troubles for task in tasks) == 1
    assert caller.server._scheduler.slots == 3


async def test_tasks_wait_while_the_scheduler_is_away(
    own: DaskCluster, serve: Serve, music: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A killed scheduler ends its workers; a service manager starts all again."""
    own.start_worker("a")
    write_song(music / "album" / "long.wav", seconds=LONG)
    caller = await serve(executor=own.url)
    task_id = await submit(caller, "album", "long")
    await until_rendering(caller, task_id)

    with own.suspended("a"):
        own.kill_scheduler()

    health = await until_trouble(caller, f"cannot connect to the Dask scheduler {own.url}")
    assert (health["status"], health["queued"]) == ("waiting", 1)
    assert (await caller.details(task_id))["successFlag"] == "PENDING"
    for name in await asyncio.to_thread(own.wait_for_end_of_workers):
        await asyncio.to_thread(own.start_scheduler)
        own.start_worker(name)
    assert (await caller.wait_until_finished(task_id))["successFlag"] == "SUCCESS"
    assert (await caller.get("/healthz"))["trouble"] is None
    # With --log-format json, each line on stderr is JSON.
    assert "distributed" not in capfd.readouterr().err


async def test_worker_of_another_version_is_refused(
    own: DaskCluster, serve: Serve, tmp_path: Path
) -> None:
    """Its tasks wait for a worker that fits; the reason names both versions."""
    preload = tmp_path / "older.py"
    preload.write_text(
        "from mp4gen.server.rendering.dask import environment\n"
        "environment.package_version = lambda: '0.0.9'\n"
    )
    own.start_worker("old", "--preload", str(preload))
    caller = await serve(executor=own.url)
    task_id = await submit(caller, "album", "one")

    health = await until_trouble(caller, "The Dask worker old has mp4gen 0.0.9")
    assert f"and the server has {health['version']}. Install the same" in health["trouble"]
    own.start_worker("new")
    assert (await caller.wait_until_finished(task_id))["successFlag"] == "SUCCESS"


async def test_worker_without_the_package_is_refused(
    own: DaskCluster, serve: Serve, tmp_path: Path
) -> None:
    """A cluster may have workers for other work."""
    preload = tmp_path / "without.py"
    preload.write_text("import sys\nsys.modules['mp4gen'] = None\n")
    own.start_worker("other", "--preload", str(preload))
    caller = await serve(executor=own.url)

    health = await until_trouble(caller, "The Dask worker other cannot render")
    assert health["trouble"].endswith(f"Install mp4gen[server,dask] {health['version']} there.")


async def test_worker_with_other_fonts_is_used_with_a_warning(
    own: DaskCluster, serve: Serve, music: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the worker; the video says which letters are left out."""
    fonts = tmp_path / "share" / "fonts"
    fonts.mkdir(parents=True)
    (fonts / "Extra.ttf").write_bytes(b"a font of the worker")
    own.start_worker("poor", XDG_DATA_HOME=str(fonts.parent))
    write_song(music / "album" / "\U00012000.wav")  # a script that few machines have a font for
    caplog.set_level(logging.WARNING, "mp4gen.server")
    caller = await serve(executor=own.url)

    details = await caller.create_and_wait("album", "\U00012000")

    assert "The Dask worker poor has other fonts than the server" in caplog.text
    assert "No font for Cuneiform" in str(details["warnings"])

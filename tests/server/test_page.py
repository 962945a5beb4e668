"""The page's requests: its state, its events, its images and its videos."""

import asyncio
import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from mp4gen.server.library import metadata_cache
from mp4gen.server.library.track_images import TrackImages
from mp4gen.server.queue.store import Store
from mp4gen.server.rendering import previews
from mp4gen.server.rendering.pool import WorkerSlot
from mp4gen.server.web import change_feed, page_assets, page_state

from .conftest import Serve, write_song

ONE = {"task": "album", "audio": "one"}


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - polls what has no event
        await asyncio.sleep(0.01)


async def test_page_has_strict_headers_and_all_assets(serve: Serve, visit: Any) -> None:
    """The page loads nothing from other hosts, cannot be framed, and sets a strict cookie."""
    visitor = visit(await serve())

    status, headers, body = await visitor.ask("GET", "/")

    assert status == 200
    assert b"<title>mp4gen</title>" in body
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "HttpOnly" in headers["Set-Cookie"]
    assert "SameSite=Strict" in headers["Set-Cookie"]
    for name in ("style.css", *page_assets.SCRIPTS, "icon.svg", "Inter-Regular.ttf"):
        status, headers, content = await visitor.ask("GET", f"/page/asset/{name}")
        assert status == 200
        assert content
        assert b"http://" not in content.replace(b"http://www.w3.org/", b"") or name.endswith("ttf")
    assert (await visitor.ask("GET", "/page/asset/..%2fapp.py"))[0] == 404


@pytest.mark.slow
async def test_state_lists_the_library_with_durations(serve: Serve, visit: Any) -> None:
    """Every track is listed by the ids of the API; durations are added as they become known."""
    caller = await serve()
    visitor = visit(caller)
    expected = {(".", "loose"), ("album", "one"), ("album", "two"), ("Artist/Nachtmusik", "夜の窓")}

    first = await visitor.open()
    async with visitor.session.get(f"{caller.url}/page/events") as events:
        async for line in events.content:
            if line.startswith(b"data:") and json.loads(line[5:])["library_version"]:
                break
    later = await visitor.state()

    assert {(one["task"], one["audio"]) for one in first["library"]} == expected
    assert {round(one["duration"]) for one in later["library"]} == {1}


@pytest.mark.slow
async def test_events_report_new_files(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open page learns of files that are added to the folder, without a reload."""
    monkeypatch.setattr(change_feed, "HEARTBEAT", 0.05)
    monkeypatch.setattr(metadata_cache, "_RESCAN_INTERVAL", 0.0)
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    before = None

    async with visitor.session.get(f"{caller.url}/page/events") as events:
        async for line in events.content:
            if not line.startswith(b"data:"):
                continue
            version = json.loads(line[5:])["library_version"]
            if before is None and version:
                # By now the titles and durations of the first files are known.
                before = version
                write_song(caller.server.config.music / "album" / "three.wav")
            elif before is not None and version > before:
                break

    assert ("album", "three") in {
        (one["task"], one["audio"]) for one in (await visitor.state())["library"]
    }


@pytest.mark.slow
async def test_file_that_was_half_copied_is_read_again(
    serve: Serve, visit: Any, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open page shows a song as soon as its copy is complete, without a reload."""
    monkeypatch.setattr(change_feed, "HEARTBEAT", 0.05)
    monkeypatch.setattr(metadata_cache, "_RESCAN_INTERVAL", 0.0)
    complete = write_song(music.parent / "copied.wav").read_bytes()
    copied = music / "album" / "copied.wav"
    copied.write_bytes(complete[:20])
    visitor = visit(await serve())
    await visitor.open()
    problems, version = [], None

    async with visitor.session.get(f"{visitor.url}/page/events") as events:
        async for line in events.content:
            # As the page does, the library is asked for only if an event says that it changed.
            if not line.startswith(b"data:") or (
                version == (version := json.loads(line[5:])["library_version"])
            ):
                continue
            shown = {one["audio"]: one for one in await visitor.library()}["copied"]
            if shown["problem"] and not problems:
                problems.append(shown["problem"])
                copied.write_bytes(complete)
            elif shown["duration"]:
                break

    assert problems


@pytest.mark.slow
async def test_open_pages_share_the_cost_of_an_event(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion seen by twenty pages reads the store hardly more often than for one."""
    monkeypatch.setattr(page_state, "MIN_INTERVAL", 0.0)
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    created = await visitor.create(**ONE)
    await caller.wait_until_finished(created)
    reads: list[str] = []
    newest = Store.newest

    def count_reads(store: Store, account: str, limit: int, **options: Any) -> Any:
        reads.append(account)
        return newest(store, account, limit, **options)

    async def watch(events: aiohttp.ClientResponse) -> None:
        async for line in events.content:
            if line.startswith(b"data:") and not json.loads(line[5:])["counts"]["ready"]:
                return

    async with contextlib.AsyncExitStack() as stack:
        url = f"{caller.url}/page/events"
        requests = [visitor.session.get(url) for _ in range(20)]
        streams = [await stack.enter_async_context(one) for one in requests]
        watching = [asyncio.create_task(watch(one)) for one in streams]
        monkeypatch.setattr(Store, "newest", count_reads)
        await visitor.ask("DELETE", f"/page/videos/{created}")
        await asyncio.gather(*watching)

    assert 1 <= len(reads) <= 10


@pytest.mark.slow
async def test_videos_are_created_listed_and_deleted(serve: Serve, visit: Any) -> None:
    """A track may have several videos on the page, and each can be deleted."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()

    request = {**ONE, "author": "Me", "domainName": "", "aspectRatio": "1:1", "audio_mode": "copy"}
    created = [await visitor.create(**request)]
    created.append(await visitor.create(**ONE))
    for task_id in created:
        assert (await caller.wait_until_finished(task_id))["successFlag"] == "SUCCESS"
    videos = (await visitor.state())["videos"]
    deleted = await visitor.ask("DELETE", f"/page/videos/{created[0]}")

    assert [video["id"] for video in videos] == created[::-1]
    assert videos[1]["aspect_ratio"] == "1:1"
    assert videos[1]["days_remaining"] == 14
    assert (await visitor.ask("GET", "/" + videos[1]["url"]))[0] == 404
    assert (await visitor.ask("GET", "/" + videos[0]["url"]))[0] == 200
    assert deleted[0] == 200
    assert (await visitor.ask("DELETE", f"/page/videos/{created[0]}"))[0] == 404
    assert [video["id"] for video in (await visitor.state())["videos"]] == created[1:]
    assert (await caller.generate("album", "one"))["code"] == 200


@pytest.mark.slow
async def test_delete_cancels_a_running_render(serve: Serve, visit: Any, music: Path) -> None:
    """A cancelled video leaves nothing, and the next one is rendered."""
    write_song(music / "album" / "long.wav", 90.0)
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()

    long = await visitor.create(task="album", audio="long")
    assert (await visitor.ask("DELETE", f"/page/videos/{long}"))[0] == 200

    assert (await caller.create_and_wait("album", "one"))["successFlag"] == "SUCCESS"
    assert [video["audio"] for video in (await visitor.state())["videos"]] == ["one"]


@pytest.mark.slow
async def test_cover_preview_and_music_are_served(serve: Serve, visit: Any) -> None:
    """Images are JPEGs, music supports ranges, and an unknown track is an error."""
    visitor = visit(await serve())
    await visitor.open()

    cover = await visitor.ask("GET", "/page/cover", params=ONE)
    request = {**ONE, "author": "A", "aspectRatio": "9:16"}
    preview = await visitor.ask("GET", "/page/preview", params=request)
    music = await visitor.ask("GET", "/page/music", params=ONE, headers={"Range": "bytes=0-3"})

    assert cover[2][:2] == preview[2][:2] == b"\xff\xd8"
    assert (music[0], music[2]) == (206, b"RIFF")
    assert (await visitor.ask("GET", "/page/music", params={"task": "..", "audio": "x"}))[0] == 404
    assert (await visitor.ask("GET", "/page/preview", params={**ONE, "author": "x" * 51}))[0] == 400


@pytest.mark.slow
async def test_waveform_is_measured_once(
    serve: Serve, visit: Any, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page gets 120 heights and the exact length; the second answer needs no worker."""
    write_song(music / "album" / "one.wav", 2.5)
    visitor = visit(await serve())
    await visitor.open()

    first = await visitor.read("/page/waveform", **ONE)
    monkeypatch.setattr(WorkerSlot, "run", None)
    again = await visitor.read("/page/waveform", **ONE)

    assert first["seconds"] == 2.5
    assert len(first["peaks"]) == 120
    assert set(first["peaks"]) <= {98, 99, 100}
    assert again == first


@pytest.mark.slow
async def test_thumbnail_is_served_to_the_owner_until_deletion(
    serve: Serve, visit: Any, music: Path, tmp_path: Path
) -> None:
    """Queued and finished videos have one, only for their owner; it is deleted with its video."""
    write_song(music / "album" / "long.wav", 90.0)
    caller = await serve(account_keys={"anna": "key-a", "ben": "key-b"})
    anna, ben = visit(caller), visit(caller)
    await anna.ask("POST", "/page/login", json={"key": "key-a"})
    await ben.ask("POST", "/page/login", json={"key": "key-b"})
    await anna.state()
    requests = [{**ONE, "aspectRatio": "9:16"}, {"task": "album", "audio": "long"}, ONE]
    created = [await anna.create(**request) for request in requests]
    caller.headers = {"Authorization": "Bearer key-a"}
    await caller.wait_until_finished(created[0])
    cache = tmp_path / "data" / "cache"

    thumbnails = [await anna.ask("GET", "/page/thumbnail", params={"id": one}) for one in created]
    again = await anna.ask("GET", "/page/thumbnail", params={"id": created[0]})
    others = await ben.ask("GET", "/page/thumbnail", params={"id": created[0]})
    cached = len(list(cache.glob("thumbnail-*")))
    for one in created:
        await anna.ask("DELETE", f"/page/videos/{one}")

    images = [Image.open(io.BytesIO(body)) for _, _, body in thumbnails]
    assert [image.size for image in images] == [(135, 240), (240, 135), (240, 135)]
    assert again[2] == thumbnails[0][2]
    assert "private" in again[1]["Cache-Control"]
    assert others[0] == 404
    assert cached == 3
    await until(lambda: not list(cache.glob("thumbnail-*")))
    assert (await anna.ask("GET", "/page/thumbnail", params={"id": created[0]}))[0] == 404


@pytest.mark.slow
async def test_thumbnail_of_a_damaged_video_is_an_error(
    serve: Serve, visit: Any, music: Path
) -> None:
    """A damaged video is a sentence; a finished one needs no music file any more."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    damaged_id, whole_id = [await visitor.create(**ONE) for _ in range(2)]
    await caller.wait_until_finished(damaged_id)
    await caller.wait_until_finished(whole_id)
    videos = {video["id"]: video for video in (await visitor.state())["videos"]}
    (caller.server.config.data / "videos" / Path(videos[damaged_id]["url"]).name).write_bytes(b"?")
    (music / "album" / "one.wav").unlink()

    damaged = await visitor.ask("GET", "/page/thumbnail", params={"id": damaged_id})
    whole = await visitor.ask("GET", "/page/thumbnail", params={"id": whole_id})

    assert damaged[0] == 422
    assert b"Cannot read the video" in damaged[2]
    assert (whole[0], whole[2][:2]) == (200, b"\xff\xd8")


@pytest.mark.slow
async def test_page_says_that_the_file_of_a_video_is_gone(serve: Serve, visit: Any) -> None:
    """A video without its file has no link, and the text says what to do."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    task_id = await visitor.create(**ONE)
    await caller.wait_until_finished(task_id)
    (before,) = (await visitor.state())["videos"]
    (caller.server.config.data / "videos" / Path(before["url"]).name).unlink()

    (after,) = (await visitor.state())["videos"]

    assert (before["state"], before["error"]) == ("done", None)
    assert (after["state"], after["url"]) == ("failed", None)
    assert after["error"] == "The file of this video is gone. Create the video again."


@pytest.mark.slow
async def test_abandoned_preview_is_not_rendered(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who moves through the list sees the last preview without waiting for all others."""
    caller = await serve()
    visitor = visit(caller)
    await visitor.open()
    await visitor.ask("GET", "/page/preview", params=ONE)
    rendered: list[Any] = []
    checks: list[Callable[[], bool]] = []
    may_continue = asyncio.Event()
    run, preview = WorkerSlot.run, TrackImages.preview

    async def wait_and_run(slot: WorkerSlot, func: Any, *args: Any) -> Any:
        if previews.preview in args:
            rendered.append(args[-1].arguments["author"])
            await may_continue.wait()
        return await run(slot, func, *args)

    async def record(images: TrackImages, *args: Any, **options: Any) -> bytes:
        checks.append(options["is_still_needed"])
        return await preview(images, *args, **options)

    monkeypatch.setattr(WorkerSlot, "run", wait_and_run)
    monkeypatch.setattr(TrackImages, "preview", record)

    def request_preview(author: str) -> asyncio.Task[Any]:
        request = {**ONE, "author": author}
        return asyncio.create_task(visitor.ask("GET", "/page/preview", params=request))

    first = request_preview("first")
    await until(lambda: bool(rendered))
    abandoned = request_preview("abandoned")
    await until(lambda: len(checks) == 2)
    abandoned.cancel()
    await until(lambda: not checks[1]())
    last = request_preview("last")
    may_continue.set()

    assert [(await one)[0] for one in (first, last)] == [200, 200]
    assert rendered == ["first", "last"]

"""The page's changes: several outputs, batches, kept and repeated videos, pictures and lyrics."""

import io
import json
import time
from pathlib import Path
from typing import Any

import attrs
import pytest
from PIL import Image

from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.queue.retention import Retention
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import TaskState
from mp4gen.server.rendering.video_options import VideoOptions
from mp4gen.server.videos.folder import FolderVideos

from .conftest import FINISHED_TASK, IdleExecutor, Serve, publish, store_videos, write_song

ONE = {"task": "album", "audio": "one"}
SONGS = [["album", "one"], ["album", "two"]]


def picture(width: int = 40, height: int = 30) -> bytes:
    """Return a PNG."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 40, 90)).save(file, "PNG")
    return file.getvalue()


async def idle(serve: Serve, visit: Any, **settings: Any) -> Any:
    """Return a visitor of a server that renders nothing."""
    caller = await serve(executor=IdleExecutor, **settings)
    visitor = visit(caller)
    await visitor.open()
    visitor.server = caller.server
    return visitor


async def test_state_describes_looks_and_presets(serve: Serve, visit: Any) -> None:
    """The page's form needs no list of its own."""
    state = await (await idle(serve, visit)).state()

    presets = {one["name"]: one for one in state["presets"]}
    assert list(state["looks"][:2]) == ["bars", "ring"]
    assert (presets["youtube"]["title"], presets["youtube"]["note"]) == ("YouTube", "16:9")
    assert (presets["discord"]["note"], presets["discord"]["max_size"]) == ("10 MB", 10_000_000)
    assert state["size"] == {"width": 256, "height": 144}


async def test_song_becomes_a_video_for_each_preset(serve: Serve, visit: Any) -> None:
    """All outputs have the same look, texts and clip; the list says which is which."""
    visitor = await idle(serve, visit)
    options = {"look": "wave", "background": "#102030", "start": 0.2, "title": "Other"}

    answer = await visitor.post("/page/videos", **ONE, **options, presets=["reel", "youtube"])
    videos = (await visitor.videos())["videos"]

    assert sorted(video["id"] for video in videos) == sorted(answer["ids"])
    assert sorted(video["preset"] for video in videos) == ["reel", "youtube"]
    assert {video["title"] for video in videos} == {"Other"}
    assert sorted(video["position"] or 0 for video in videos) == [0, 1]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"presets": ["myspace"]}, "Use one of: youtube"),
        ({"presets": "reel"}, "The presets must be a list of names."),
        ({"look": "cubes"}, "Use one of: bars"),
        ({"picture": "../../secret.jpg"}, "Your picture is gone."),
        ({"cover": "A" * 24 + ".jpg"}, "Your picture is gone."),
        ({"lyricsFile": "../secret"}, "Your lyrics are gone."),
        ({"start": "x"}, "Invalid start"),
    ],
)
async def test_invalid_choice_queues_nothing(
    serve: Serve, visit: Any, fields: dict[str, Any], text: str
) -> None:
    """An error names the field, and no output of the same request is queued."""
    visitor = await idle(serve, visit)

    status, _, body = await visitor.ask("POST", "/page/videos", json={**ONE, **fields})

    assert status in {400, 404}
    assert text in json.loads(body)["msg"]
    assert (await visitor.videos())["videos"] == []


async def test_batch_skips_what_is_there_and_reports_its_progress(serve: Serve, visit: Any) -> None:
    """The same conversion again adds the new song only; its folder is known while it runs."""
    visitor = await idle(serve, visit)

    first = await visitor.post("/page/batches", songs=SONGS[:1], look="bars")
    more = await visitor.post("/page/batches", songs=SONGS, look="bars", batch=first["batch"])
    other = await visitor.post("/page/batches", songs=[*SONGS, [".", "loose"], ["x", "gone"]])
    batches = {one["id"]: one for one in (await visitor.state())["batches"]}

    assert first["batch"] == more["batch"] != other["batch"]
    assert [len(one["ids"]) for one in (first, more, other)] == [1, 1, 1]
    expected = {"id": first["batch"], "folder": "album", "finished": 0, "total": 2}
    assert batches[first["batch"]] == expected
    assert batches[other["batch"]]["folder"] == "."


@pytest.mark.parametrize("songs", [None, "album", [["album"]], [["album", 1]], [["a", "b"]] * 51])
async def test_nonsense_batch_is_an_error(serve: Serve, visit: Any, songs: Any) -> None:
    """The songs are pairs of ids, and not too many of them."""
    visitor = await idle(serve, visit)

    status, _, body = await visitor.ask("POST", "/page/batches", json={"songs": songs})

    assert status == 400
    assert b"The songs must be a list" in body


async def test_stopped_batch_leaves_other_videos(serve: Serve, visit: Any) -> None:
    """Only what is not finished of this batch goes; single videos are rendered before batches."""
    visitor = await idle(serve, visit, workers=1)
    single = await visitor.create(**ONE)
    batch = await visitor.post("/page/batches", songs=SONGS, presets=["reel"])
    later = await visitor.create(task=".", audio="loose")
    before = {video["id"]: video["position"] for video in (await visitor.videos())["videos"]}

    _, _, body = await visitor.ask("DELETE", f"/page/batches/{batch['batch']}")
    left = [video["id"] for video in (await visitor.videos())["videos"]]

    assert before[later] == 1
    assert json.loads(body) == {"deleted": 2}
    assert sorted(left) == sorted([single, later])
    assert (await visitor.state())["batches"] == []


async def test_video_is_kept_for_ever(serve: Serve, visit: Any, tmp_path: Path) -> None:
    """It does not expire, also for a server whose database was lost; others do."""
    await store_videos(tmp_path / "data", "", done=2)
    visitor = await idle(serve, visit)
    kept, other = [video["id"] for video in (await visitor.videos())["videos"]]

    status, _, _ = await visitor.ask("PUT", f"/page/videos/{kept}", json={"kept": True})
    nonsense, _, _ = await visitor.ask("PUT", f"/page/videos/{other}", json={"kept": "yes"})
    videos = {video["id"]: video for video in (await visitor.videos())["videos"]}
    name = Path(videos[kept]["url"]).stem
    record = json.loads((tmp_path / "data" / "videos" / f"{name}.json").read_bytes())

    assert (status, nonsense) == (200, 400)
    assert (videos[kept]["kept"], videos[kept]["days_remaining"]) == (True, None)
    assert (videos[other]["kept"], videos[other]["days_remaining"]) == (False, 14)
    assert record["kept"] is True


async def test_retention_spares_kept_videos_and_used_pictures(data: DataDirectory) -> None:
    """A sweep deletes what expired, and the pictures that no video has any more."""
    store, videos = Store(data.database), FolderVideos(data)
    names = [data.save_picture(picture()) for _ in range(3)]
    for number, kept in enumerate([True, False]):
        task = attrs.evolve(
            FINISHED_TASK,
            task_id=str(number),
            render_variant=str(number),
            filename=f"{number}" * 24 + ".mp4",
            kept=kept,
            options=VideoOptions(background=f"picture:{names[number]}", cover=names[number]),
        )
        await store.add(task)
        publish(data, task)
    now = FINISHED_TASK.completed_at + 20 * 86400
    retention = Retention(15.0, store, data, videos, clock=lambda: now)

    deleted = await retention.sweep()
    removed = data.prune_pictures(store.pictures(), time.time() + 2 * 86400)
    left = [store.get("0"), store.get("1")]
    store.close()

    assert deleted == 1
    assert [task is not None for task in left] == [True, False]
    assert removed == 2
    assert [path.name for path in data.pictures.iterdir()] == [names[0]]


async def test_new_picture_waits_for_its_video(data: DataDirectory) -> None:
    """A picture without a video is kept for a day, and other files for ever."""
    data.save_picture(picture())
    (data.pictures / "mine.jpg").write_bytes(b"")

    assert data.prune_pictures(set(), time.time() + 3600) == 0
    assert data.prune_pictures(set(), time.time() + 90_000) == 1
    assert (data.pictures / "mine.jpg").exists()


async def test_picture_is_kept_while_another_one_appears(data: DataDirectory) -> None:
    """The temporary file of another upload may be gone before its size is known."""
    (data.pictures / ".mp4gen-0123456789ab.part").symlink_to(data.pictures / "gone")

    assert data.save_picture(picture()) is not None


async def test_failed_video_is_made_again(serve: Serve, visit: Any, tmp_path: Path) -> None:
    """The new video has the same options and takes the place of the failed one."""
    directory = DataDirectory(tmp_path / "data")
    directory.open()
    store = Store(directory.database)
    options = VideoOptions(look="wave", title="Other", start=0.25)
    failed = attrs.evolve(
        FINISHED_TASK,
        account="",
        state=TaskState.FAILED,
        audio_mode="copy",
        aspect_ratio="1:1",
        options=options,
    )
    await store.add(failed)
    store.close()
    directory.close()
    visitor = await idle(serve, visit)

    (again,) = (await visitor.post("/page/videos/1/again"))["ids"]
    (video,) = (await visitor.videos())["videos"]
    unknown, _, _ = await visitor.ask("POST", "/page/videos/1/again")

    assert video["id"] == again
    assert (video["title"], video["aspect_ratio"]) == ("Other", "1:1")
    assert unknown == 404


async def test_video_whose_file_is_gone_is_rendered_again(
    serve: Serve, visit: Any, tmp_path: Path
) -> None:
    """It keeps its id."""
    await store_videos(tmp_path / "data", "", done=1)
    visitor = await idle(serve, visit)
    (before,) = (await visitor.videos())["videos"]
    (tmp_path / "data" / before["url"].replace("files", "videos")).unlink()

    answer = await visitor.post(f"/page/videos/{before['id']}/again")
    (after,) = (await visitor.videos())["videos"]

    assert answer["ids"] == [before["id"]]
    assert after["state"] in {"queued", "rendering"}


async def test_other_accounts_cannot_change_a_video(
    serve: Serve, visit: Any, tmp_path: Path
) -> None:
    """A video of another account does not exist."""
    await store_videos(tmp_path / "data", "anna", done=1)
    caller = await serve(account_keys={"anna": "key-a", "ben": "key-b"}, executor=IdleExecutor)
    ben = visit(caller)
    await ben.ask("POST", "/page/login", json={"key": "key-b"})
    await ben.state()

    answers = [
        await ben.ask("PUT", "/page/videos/anna-done-0", json={"kept": True}),
        await ben.ask("POST", "/page/videos/anna-done-0/again"),
    ]

    assert [status for status, _, _ in answers] == [404, 404]


@pytest.mark.slow
async def test_own_files_are_part_of_preview_and_video(serve: Serve, visit: Any) -> None:
    """A picture, a cover and lyrics change the preview, and are part of the queued video."""
    visitor = await idle(serve, visit)
    path = "/page/pictures"
    saved = [json.loads((await visitor.ask("POST", path, data=picture()))[2])["id"] for _ in "ab"]
    words = "[00:00.10] A line".encode("utf-16")
    _, _, body = await visitor.ask("POST", "/page/lyrics", params={"name": "a.lrc"}, data=words)
    own = {"picture": saved[0], "cover": saved[1], "lyricsFile": json.loads(body)["id"]}

    plain = await visitor.ask("GET", "/page/preview", params=ONE)
    images = [
        await visitor.ask("GET", "/page/preview", params={**ONE, name: value})
        for name, value in own.items()
    ]
    await visitor.create(**ONE, **own)
    store = visitor.server._scheduler._store
    (waiting,) = store.unfinished()
    task = store.get(waiting.task_id)

    assert [status for status, _, _ in images] == [200] * 3
    assert len({image for _, _, image in (plain, *images)}) == 4
    assert task.options.background == f"picture:{saved[0]}"
    assert task.options.cover == saved[1]
    assert task.options.lyrics == "[00:00.10] A line"


@pytest.mark.slow
async def test_unusable_files_are_rejected(
    serve: Serve, visit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no picture, what has no times, and what is too much: a sentence, and no file."""
    visitor = await idle(serve, visit)
    noise = await visitor.ask("POST", "/page/pictures", data=b"noise")
    words = await visitor.ask("POST", "/page/lyrics?name=a.lrc", data=b"no times")
    broken = await visitor.ask("POST", "/page/lyrics?name=a.srt", data=b"\0")
    monkeypatch.setattr("mp4gen.server.data_dir.MAX_PICTURES_BYTES", 10)
    full = await visitor.ask("POST", "/page/pictures", data=picture())

    answers = [noise, words, broken, full]
    assert [status for status, _, _ in answers] == [400, 400, 400, 507]
    assert b"Not a readable image: the picture." in noise[2]
    assert b"The lyrics have no times: a.lrc." in words[2]
    assert list(visitor.server.config.data.joinpath("pictures").iterdir()) == []


@pytest.mark.slow
async def test_picture_is_made_small_and_upright(serve: Serve, visit: Any) -> None:
    """A photograph of a phone becomes a JPEG that is not larger than a video."""
    visitor = await idle(serve, visit)
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4000, 1000)).save(file, "JPEG", exif=exif)

    _, _, body = await visitor.ask("POST", "/page/pictures", data=file.getvalue())
    kept = visitor.server.config.data / "pictures" / json.loads(body)["id"]

    with Image.open(kept) as image:
        assert (image.format, image.size) == ("JPEG", (960, 3840))


@pytest.mark.slow
async def test_small_previews_of_a_look_are_cached(
    serve: Serve, visit: Any, music: Path, tmp_path: Path
) -> None:
    """Each look has its own; the second request of one needs no worker."""
    write_song(music / "album" / "one.wav", 3.0)
    visitor = await idle(serve, visit)
    request = {**ONE, "size": "small"}

    answers = [
        await visitor.ask("GET", "/page/preview", params={**request, "look": look})
        for look in ("bars", "ring", "bars")
    ]

    with Image.open(io.BytesIO(answers[0][2])) as image:
        assert image.size == (240, 135)
    assert answers[0][2] == answers[2][2] != answers[1][2]
    assert len(list((tmp_path / "data" / "cache").glob("*.jpg"))) == 2


@pytest.mark.slow
async def test_folder_of_songs_is_uploaded_as_a_folder(
    serve: Serve, visit: Any, tmp_path: Path
) -> None:
    """Its name is made safe, and its songs are one music task."""
    visitor = await idle(serve, visit)
    song = write_song(tmp_path / "new.wav").read_bytes()

    folders = []
    for folder in ("Night Drives", "../etc", "..", ""):
        query = {"name": "a.wav", "folder": folder}
        _, _, body = await visitor.ask("POST", "/page/upload", params=query, data=song)
        folders.append(json.loads(body)["task"])

    assert folders == ["Uploads/Night Drives", "Uploads/etc", "Uploads", "Uploads"]

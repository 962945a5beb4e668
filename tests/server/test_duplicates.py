"""Which submits make a new video, and which ones are told of an earlier one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from mp4gen.errors import AlreadyExistsError
from mp4gen.render import RenderStyle
from mp4gen.server.queue import fingerprint as fingerprint_module
from mp4gen.server.queue.fingerprint import MAX_READ_BYTES, Fingerprints
from mp4gen.server.queue.store import Store
from mp4gen.server.queue.task import Task
from mp4gen.server.rendering.video_options import VideoOptions

from .conftest import FAST_STYLE, Caller, Serve, read_tasks, write_song

TASK = Task(
    task_id="1",
    account="",
    music_task_id="album",
    audio_id="one",
    author="Beyonc\u00e9",
    filename="v.mp4",
    created_at=0.0,
)


# What of a task counts, and what does not. A new field belongs to one of these sets.
COUNTS = {"author", "domain_name", "aspect_ratio", "audio_mode", "options"}
TRACK = {"account", "music_task_id", "audio_id", "render_variant"}
DOES_NOT_COUNT = {
    *("task_id", "callback_url", "base_url", "filename", "estimated_duration", "state", "callback"),
    *(
        "created_at",
        "started_at",
        "completed_at",
        "error_code",
        "error_message",
        "duration",
        "size",
    ),
    *("fingerprint", "attempts", "troubles", "lease_until", "not_before", "last_trouble"),
    *("warnings", "batch", "kept"),
}


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "song.wav", 0.1)


def fingerprint(song: Path, style: RenderStyle = FAST_STYLE, **fields: Any) -> str:
    return Fingerprints(style).of(attrs.evolve(TASK, **fields), song)


def rewrite_keeping_its_times(song: Path) -> None:
    """Change a byte as tag editors do that preserve the time and the size of a file."""
    stat = song.stat()
    content = bytearray(song.read_bytes())
    content[-1] ^= 1
    song.write_bytes(content)
    os.utime(song, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def copy_over(song: Path) -> None:
    """Replace the file by a copy of it, as a restored backup does."""
    shutil.copyfile(song, song.with_suffix(".copy"))
    song.with_suffix(".copy").replace(song)


CHANGED_FILES: dict[str, Callable[[Path], object]] = {
    "another song of the same name": lambda song: write_song(song, 0.1, pitch=660),
    "a longer song": lambda song: write_song(song, 0.2),
    "other tags, with the old time and size": rewrite_keeping_its_times,
    "lyrics beside it": lambda song: song.with_suffix(".lrc").write_text("[00:00.00]La"),
    "lyrics in a language": lambda song: song.with_suffix(".en.lrc").write_text("[00:00.00]La"),
    "lyrics in capitals": lambda song: song.with_suffix(".SRT").write_text("1"),
    "no song any more": lambda song: song.unlink(),
}
SAME_FILES: dict[str, Callable[[Path], object]] = {
    "nothing": lambda song: None,
    "a later time": os.utime,
    "a copy in its place": copy_over,
    "a cover beside it": lambda song: song.with_name("cover.jpg").write_bytes(b"cover"),
    "other permissions": lambda song: song.chmod(0o600),
}
OTHER_VIDEO: dict[str, dict[str, Any]] = {
    "another author": {"author": "Another"},
    "no author": {"author": None},
    "a watermark": {"domain_name": "music.example"},
    "another aspect ratio": {"aspect_ratio": "9:16"},
    "the sound as it is": {"audio_mode": "copy"},
    "another look": {"options": VideoOptions(look="ring")},
    "another background": {"options": VideoOptions(background="blur")},
    "another picture": {"options": VideoOptions(background="picture:1.jpg")},
    "another accent": {"options": VideoOptions(accent="#ff8800")},
    "a preset": {"options": VideoOptions(preset="discord")},
    "a title": {"options": VideoOptions(title="Another")},
    "another cover": {"options": VideoOptions(cover="1.jpg")},
    "no lyrics": {"options": VideoOptions(lyrics="none")},
    "other lyrics": {"options": VideoOptions(lyrics="[00:01.00]La")},
    "another start": {"options": VideoOptions(start=1.0)},
    "another length": {"options": VideoOptions(length=1.0)},
    "another size of the server": {"style": attrs.evolve(FAST_STYLE, width=320)},
    "another rate of the server": {"style": attrs.evolve(FAST_STYLE, fps=23.976)},
    "another quality of the server": {"style": attrs.evolve(FAST_STYLE, qp=20)},
    "no style of the server": {"style": RenderStyle()},
}
SAME_VIDEO: dict[str, dict[str, Any]] = {
    "another callback": {"callback_url": "https://other.example/done"},
    "another id, time and address": {"task_id": "2", "created_at": 9.0, "base_url": "http://x"},
    "the same letters, composed in another way": {"author": "Beyonce\u0301"},
    "an empty watermark": {"domain_name": ""},
    "the server's own aspect ratio": {"aspect_ratio": "16:9"},
    "the server's own look": {"options": VideoOptions(look="bars", background="auto")},
}


@pytest.mark.parametrize("name", CHANGED_FILES)
def test_changed_music_is_another_video(song: Path, name: str) -> None:
    """The fingerprint differs if the content of the music or of its lyrics does."""
    fingerprints = Fingerprints(FAST_STYLE)
    before = fingerprints.of(TASK, song)

    CHANGED_FILES[name](song)

    assert fingerprints.of(TASK, song) != before


@pytest.mark.parametrize("name", SAME_FILES)
def test_unchanged_music_is_the_same_video(song: Path, name: str) -> None:
    """Times, copies and other files do not matter, to this server and after a restart."""
    fingerprints = Fingerprints(FAST_STYLE)
    before = fingerprints.of(TASK, song)

    SAME_FILES[name](song)

    assert fingerprints.of(TASK, song) == fingerprint(song) == before


def test_fingerprints_remember_a_limited_number_of_files(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server runs for years, and gets new music every day."""
    monkeypatch.setattr(fingerprint_module, "MAX_DIGESTS", 3)
    fingerprints = Fingerprints(FAST_STYLE)
    songs = [shutil.copy(song, song.with_name(f"{number}.wav")) for number in range(5)]

    found = {fingerprints.of(TASK, one) for one in songs}

    assert found == {fingerprint(song)}
    assert fingerprints._read_digest.cache_info().currsize == 3


def write_at(position: int, *, keep_time: bool) -> Callable[[Path], object]:
    """Return a function that changes one byte of a file in place."""

    def change(song: Path) -> None:
        stat = song.stat()
        with song.open("rb+") as file:
            file.seek(position)
            file.write(b"!")
        if keep_time:
            os.utime(song, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        else:
            os.utime(song, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))

    return change


LARGE_FILE_CHANGES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "nothing": (lambda song: None, False),
    "tags at its beginning": (write_at(10, keep_time=True), True),
    "tags at its end": (write_at(MAX_READ_BYTES, keep_time=True), True),
    "what is between its ends": (write_at(MAX_READ_BYTES // 2, keep_time=True), False),
    "a moment of the music": (write_at(MAX_READ_BYTES // 2, keep_time=False), True),
    "its length": (lambda song: os.truncate(song, MAX_READ_BYTES + 2), True),
}


def test_later_version_finds_the_videos_of_an_earlier_one(tmp_path: Path) -> None:
    """Another fingerprint of the same request would render every video a second time."""
    song = tmp_path / "song.mp3"
    song.write_bytes(b"music")
    song.with_suffix(".lrc").write_bytes(b"[00:00.00]La")
    options = VideoOptions(look="ring", title="Nai\u0308ve", start=1.5)
    fields = {"domain_name": "music.example", "aspect_ratio": "1:1", "options": options}

    plain, chosen = fingerprint(song, RenderStyle()), fingerprint(song, FAST_STYLE, **fields)

    assert plain == "4ef5115873086223bcc1503580788a1f.0fc50170fb853be2e89d939cea049608"
    assert chosen == "bd1adccfa79abd466223c1a68b9865b4.0fc50170fb853be2e89d939cea049608"


@pytest.mark.parametrize("name", LARGE_FILE_CHANGES)
def test_large_file_is_known_by_its_ends_its_size_and_its_time(song: Path, name: str) -> None:
    """A submit does not read hundreds of megabytes, and still notices a change."""
    change, is_another_video = LARGE_FILE_CHANGES[name]
    os.truncate(song, MAX_READ_BYTES + 1)
    before = fingerprint(song)

    change(song)

    assert (fingerprint(song) != before) == is_another_video


@pytest.mark.parametrize("name", OTHER_VIDEO)
def test_other_words_and_options_are_another_video(song: Path, name: str) -> None:
    """Each word and each option counts, those of the server too."""
    assert fingerprint(song, **OTHER_VIDEO[name]) != fingerprint(song)


@pytest.mark.parametrize("name", SAME_VIDEO)
def test_what_is_not_seen_or_heard_is_the_same_video(song: Path, name: str) -> None:
    """The callback and the ids do not count."""
    assert fingerprint(song, **SAME_VIDEO[name]) == fingerprint(song)


def test_each_field_of_a_task_counts_or_not() -> None:
    """A new word or option is not forgotten: it needs a decision, and a row in a table above."""
    fields = {field.name for field in attrs.fields(Task)}
    changed = {name for change in OTHER_VIDEO.values() for name in change} - {"style"}

    assert fields == COUNTS | TRACK | DOES_NOT_COUNT
    assert changed == COUNTS


def test_each_option_of_a_video_is_in_the_table() -> None:
    """A new option is not forgotten."""
    chosen = [change["options"].chosen() for change in OTHER_VIDEO.values() if "options" in change]

    assert {name for one in chosen for name in one} == {
        field.name for field in attrs.fields(VideoOptions)
    }


def test_options_that_a_server_has_anyway_are_the_same_video(song: Path) -> None:
    """The renderer's defaults are the same, whether they were chosen or not."""
    chosen = VideoOptions(look="bars", background="auto")

    assert fingerprint(song, options=chosen) == fingerprint(song)


@pytest.mark.parametrize("option", ["background", "cover"])
def test_replaced_picture_is_another_video(option: str, song: Path, tmp_path: Path) -> None:
    """A picture of the data directory stands for what is in it."""
    picture = tmp_path / "1.jpg"
    picture.write_bytes(b"one")
    name = {"background": "picture:1.jpg", "cover": "1.jpg"}[option]
    task = attrs.evolve(TASK, options=VideoOptions(**{option: name}))
    before = Fingerprints(FAST_STYLE, tmp_path).of(task, song)

    picture.write_bytes(b"another")

    assert Fingerprints(FAST_STYLE, tmp_path).of(task, song) != before


@pytest.mark.parametrize("option", ["fonts", "font", "logo", "background"])
def test_replaced_file_is_another_video(option: str, song: Path, tmp_path: Path) -> None:
    """An option that names a file stands for what is in it."""
    file = tmp_path / "file"
    file.write_bytes(b"one")
    value = (file,) if option == "fonts" else file
    style = attrs.evolve(FAST_STYLE, **{option: value})
    before = fingerprint(song, style)

    file.write_bytes(b"another")

    assert fingerprint(song, style) != before


def test_files_named_like_an_option_do_not_count(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder in which the server was started may contain anything."""
    style = attrs.evolve(FAST_STYLE, look="ring", background="blur")
    before = fingerprint(song, style)

    for name in ("ring", "blur"):
        (tmp_path / name).write_bytes(b"mine")
    monkeypatch.chdir(tmp_path)

    assert fingerprint(song, style) == before


def test_new_option_with_a_default_keeps_old_fingerprints(song: Path) -> None:
    """A later version's new option leaves the videos of today the same."""
    later = attrs.make_class("RenderStyle", {"mood": attrs.field(default="calm")}, (RenderStyle,))

    new_style = later(**attrs.asdict(FAST_STYLE))

    assert fingerprint(song, new_style) == fingerprint(song)
    assert fingerprint(song, attrs.evolve(new_style, mood="wild")) != fingerprint(song)


async def test_submit_after_a_lost_answer_finds_its_task(serve: Serve) -> None:
    """The same submit with a new callback URL is 409 with the first id."""
    caller = await serve()

    first = await caller.generate("album", "one", author="A")
    again = await caller.generate("album", "one", author="A", callBackUrl="https://b.invalid/2")

    assert (again["code"], again["data"]) == (409, first["data"])


@pytest.mark.parametrize("words", [{"author": "B"}, {"author": "A", "domainName": "a.example"}])
async def test_submit_with_other_words_is_accepted(serve: Serve, words: dict[str, str]) -> None:
    """A track gets a second video if the words differ; the first one stays."""
    caller = await serve()
    first = await caller.generate("album", "one", author="A")

    second = await caller.generate("album", "one", **words)

    assert second["code"] == 200
    assert second["data"]["taskId"] != first["data"]["taskId"]
    assert await caller.details(first["data"]["taskId"]) is not None


@pytest.mark.slow
async def test_new_size_of_the_server_makes_a_new_video(serve: Serve) -> None:
    """After a restart with another `--size`, the old landscape video is not returned."""
    caller = await serve()
    first = await caller.create_and_wait("album", "one")
    await caller.server.__aexit__(None, None, None)

    portrait = await serve(style=attrs.evolve(FAST_STYLE, width=144, height=256))
    second = await portrait.generate("album", "one")

    assert second["code"] == 200
    assert second["data"]["taskId"] != first["taskId"]


@pytest.mark.slow
async def test_replaced_song_makes_a_new_video(serve: Serve, music: Path) -> None:
    """After a song was replaced, its finished video is not returned."""
    caller = await serve()
    first = await caller.create_and_wait("album", "one")
    write_song(music / "album" / "one.wav", pitch=880)

    second = await caller.generate("album", "one")

    assert second["code"] == 200
    assert second["data"]["taskId"] != first["taskId"]


@pytest.mark.slow
async def test_song_replaced_while_queued_counts_as_rendered(serve: Serve, music: Path) -> None:
    """A queued task is rendered from the new file, and its record says so."""
    song = music / "album" / "one.wav"
    original = song.read_bytes()
    caller = await serve()
    await caller.generate("album", "two")
    queued = await caller.generate("album", "one")
    write_song(song, pitch=880)
    while_queued = await caller.generate("album", "one")
    await caller.wait_until_finished(queued["data"]["taskId"])

    afterwards = await caller.generate("album", "one")
    song.write_bytes(original)
    of_the_old_song = await caller.generate("album", "one")

    assert (while_queued["code"], while_queued["data"]) == (409, queued["data"])
    assert (afterwards["code"], afterwards["data"]) == (409, queued["data"])
    assert of_the_old_song["code"] == 200


async def lose_video(caller: Caller, data: Path) -> str:
    """Render a video and delete its file; return the task's id."""
    done = await caller.create_and_wait("album", "one")
    (data / "videos" / done["response"]["videoUrl"].rpartition("/")[2]).unlink()
    return done["taskId"]


@pytest.mark.slow
async def test_submit_makes_a_lost_video_again(serve: Serve, tmp_path: Path) -> None:
    """A submit whose earlier video is gone is accepted, under the earlier id."""
    caller = await serve()
    task_id = await lose_video(caller, tmp_path / "data")

    again = await caller.generate("album", "one", callBackUrl="https://b.invalid/2")
    third = await caller.generate("album", "one")
    ended = await caller.wait_until_finished(task_id)

    assert again == {"code": 200, "msg": "success", "data": {"taskId": task_id}}
    assert (third["code"], third["data"]) == (409, {"taskId": task_id})
    assert (ended["successFlag"], ended["callbackUrl"]) == ("SUCCESS", "https://b.invalid/2")
    async with caller.session.get(ended["response"]["videoUrl"]) as response:
        assert response.status == 200
    assert read_tasks(tmp_path / "data", "task_id, state") == [(task_id, "done")]


@pytest.mark.slow
async def test_poll_makes_a_lost_video_again(serve: Serve, tmp_path: Path) -> None:
    """A poll is not answered with SUCCESS and the URL of a file that is gone."""
    caller = await serve()
    task_id = await lose_video(caller, tmp_path / "data")

    polled = await caller.details(task_id)
    ended = await caller.wait_until_finished(task_id)

    assert (polled["successFlag"], polled["response"]) == ("PENDING", None)
    async with caller.session.get(ended["response"]["videoUrl"]) as response:
        assert response.status == 200


@pytest.mark.slow
async def test_missing_folder_of_videos_loses_no_video(serve: Serve, tmp_path: Path) -> None:
    """While the whole folder is away, for instance a disk, nothing is rendered again."""
    caller = await serve()
    done = await caller.create_and_wait("album", "one")
    (tmp_path / "data" / "videos").rename(tmp_path / "away")

    polled = await caller.details(done["taskId"])
    again = await caller.generate("album", "one")

    assert polled["successFlag"] == "SUCCESS"
    assert again["code"] == 409


async def test_tasks_without_fingerprint(tmp_path: Path) -> None:
    """A queued one of an older version is found by its words; a finished one is not trusted."""
    store = Store(tmp_path / "tasks.sqlite")
    await store.add(TASK)
    submit = attrs.evolve(TASK, task_id="2", filename="w.mp4", fingerprint="f")

    ids = [
        await added(store, submit),
        await added(store, attrs.evolve(submit, author="Another")),
    ]
    await store.mark_failed("2", 400, "The audio is damaged.", 1.0)
    await store.finish("1", 1.0)
    ids += [await added(store, attrs.evolve(submit, task_id="3"))]
    store.close()

    assert ids == ["1", "2", "3"]


async def added(store: Store, task: Task) -> str:
    """Add a task if it is not there; return the id of the one that is."""
    try:
        await store.add(task)
    except AlreadyExistsError as error:
        return error.existing_task_id
    return task.task_id


async def test_twins_share_no_fingerprint(tmp_path: Path) -> None:
    """If a change makes two tasks the same, later submits are told of the one that was first."""
    store = Store(tmp_path / "tasks.sqlite")
    await store.add(attrs.evolve(TASK, fingerprint="f"))
    await store.add(attrs.evolve(TASK, task_id="2", fingerprint="g"))

    await store.mark_started(store.get("2"), 1.0, "f", lease_until=2.0)

    ids = [await added(store, attrs.evolve(TASK, task_id="3", fingerprint=f)) for f in "fg"]
    store.close()

    assert ids == ["1", "3"]


@pytest.mark.parametrize(
    "options",
    [{"look": "ring"}, {"start": "0:00.25"}, {"title": "Another"}, {"aspectRatio": "4:5"}],
    ids=lambda options: next(iter(options)),
)
async def test_submit_with_other_options_is_accepted(serve: Serve, options: dict[str, Any]) -> None:
    """Other options make another video; the same options get 409 with its id."""
    caller = await serve()
    first = await caller.generate("album", "one")

    other = await caller.generate("album", "one", **options)
    again = await caller.generate("album", "one", **options)

    assert other["code"] == 200
    assert other["data"] != first["data"]
    assert (again["code"], again["data"]) == (409, other["data"])

"""Looks whether a server could run as it is set up, and says what to do where not; starts none.

It changes nothing: no folder is made, no port is kept, no task is touched.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import attrs

from mp4gen.addresses import is_loopback
from mp4gen.errors import ConfigurationError, Mp4GenError

from .config import MIB, ServerConfig
from .data_dir import DataDirectory
from .library.library import Library
from .queue.store import check_integrity
from .rendering import worker
from .rendering.aspect_ratio import style_for
from .rendering.pool import ProcessExecutor, WorkerSlot
from .web.sockets import bind, url_of

_MIN_KEY_LENGTH = 16
# Letters that the bundled font lacks, and what the system's packages call fonts that have them.
_SCRIPTS = {"Chinese, Japanese and Korean": "夜", "Arabic": "م", "Hindi": "क", "emoji": "🎵"}
_MAX_COUNTED = 100_000


@attrs.frozen
class CheckResult:
    """What one look found.

    Attributes:
        name: what was looked at.
        passed: whether a server can run with it.
        message: a sentence; where it is not ok, with what to do.
    """

    name: str
    passed: bool
    message: str


async def run_checks(config: ServerConfig) -> AsyncIterator[CheckResult]:
    """Look at everything that a server needs, one after the other."""
    checks: dict[str, Callable[[ServerConfig], str]] = {
        "music": _music,
        "data": _data,
        "database": _database,
        "disk": _disk,
        "port": _port,
        "keys": _keys,
        "fonts": _fonts,
    }
    for name, check in checks.items():
        try:
            yield CheckResult(name, True, check(config))  # noqa: FBT003 - reads best beside its name
        except (Mp4GenError, OSError) as error:
            yield CheckResult(name, False, str(error))  # noqa: FBT003 - as above
    yield await _renderer(config)


def check_music(config: ServerConfig) -> None:
    """See whether the music folder is there.

    Raises:
        ConfigurationError: it is not, or cannot be read.
    """
    try:
        if config.music.is_file():
            raise ConfigurationError(
                f"{config.music} is a file; name the folder that holds the music with --music"
            )
        if not config.music.is_dir():
            raise ConfigurationError(
                f"the music folder {config.music} does not exist; name one that does with --music"
            )
        next(config.music.iterdir(), None)
    except OSError as error:
        raise ConfigurationError(
            f"the music folder {config.music} cannot be read: {error.strerror}"
        ) from error


def _music(config: ServerConfig) -> str:
    check_music(config)
    folders: set[str] = set()
    count = 0
    for track in Library(config.music).all_tracks():
        folders.add(track.task_id)
        count += 1
        if count >= _MAX_COUNTED:
            break
    if not count:
        return f"{config.music} holds no music yet; what is put there is found at once"
    upload_note = "" if os.access(config.music, os.W_OK) else "; the page cannot add songs to it"
    return f"{config.music} holds {_plural(count, 'track')} in {_plural(len(folders), 'folder')}{upload_note}"


def _data(config: ServerConfig) -> str:
    root = config.data
    if not root.exists():
        parent = next(one for one in root.absolute().parents if one.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise ConfigurationError(
                f"the data folder {root} cannot be made in {parent}; name another one with --data"
            )
        return f"{root} is not there yet: the first start makes it"
    try:
        with tempfile.TemporaryFile(dir=root):
            pass
        folder = DataDirectory(root)
        if folder.lock_path.exists():
            folder.acquire_lock()
            folder.close()
    except OSError as error:
        raise ConfigurationError(
            f"the data folder {root} cannot be used ({error.strerror}); "
            "name another one with --data"
        ) from error
    return f"{root} can be written, and no other server uses it"


def _database(config: ServerConfig) -> str:
    path = DataDirectory(config.data).database
    if not path.exists():
        return "there is none yet: the first start makes it"
    return f"{path} is sound and holds {_plural(check_integrity(path), 'task')}"


def _disk(config: ServerConfig) -> str:
    there = next(one for one in (config.data, *config.data.absolute().parents) if one.exists())
    free, min_free = shutil.disk_usage(there).free, config.min_free_bytes
    if free < min_free:
        raise ConfigurationError(
            f"{there} has {free // MIB} MB of room, and no task is taken below {min_free // MIB} MB; "
            "make room, name another folder with --data, or lower --min-free"
        )
    return f"{free // MIB} MB of room; no task is taken below {min_free // MIB} MB"


def _port(config: ServerConfig) -> str:
    sockets = bind(config)
    try:
        return f"{url_of(config, sockets)} is free"
    finally:
        for one in sockets:
            one.close()


def _keys(config: ServerConfig) -> str:
    accounts = config.accounts
    if not accounts:
        return "none is needed: only this machine reaches the server"
    short = [name for name, key in accounts.items() if len(key) < _MIN_KEY_LENGTH]
    if short and not is_loopback(config.host.strip("[]")):
        whose = ", ".join(f"account {name}" for name in short if name) or "the key"
        raise ConfigurationError(
            f"the key of {whose} has fewer than {_MIN_KEY_LENGTH} characters, which others can guess; "
            "choose a longer one"
        )
    return f"callers need a key ({_plural(len(accounts), 'account')})"


def _fonts(config: ServerConfig) -> str:
    from mp4gen.render import fonts

    user_fonts = config.style.fonts if config.style is not None else ()
    lacking = [
        script
        for script, letter in _SCRIPTS.items()
        if not fonts.find_font(
            frozenset({ord(letter)}), "regular", user_fonts, emoji=script == "emoji"
        )
    ]
    if lacking:
        return (
            f"there is none for {', '.join(lacking)}: titles in it show boxes; install a font "
            "that has them (Noto, for instance) or name one with --font"
        )
    return "there is one for every script that was asked for"


async def _renderer(config: ServerConfig) -> CheckResult:
    """A second of silence is rendered in a worker, fenced in as all renders are."""
    slot = WorkerSlot(lambda: ProcessExecutor(config.worker_memory_bytes))
    try:
        with tempfile.TemporaryDirectory(prefix="mp4gen-check-") as folder:
            job = _job(config, folder)
            await slot.run(worker.render, job)
            size = job.video.stat().st_size
    except Exception as error:  # noqa: BLE001 - however it fails is what was looked for
        message = f"no video can be made: {error}; a worker may need more --worker-memory"
        return CheckResult("renderer", False, message)  # noqa: FBT003 - as above
    finally:
        await slot.close()
    message = f"a video of one second was made ({size // 1024} kB)"
    return CheckResult("renderer", True, message)  # noqa: FBT003 - as above


def _job(config: ServerConfig, root: str) -> worker.RenderJob:
    folder = Path(root).resolve()
    song = folder / "silence.wav"
    with wave.open(str(song), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 16000))
    return worker.RenderJob(
        audio=song,
        root=folder,
        folder=folder,
        author=None,
        domain_name=None,
        style=style_for(config.style, None, threads=1),
        audio_mode="compatible",
        max_duration=config.max_duration,
        cpu_seconds=config.render_timeout,
    )


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"

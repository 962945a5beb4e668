"""Checks whether a server can run with its settings, and says what to do if not; starts none.

It changes nothing: it creates no folder, keeps no port and touches no task. `check_start` refuses
the settings with which no server can ever work. `run_checks` refuses the same ones, examines what
takes longer or may pass, and describes what it found.
"""

import importlib.util
import itertools
import os
import shutil
import tempfile
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import attrs

from mp4gen.addresses import is_loopback
from mp4gen.errors import ConfigurationError, Mp4GenError

from .config import MIB, ServerConfig
from .data_dir import DataDirectory, unusable
from .data_ownership import check_own, check_separate
from .library.library import Library
from .queue.schema import check_integrity
from .rendering import worker
from .rendering.slots import slots_for
from .rendering.video_options import style_for
from .style_checks import check_fonts, check_pictures, describe_fonts, describe_pictures
from .troubles import ClusterAwayError
from .videos import make_videos
from .web.connection_limit import check_fd_limit
from .web.sockets import bind, url_of
from .web.tls import load_certificate

_MIN_KEY_LENGTH = 16
_MAX_COUNTED = 100_000
# The address space in bytes that a worker needs for 1280x720 pixels, and for each further pixel.
_MIN_WORKER_MEMORY, _MEMORY_PER_PIXEL = 320 * MIB, 60


@attrs.frozen
class CheckResult:
    """The result of one check.

    Attributes:
        name: The name of the check.
        passed: Whether a server can run.
        message: A sentence, followed by what to do if the check failed.
    """

    name: str
    passed: bool
    message: str


async def run_checks(config: ServerConfig) -> AsyncIterator[CheckResult]:
    """Check everything that a server needs, one after the other."""
    refusals = _refusals()
    checks: dict[str, Callable[[ServerConfig], str | Awaitable[str]]] = {
        "music": _music,
        "data": _data,
        "files": _files,
        "database": _database,
        "disk": _disk,
        "tls": _tls,
        "port": _port,
        "keys": _keys,
        "fonts": describe_fonts,
        "pictures": describe_pictures,
        "renderer": _renderer,
    }
    for name, check in checks.items():
        try:
            refusals.get(name, _accept)(config)
            message = check(config)
            message = message if isinstance(message, str) else await message
            yield CheckResult(name, passed=True, message=message)
        except (Mp4GenError, OSError) as error:
            yield CheckResult(name, passed=False, message=str(error))


def check_start(config: ServerConfig) -> None:
    """Refuse settings with which a server could never work.

    Raises:
        ConfigurationError: A setting is unusable on this machine, or a package is missing.
    """
    _check_packages()
    for check in _refusals().values():
        check(config)


def _check_packages() -> None:
    for name in ("av", "mutagen", "numpy", "PIL"):
        if importlib.util.find_spec(name) is None:
            raise ConfigurationError(f"Missing package: {name}. Run: pip install 'mp4gen[server]'.")


def _refusals() -> dict[str, Callable[[ServerConfig], object]]:
    """Return what refuses a setting, by the names of the checks that begin with it."""
    return {
        "music": _check_music,
        "data": _check_data,
        "files": lambda config: make_videos(config, DataDirectory(config.data)),
        "disk": _check_disk,
        "tls": load_certificate,
        "port": lambda _: check_fd_limit(),
        "keys": _check_keys,
        "fonts": check_fonts,
        "pictures": check_pictures,
        "renderer": _check_renderer,
    }


def _accept(_: ServerConfig) -> None:
    """Refuse nothing."""


def _check_music(config: ServerConfig) -> None:
    """Check that the music folder can be read.

    Raises:
        ConfigurationError: It does not exist or cannot be read.
    """
    try:
        if config.music.is_file():
            problem = "is a file"
        elif not config.music.is_dir():
            problem = "does not exist"
        else:
            next(config.music.iterdir(), None)
            return
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    raise ConfigurationError(
        f"The music folder {config.music} {problem}. Choose a folder of audio files with --music."
    )


def _check_data(config: ServerConfig) -> None:
    """Check that the data folder is the server's own, empty or new, and apart from the music.

    Raises:
        ConfigurationError: It is not.
    """
    try:
        check_separate(config.music, config.data)
        check_own(config.data)
    except OSError as error:
        raise unusable(config.data, error) from error


def _music(config: ServerConfig) -> str:
    tracks = itertools.islice(Library(config.music).all_tracks(), _MAX_COUNTED)
    folders = [track.task_id for track in tracks]
    if not folders:
        return f"{config.music} contains no audio yet. New files are found immediately."
    counts = f"{_plural(len(folders), 'track')} in {_plural(len(set(folders)), 'folder')}"
    upload_note = "" if os.access(config.music, os.W_OK) else " The page cannot add files to it."
    return f"{config.music} contains {counts}.{upload_note}"


def _data(config: ServerConfig) -> str:
    root = config.data
    if not root.exists():
        parent = _existing(root)
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise ConfigurationError(
                f"The data folder {root} cannot be created in {parent}. Choose another one with "
                "--data."
            )
        return f"{root} does not exist yet. The first start creates it."
    try:
        with tempfile.TemporaryFile(dir=root):
            pass
        folder = DataDirectory(root)
        if folder.lock_path.exists():
            folder.acquire_lock()
            folder.close()
    except OSError as error:
        raise unusable(root, error) from error
    return f"{root} can be written, and no other server uses it."


async def _files(config: ServerConfig) -> str:
    if config.bucket is None:
        return "Finished videos stay in the data directory."
    from .videos.bucket import Bucket, StorageError
    from .videos.bucket_videos import check_bucket, unusable

    try:
        await check_bucket(Bucket(*config.bucket), DataDirectory(config.data).existing_secret())
    except StorageError as error:
        raise unusable(error) from error
    return (
        f"Objects can be stored in {config.files}, read and deleted. Links are {config.file_links}."
    )


def _database(config: ServerConfig) -> str:
    data = DataDirectory(config.data)
    known = check_integrity(data.database) if data.database.exists() else None
    found = data.video_names() if data.videos.is_dir() else set()
    unknown = sorted(found - (known or set()))
    note = (
        f" Videos without a task, which the next start finds again or keeps: {len(unknown)}, for "
        f"instance {unknown[0]}."
        if unknown
        else ""
    )
    if known is None:
        return f"There is no database yet. The first start creates it.{note}"
    return f"{data.database} is intact and contains {_plural(len(known), 'task')}.{note}"


def _check_disk(config: ServerConfig) -> None:
    """Refuse a reserve that the whole disk is too small for; a full disk passes."""
    folder = _existing(config.data)
    total, min_free = shutil.disk_usage(folder).total, config.min_free_bytes
    if min_free >= total:
        raise ConfigurationError(
            f"The disk of {folder} has {total // MIB} MB, and --min-free reserves "
            f"{min_free // MIB} MB. Lower --min-free, or choose another folder with --data."
        )


def _disk(config: ServerConfig) -> str:
    folder = _existing(config.data)
    free, min_free = shutil.disk_usage(folder).free, config.min_free_bytes
    limit = f"New tasks need at least {min_free // MIB} MB"
    if free < min_free:
        raise ConfigurationError(
            f"The disk of {folder} has {free // MIB} MB free. {limit}: free some space, "
            "choose another folder with --data, or lower --min-free."
        )
    return f"{free // MIB} MB are free. {limit}."


def _port(config: ServerConfig) -> str:
    sockets = bind(config)
    try:
        return f"{url_of(config, sockets)} is free."
    finally:
        for one in sockets:
            one.close()


def _tls(config: ServerConfig) -> str:
    certificate = load_certificate(config)
    if certificate is None:
        return "The server speaks plain http://. For https, set --tls-cert and --tls-key."
    names = ", ".join(certificate.names) or "no name, so that clients refuse it"
    return f"The certificate is valid until {certificate.expires}, for {names}."


def _check_keys(config: ServerConfig) -> None:
    short = [name for name, key in config.accounts.items() if len(key) < _MIN_KEY_LENGTH]
    if short and not is_loopback(config.host.strip("[]")):
        owners = ", ".join(f"account {name}" for name in short if name) or "the server"
        raise ConfigurationError(
            f"The key of {owners} has fewer than {_MIN_KEY_LENGTH} characters and can be guessed. "
            "Choose a longer one."
        )


def _keys(config: ServerConfig) -> str:
    accounts = config.accounts
    if not accounts:
        return "No key is needed: only this machine can reach the server."
    return f"Clients need a key ({_plural(len(accounts), 'account')})."


def _check_renderer(config: ServerConfig) -> None:
    if isinstance(config.executor, str):
        if importlib.util.find_spec("distributed") is None:
            raise ConfigurationError(
                "Missing package: distributed. Run: pip install 'mp4gen[dask]'."
            )
        if config.executor.startswith("dask+tls:"):
            from .rendering.dask.connection import check_certificates

            check_certificates()
    _check_memory(config)


def _check_memory(config: ServerConfig) -> None:
    more_pixels = config.style.width * config.style.height - 1280 * 720
    needed = _MIN_WORKER_MEMORY + max(more_pixels * _MEMORY_PER_PIXEL // MIB, 0) * MIB
    if 0 < config.worker_memory_bytes < needed:
        raise ConfigurationError(
            f"No video can be rendered with {config.worker_memory_bytes // MIB} MB. Raise "
            f"--worker-memory to at least {needed // MIB}M; the default suits most."
        )


async def _renderer(config: ServerConfig) -> str:
    """Render one second of silence in a worker, with the limits of every render."""
    slots = slots_for(config)
    slots.start(lambda: None)
    try:
        await slots.wait_until_ready()
        with tempfile.TemporaryDirectory(
            prefix="mp4gen-check-", ignore_cleanup_errors=True
        ) as folder:
            job = _job(config, folder)
            await slots.take(urgent=True).render(job)
            size = job.video.stat().st_size
            where = f" in {config.executor}" if isinstance(config.executor, str) else ""
            return f"A video of one second was rendered{where} ({size // 1024} kB)."
    except ClusterAwayError as error:
        raise ConfigurationError(str(error)) from error
    except Exception as error:
        reason = str(error).rstrip(".")
        raise ConfigurationError(
            f"No video can be rendered: {reason}. A worker may need more --worker-memory."
        ) from error
    finally:
        await slots.close()


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
        style=style_for(config.style, None),
        audio_mode="compatible",
        max_duration=config.max_duration,
        cpu_seconds=config.scaled_render_timeout,
    )


def _existing(path: Path) -> Path:
    """Return the path itself, or the nearest parent that exists."""
    return next(one for one in (path, *path.absolute().parents) if one.exists())


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"

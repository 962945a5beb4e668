"""Makes mp4gen see another system in this process and in those that it starts.

`MP4GEN_TEST_SYSTEM` is "win32" or "darwin". Only what mp4gen itself imports is different: modules
and names that the other system lacks are missing, and what it refuses is refused. The standard
library and other packages run as always. In addition, "win32" neither renames nor deletes an open
file, and its event loops handle no signals.
"""

import asyncio
import builtins
import errno
import fcntl
import multiprocessing.connection
import os
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

SYSTEM = os.environ.get("MP4GEN_TEST_SYSTEM", "")
_WINDOWS_LACKS = {
    "os": "chown fchmod fchown fork forkpty getgid getuid geteuid getpgid killpg mkfifo nice pread "
    "posix_fadvise posix_fallocate pwrite register_at_fork sched_getaffinity sendfile setsid "
    "statvfs uname wait waitpid O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK",
    "signal": "SIGALRM SIGCHLD SIGHUP SIGKILL SIGPIPE SIGQUIT SIGUSR1 SIGUSR2 SIGXCPU SIGXFSZ "
    "pthread_kill pthread_sigmask setitimer sigwait",
    "socket": "AF_UNIX SO_REUSEPORT socketpair_unix",
}
_MACOS_LACKS = {
    "os": "posix_fadvise posix_fallocate sched_getaffinity O_DIRECT O_PATH",
    "signal": "SIGPWR SIGSTKFLT",
    "socket": "SOCK_CLOEXEC SOCK_NONBLOCK",
}
_WINDOWS_LACKS_MODULES = {"fcntl", "grp", "pwd", "pty", "resource", "termios", "tty"}
_MACOS_INFINITY, _MACOS_MAX_FILES = (1 << 63) - 1, 10_240
_MACOS_ENOTSUP, _MACOS_EOPNOTSUPP = 45, 102
_F_FULLFSYNC = 51


class View(ModuleType):
    """A module without some names, and with others."""

    def __init__(self, module: ModuleType, lacking: str = "", **others: object) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(_module=module, _lacking=frozenset(lacking.split()), **others)

    def __getattr__(self, name: str) -> Any:
        if name in self._lacking:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self._module, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._module, name, value)


def hook_imports(views: Mapping[str, ModuleType], missing: set[str]) -> None:
    """Give `views` in place of modules to mp4gen, and let it not find those that are missing."""
    real_import = builtins.__import__

    def import_(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and str((globals or {}).get("__name__")).split(".")[0] == "mp4gen":
            if name in missing:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            top, _, rest = name.partition(".")
            if top in views and not (rest and fromlist):
                return views[top]
        return real_import(name, globals, locals, fromlist or (), level)

    builtins.__import__ = import_


# --- Windows --------------------------------------------------------------------------------------


class Msvcrt(ModuleType):
    """The locks of Windows, by those of Linux that belong to the open file, too."""

    LK_UNLCK, LK_NBLCK = 0, 2

    @staticmethod
    def locking(descriptor: int, mode: int, count: int) -> None:
        """Lock or unlock `count` bytes from the position of the file on."""
        at = os.lseek(descriptor, 0, os.SEEK_CUR)
        kind = fcntl.F_UNLCK if mode == Msvcrt.LK_UNLCK else fcntl.F_WRLCK
        try:
            request = struct.pack("hhqqi4x", kind, os.SEEK_SET, at, count, 0)
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None


def is_open(path: Any, folder: int | None) -> bool:
    """Return whether this process has a file open."""
    try:
        file = os.stat(path, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - numbers
        try:
            if os.path.samestat(os.fstat(descriptor), file):
                return True
        except OSError:
            continue
    return False


def refuse_open_files(name: str) -> None:
    """Let a function of `os` refuse paths of open files."""
    real: Callable[..., None] = getattr(os, name)

    def checked(*paths: Any, **folders: int | None) -> None:
        for path in paths:
            if is_open(path, folders.get("dir_fd")):
                raise PermissionError(errno.EACCES, "The file is in use by a program", str(path))
        real(*paths, **folders)

    setattr(os, name, checked)


def open_no_folder(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
    """Open a file."""
    if Path(path).is_dir():
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return os.open(path, flags & ~Windows.O_BINARY, mode, **options)


def handle_no_signals(*_: object) -> None:
    """Refuse, as the event loops of Windows do."""
    raise NotImplementedError


def wake_by_signals(loop: Any) -> None:
    """Let any signal wake a loop of the main thread, as the loops of Windows do by themselves."""
    make, close = loop._make_self_pipe, loop._close_self_pipe

    def make_self_pipe(self: Any) -> None:
        make(self)
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(self._csock.fileno())

    def close_self_pipe(self: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.set_wakeup_fd(-1)
        close(self)

    loop._make_self_pipe, loop._close_self_pipe = make_self_pipe, close_self_pipe


class Windows:
    """What Windows has and Linux lacks."""

    O_BINARY = 1 << 30


def simulate_windows() -> None:
    """Let mp4gen see Windows."""
    for name in ("remove", "rename", "replace", "unlink"):
        refuse_open_files(name)
    pipes: Any = multiprocessing.connection
    pipes.PipeConnection = pipes.Connection
    loop: Any = asyncio.SelectorEventLoop
    loop.add_signal_handler = loop.remove_signal_handler = handle_no_signals
    wake_by_signals(loop)
    views = {
        "msvcrt": Msvcrt("msvcrt"),
        "os": View(os, _WINDOWS_LACKS["os"], open=open_no_folder, O_BINARY=Windows.O_BINARY),
        "signal": View(signal, _WINDOWS_LACKS["signal"], SIGBREAK=signal.SIGQUIT),
        "socket": View(socket, _WINDOWS_LACKS["socket"], SO_EXCLUSIVEADDRUSE=socket.SO_REUSEADDR),
        "sys": View(sys, platform="win32"),
    }
    hook_imports(views, _WINDOWS_LACKS_MODULES)


# --- macOS ----------------------------------------------------------------------------------------


def get_macos_limit(number: int) -> tuple[int, int]:
    """Return a limit; no limit is another number there."""
    soft, hard = resource.getrlimit(number)
    return (
        _MACOS_INFINITY if soft == resource.RLIM_INFINITY else soft,
        # A new shell has no hard limit of open files.
        _MACOS_INFINITY
        if hard == resource.RLIM_INFINITY or number == resource.RLIMIT_NOFILE
        else hard,
    )


def set_macos_limit(number: int, limits: tuple[int, int]) -> None:
    """Set a limit, or refuse it as the kernel does: with EINVAL, of which Python makes this."""
    soft, hard = limits
    if number == resource.RLIMIT_AS or (
        number == resource.RLIMIT_NOFILE and soft > _MACOS_MAX_FILES
    ):
        raise ValueError("current limit exceeds maximum limit")
    real_hard = resource.getrlimit(number)[1]
    hard = real_hard if hard == _MACOS_INFINITY else hard
    resource.setrlimit(number, (soft if real_hard < 0 else min(soft, real_hard), hard))


def macos_fcntl(descriptor: int, command: int, *arguments: Any) -> Any:
    """Sync a file by its own command; network disks refuse it."""
    if command == _F_FULLFSYNC:
        os.fsync(descriptor)
        return 0
    return fcntl.fcntl(descriptor, command, *arguments)


def simulate_macos() -> None:
    """Let mp4gen see macOS."""
    views = {
        "errno": View(errno, ENOTSUP=_MACOS_ENOTSUP, EOPNOTSUPP=_MACOS_EOPNOTSUPP),
        "fcntl": View(fcntl, fcntl=macos_fcntl, F_FULLFSYNC=_F_FULLFSYNC),
        "os": View(os, _MACOS_LACKS["os"]),
        "resource": View(
            resource,
            getrlimit=get_macos_limit,
            setrlimit=set_macos_limit,
            RLIM_INFINITY=_MACOS_INFINITY,
        ),
        "signal": View(signal, _MACOS_LACKS["signal"]),
        "socket": View(socket, _MACOS_LACKS["socket"]),
        "sys": View(sys, platform="darwin"),
    }
    hook_imports(views, set())


if SYSTEM == "win32":
    simulate_windows()
elif SYSTEM == "darwin":
    simulate_macos()

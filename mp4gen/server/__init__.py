"""Serves the "Create Music Video" API on your own machine: `serve(ServerConfig(music=...))`."""

import typing

if typing.TYPE_CHECKING:
    from .app import Server, serve
    from .config import ServerConfig

__all__ = ["Server", "ServerConfig", "serve"]


def __getattr__(name: str) -> object:
    # Loaded on use: a worker needs the renderer only.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import app, config

    return getattr(config if name == "ServerConfig" else app, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Serves the "Create Music Video" API on your own machine: `serve(ServerConfig(music=...))`."""

import typing

from mp4gen import lazy

if typing.TYPE_CHECKING:
    from .app import Server, serve
    from .config import ServerConfig

__all__ = ["Server", "ServerConfig", "serve"]

if not typing.TYPE_CHECKING:
    # Loaded on use: a worker needs the renderer only.
    __getattr__, __dir__ = lazy.loader(__name__, __all__, ("config", "app"))

"""Serves the "Create Music Video" API on your own machine: `serve(ServerConfig(music=...))`."""

from .app import Server, serve
from .config import ServerConfig

__all__ = ["Server", "ServerConfig", "serve"]

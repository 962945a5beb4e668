"""Maps the page's requests to their handlers; handles none itself."""

from typing import Any

from aiohttp import web

from .page_assets import SessionHandler, require_session
from .page_state import PageState
from .page_tracks import PageTracks
from .page_uploads import PageUploads
from .page_videos import PageVideos
from .services import Services


class PageApi:
    """The page's requests; each needs a session.

    Args:
        services: The parts of the server.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._state, self._tracks = PageState(services), PageTracks(services)
        self._videos, self._uploads = PageVideos(services), PageUploads(services)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the page's scripts; all but GET need the session's token."""
        state, tracks, videos, uploads = self._state, self._tracks, self._videos, self._uploads
        return [
            self._route("GET", "/page/state", state.state),
            self._route("GET", "/page/library", state.library),
            self._route("GET", "/page/videos", state.videos),
            self._route("GET", "/page/events", state.events, allow_head=False),
            self._route("GET", "/page/cover", tracks.cover),
            self._route("GET", "/page/music", tracks.music),
            self._route("GET", "/page/preview", tracks.preview),
            self._route("GET", "/page/waveform", tracks.waveform),
            self._route("GET", "/page/thumbnail", videos.thumbnail),
            self._route("POST", "/page/videos", videos.create),
            self._route("DELETE", "/page/videos", videos.delete_all),
            self._route("PUT", "/page/videos/{task_id}", videos.keep),
            self._route("DELETE", "/page/videos/{task_id}", videos.delete),
            self._route("POST", "/page/videos/{task_id}/again", videos.repeat),
            self._route("POST", "/page/batches", videos.create_batch),
            self._route("DELETE", "/page/batches/{batch}", videos.stop_batch),
            self._route("POST", "/page/upload", uploads.song),
            self._route("POST", "/page/pictures", uploads.picture),
            self._route("POST", "/page/lyrics", uploads.lyrics),
        ]

    def _route(
        self, method: str, path: str, handler: SessionHandler, **options: Any
    ) -> web.RouteDef:
        sessions = self._services.sessions
        checked = require_session(sessions, handler, needs_csrf_token=method != "GET")
        return web.route(method, path, checked, **options)

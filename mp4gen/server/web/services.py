"""The parts of one running server, as its HTTP handlers take them; builds and starts none."""

import attrs

from mp4gen.server.config import ServerConfig
from mp4gen.server.counters import Counters
from mp4gen.server.data_dir import DataDirectory
from mp4gen.server.library.metadata_cache import MetadataCache
from mp4gen.server.library.reader import LibraryReader
from mp4gen.server.library.track_images import TrackImages
from mp4gen.server.queue.admission import Admission
from mp4gen.server.queue.scheduler import RenderScheduler
from mp4gen.server.queue.store import Store
from mp4gen.server.videos.video_store import VideoStore

from .accounts import Accounts
from .change_feed import ChangeFeed
from .key_guard import KeyGuard
from .music_links import MusicLinks
from .sessions import Sessions


@attrs.frozen(kw_only=True)
class Services:
    """What a handler may use: one field for each part of the server."""

    config: ServerConfig
    data: DataDirectory
    videos: VideoStore
    store: Store
    library: LibraryReader
    metadata_cache: MetadataCache
    images: TrackImages
    scheduler: RenderScheduler
    admission: Admission
    accounts: Accounts
    guard: KeyGuard
    sessions: Sessions
    links: MusicLinks
    feed: ChangeFeed
    counters: Counters

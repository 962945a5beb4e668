"""Where finished videos are kept: in the data directory, or in a bucket of an object storage."""

from mp4gen.errors import ConfigurationError
from mp4gen.server.config import ServerConfig
from mp4gen.server.data_dir import DataDirectory

from .folder import FolderVideos
from .video_store import VideoStore


def make_videos(config: ServerConfig, data: DataDirectory) -> VideoStore:
    """Return the place of the finished videos, which is still to be opened.

    Raises:
        ConfigurationError: A package is missing.
    """
    if config.bucket is None:
        return FolderVideos(data)
    try:
        from .bucket import Bucket
        from .bucket_videos import BucketVideos
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The setting files needs the package {error.name}. Run: pip install 'mp4gen[s3]'."
        ) from None
    return BucketVideos(Bucket(*config.bucket), data)

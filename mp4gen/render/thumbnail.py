"""Extract one image from a finished video. Knows nothing of how it was drawn."""

import os
from collections.abc import Callable

import av
from PIL import Image

from mp4gen.errors import RenderError

from .decode import display_name
from .options import PathLike


def extract_frame(video: PathLike, pick_time: Callable[[float], float]) -> Image.Image:
    """Return the frame that a video shows at a time, or its last frame if the time is later.

    Args:
        video: an MP4.
        pick_time: called with the video's duration in seconds; returns the time in seconds.

    Raises:
        RenderError: the file is missing or is not a video.
    """
    name, frame = display_name(video), None
    try:
        with av.open(os.fspath(video), "r") as file:
            time = pick_time((file.duration or 0) / av.time_base)
            file.seek(int(time * av.time_base))
            for frame in file.decode(video=0):
                if frame.time is None or frame.time >= time:
                    break
            if frame is not None:
                return frame.to_image()  # type: ignore[no-any-return, no-untyped-call]
    except (OSError, ValueError, IndexError) as error:
        raise RenderError(f"Cannot read the video: {name}. Render it again.") from error
    raise RenderError(f"The video has no frames: {name}. Render it again.")

"""Extract one image from a finished video. Knows nothing of how it was drawn."""

import os
from collections.abc import Callable

import av
from PIL import Image

from mp4gen.errors import RenderError

from .decode import display_name
from .options import PathLike

# Seconds to wait for a host.
_TIMEOUT = 10.0


def extract_frame(video: PathLike, pick_time: Callable[[float], float]) -> Image.Image:
    """Return the frame that a video shows at a time, or its last frame if the time is later.

    Args:
        video: an MP4: a file or an http(s) URL, whose query is never shown.
        pick_time: called with the video's duration in seconds; returns the time in seconds.

    Raises:
        RenderError: the video is missing or is not one, or its host does not answer.
    """
    name, frame = display_name(video).partition("?")[0], None
    try:
        with av.open(os.fspath(video), "r", timeout=_TIMEOUT) as file:
            time = pick_time((file.duration or 0) / av.time_base)
            file.seek(int(time * av.time_base))
            for frame in file.decode(video=0):
                if frame.time is None or frame.time >= time:
                    break
            if frame is not None:
                return frame.to_image()  # type: ignore[no-any-return, no-untyped-call]
    except (OSError, ValueError, IndexError) as error:
        raise RenderError(f"Cannot read the video: {name}. Render it again.") from error
    except av.FFmpegError:
        # Of a host; its text contains the whole URL.
        raise RenderError(f"Cannot get the video: {name}. Try again later.") from None
    raise RenderError(f"The video has no frames: {name}. Render it again.")

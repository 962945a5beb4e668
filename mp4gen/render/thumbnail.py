"""One picture out of a finished video; knows nothing of how it was drawn."""

from __future__ import annotations

import os
from collections.abc import Callable

import av
from PIL import Image

from mp4gen.errors import RenderError

from .options import PathLike


def extract_frame(video: PathLike, pick_time: Callable[[float], float]) -> Image.Image:
    """The picture that a video shows at a moment, or its last one where that is later.

    Args:
        video: an MP4.
        pick_time: told how many seconds the video plays, says at which of them.

    Raises:
        RenderError: it is not there, or no video.
    """
    try:
        with av.open(os.fspath(video), "r") as file:
            time = pick_time((file.duration or 0) / av.time_base)
            file.seek(int(time * av.time_base))
            frame = None
            for frame in file.decode(video=0):
                if frame.time is None or frame.time >= time:
                    break
            if frame is not None:
                return frame.to_image()  # type: ignore[no-any-return, no-untyped-call]
    except (OSError, ValueError, IndexError) as error:
        raise RenderError("the video cannot be read") from error
    raise RenderError("the video has no picture")

"""One picture out of a finished video; knows nothing of how it was drawn."""

from __future__ import annotations

import os
from collections.abc import Callable

import av
from PIL import Image

from mp4gen.errors import RenderError

from .options import PathLike


def frame_of(video: PathLike, moment: Callable[[float], float]) -> Image.Image:
    """The picture that a video shows at a moment, or its last one where that is later.

    Args:
        video: an MP4.
        moment: told how many seconds the video plays, says at which of them.

    Raises:
        RenderError: it is not there, or no video.
    """
    try:
        with av.open(os.fspath(video), "r") as file:
            at = moment((file.duration or 0) / av.time_base)
            file.seek(int(at * av.time_base))
            last = None
            for last in file.decode(video=0):
                if last.time is None or last.time >= at:
                    break
            if last is not None:
                return last.to_image()  # type: ignore[no-any-return, no-untyped-call]
    except (OSError, ValueError, IndexError) as error:
        raise RenderError("the video cannot be read") from error
    raise RenderError("the video has no picture")

"""Read image files that may be hostile, within limits, and convert them to sRGB. Draws nothing."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features

from mp4gen.errors import RenderError

from .colour import Bytes
from .decode import display_name
from .options import MAX_PICTURE_BYTES, PathLike

# Pillow before 11.3 does not know the feature.
_HAS_AVIF = "avif" in features.modules and features.check("avif")
FORMATS = ("PNG", "JPEG", "WEBP", *(["AVIF"] if _HAS_AVIF else []))
MAX_PIXELS = 40_000_000
_JPEG_QUALITY = 92
# What is seen through a transparent picture.
BEHIND = (24, 24, 28, 255)


@contextmanager
def open_picture(
    source: PathLike | bytes, kind: str, min_side: int = 1, formats: tuple[str, ...] = FORMATS
) -> Iterator[Image.Image]:
    """Open an image file, or the bytes of one, and close it in the end.

    Args:
        source: a path, or the content of a picture inside the audio file.
        kind: what the picture is for, such as "cover"; errors name it.
        min_side: pixels.
        formats: Pillow's names of the formats to accept.

    Raises:
        RenderError: the file is missing, too large or too small, or not one of `formats`; also
            while the picture is used, since its pixels are read late.
    """
    data, name = _bytes_of(source, kind)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=formats) as image:
                _check_size(image, name, min_side)
                yield image
    except RenderError:
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, MemoryError) as error:
        # AVIF is not offered: not every Pillow reads it.
        usable = "PNG, JPEG or WEBP" if len(formats) > 1 else formats[0]
        raise RenderError(f"Not a readable image: {name}. Use a {usable}.") from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name) from error


def read_picture(source: PathLike, kind: str, width: int, height: int) -> Bytes:
    """Read an image file as (height, width, 3) sRGB, scaled to fill that size and cropped.

    Raises:
        RenderError: as for `open_picture`.
    """
    with open_picture(source, kind) as image:
        profile = image.info.get("icc_profile")
        draft(image, 2 * width, 2 * height)
        upright = ImageOps.exif_transpose(image)
        filled = ImageOps.fit(upright, (width, height), Image.Resampling.LANCZOS)
        return np.asarray(flatten(to_srgb(filled, profile)))


def shrink_picture(source: PathLike | bytes, kind: str, max_side: int) -> bytes:
    """Return an image file as an upright JPEG in sRGB, with sides of at most `max_side` pixels.

    Raises:
        RenderError: as for `open_picture`.
    """
    with open_picture(source, kind) as image:
        profile = image.info.get("icc_profile")
        draft(image, max_side, max_side)
        upright = ImageOps.exif_transpose(image)
        upright.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        flatten(to_srgb(upright, profile)).save(file, "JPEG", quality=_JPEG_QUALITY)
        return file.getvalue()


def draft(image: Image.Image, width: int, height: int) -> None:
    """Let a JPEG be decoded at a smaller size, but at least width x height."""
    if image.format == "JPEG":
        image.draft("RGB", (width, height))


def _check_size(image: Image.Image, name: str, min_side: int) -> None:
    # Only the header has been read: a decompression bomb is refused before it is decompressed.
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels(name)
    if min(image.size) < min_side:
        raise RenderError(
            f"The image is too small: {name}. Use at least {min_side} pixels for each side."
        )


def _too_many_pixels(name: str) -> RenderError:
    limit = MAX_PIXELS // 1_000_000
    return RenderError(f"The image has too many pixels: {name}. Use at most {limit} million.")


def _bytes_of(source: PathLike | bytes, kind: str) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, f"the {kind}"
    file, name = Path(os.fspath(source)), display_name(source)
    try:
        if not file.is_file():
            raise RenderError(f"The {kind} does not exist: {name}. Check the path.")
        if file.stat().st_size > MAX_PICTURE_BYTES:
            limit = MAX_PICTURE_BYTES >> 20
            raise RenderError(f"The {kind} is too large: {name}. Use at most {limit} MB.")
        return file.read_bytes(), name
    except (OSError, ValueError) as error:
        raise RenderError(f"Cannot read the {kind}: {name}. Use another image.") from error


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an image from its ICC profile, if it has a valid one."""
    if not profile:
        return image
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    mode = image.mode if image.mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode=mode) or image
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return image


def flatten(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to 8-bit RGB, over a dark colour if it is transparent."""
    if image.mode.startswith("I"):
        # `convert` would clip 16-bit grey at the 8th bit.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, BEHIND), clear).convert("RGB")
    return image.convert("RGB")

"""Pictures of the user's for backgrounds: every kind of file, and those that are refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, picture
from mp4gen.render.picture import read_picture
from mp4gen.render.preparation import RenderRequest, check_request

RED, BLUE = (200, 30, 40), (20, 40, 220)


def halves(size: tuple[int, int], left: object, right: object, mode: str = "RGB") -> Image.Image:
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


def colours(path: Path, width: int = 40, height: int = 20) -> list[tuple[int, ...]]:
    """Return the colours near the left and the right edge."""
    pixels = read_picture(path, "background", width, height)
    assert pixels.shape == (height, width, 3)
    return [tuple(pixels[height // 2, column].tolist()) for column in (2, width - 3)]


@pytest.mark.parametrize("size", [(400, 200), (200, 200), (90, 400), (7, 3), (3000, 50)])
def test_picture_of_any_size_fills_the_frame(tmp_path, size):
    """It is scaled without being stretched, and what is outside is cropped."""
    halves(size, RED, BLUE).save(tmp_path / "p.png")

    left, right = colours(tmp_path / "p.png")

    assert np.abs(np.subtract(left, RED)).max() < 25
    assert np.abs(np.subtract(right, BLUE)).max() < 25


def test_picture_is_turned_upright(tmp_path):
    """A camera stores the orientation apart."""
    exif = Image.Exif()
    exif[0x0112] = 6
    halves((200, 400), RED, BLUE).rotate(90, expand=True).save(tmp_path / "p.jpg", exif=exif)

    left, right = colours(tmp_path / "p.jpg", 20, 40)

    assert left[0] > 150 > left[2]
    assert right[2] > 150 > right[0]


def test_picture_of_other_colours_is_converted(tmp_path):
    """Inks, a profile, 16 bits, a palette and transparency become plain colours."""
    inks = Image.new("CMYK", (40, 20), (0, 255, 255, 0))
    inks.save(tmp_path / "inks.jpg", quality=95)
    grey = Image.fromarray(np.full((20, 40), 40000, np.uint16))
    grey.save(tmp_path / "deep.png")
    Image.new("RGBA", (40, 20), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    Image.new("P", (40, 20)).save(tmp_path / "palette.png")
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("RGB", (40, 20), RED).save(tmp_path / "odd.png", icc_profile=lab)

    assert np.abs(np.subtract(colours(tmp_path / "inks.jpg")[0], (255, 0, 0))).max() < 40
    assert colours(tmp_path / "deep.png")[0] == (156, 156, 156)
    assert colours(tmp_path / "clear.png")[0] == (24, 24, 28)
    assert colours(tmp_path / "palette.png")[0] == (0, 0, 0)
    assert colours(tmp_path / "odd.png")[0] == RED


def test_first_frame_of_an_animation_is_used(tmp_path):
    """The background does not move."""
    first, second = (Image.new("RGB", (40, 20), colour) for colour in (RED, BLUE))
    first.save(tmp_path / "p.webp", save_all=True, append_images=[second], lossless=True)

    assert colours(tmp_path / "p.webp")[0] == RED


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no image", "Not a readable image: p.png. Use a PNG, JPEG or WEBP"),
        (bytes(200), "The background is too large: p.png. Use at most"),
        (png(50, 50), "The image has too many pixels: p.png"),
    ],
)
def test_unusable_background_is_refused(tmp_path, monkeypatch, content, sentence):
    """The error names the file and what to do, and no audio is read before."""
    (tmp_path / "p.png").write_bytes(content)
    monkeypatch.setattr(picture, "MAX_PICTURE_BYTES", 199)
    monkeypatch.setattr(picture, "MAX_PIXELS", 2000)
    style = RenderStyle(width=160, height=160, background=tmp_path / "p.png")
    request = RenderRequest(None, None, None, None, style, 10.0)

    with pytest.raises(RenderError, match=sentence):
        check_request(request)

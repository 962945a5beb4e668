"""Covers: read with care, made where there is none, and handed on in the MP4's own tags."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import av
import numpy as np
import pytest
from PIL import Image

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, probe, render_cover, render_frame, render_video
from mp4gen.render.colour import dominant_accent, oklch_to_rgb, rgb_to_yuv420, yuv420_to_rgb
from mp4gen.render.cover import generate_cover, read_cover
from mp4gen.render.layout import layout_for

SMALL = RenderStyle(width=320, height=180, threads=1)


def picture(kind: str = "JPEG", size: tuple[int, int] = (64, 64), colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims to be huge and is small."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def cover_colour(frame: Image.Image) -> tuple[int, int, int]:
    cover = layout_for(320, 180).cover
    red, green, blue = frame.getpixel(
        ((cover.left + cover.right) // 2, (cover.top + cover.bottom) // 2)
    )
    return red, green, blue


@pytest.mark.parametrize("ending", [".mp3", ".m4a", ".flac"])
def test_the_tags_of_the_music_are_shown_and_handed_on(tools, tmp_path, ending):
    """Title, artist and cover come from the file and are found in the MP4 again."""
    music = tools.encode(
        tmp_path / f"t{ending}",
        tools.tone(1.5),
        tags={"title": "Tone", "artist": "Oscillator"},
        cover=picture(),
    )
    video = tmp_path / "o.mp4"

    render_video(music, video, style=SMALL)

    info = probe(music)
    assert (info.title, info.artist, info.has_cover) == ("Tone", "Oscillator", True)
    red, green, blue = cover_colour(render_frame(music, time=1.0, style=SMALL))
    assert red > 200
    assert max(green, blue) < 60
    with av.open(str(video)) as container:
        tags = dict(container.metadata)
        attached = [s for s in container.streams.video if s.codec_context.name == "mjpeg"]
        data = next(bytes(p) for p in container.demux(attached[0]) if p.size)
    assert (tags["title"], tags["artist"], tags["comment"]) == ("Tone", "Oscillator", "mp4gen")
    assert "encoder" in tags
    assert Image.open(io.BytesIO(data)).getpixel((20, 20))[0] > 200


@pytest.mark.parametrize(("given", "kept"), [(2000, 640), (600, 600), (100, 100), (20, 78)])
def test_the_cover_in_the_tags_is_larger_than_on_the_screen(tone_wav, tmp_path, given, kept):
    """Up to 640 pixels where the picture has them; never fewer than are shown."""
    own, video = tmp_path / "own.png", tmp_path / "o.mp4"
    own.write_bytes(picture("PNG", (given, given)))

    render_video(tone_wav, video, style=SMALL, cover=own, title="T")

    with av.open(str(video)) as container:
        attached = [s for s in container.streams.video if s.codec_context.name == "mjpeg"]
        data = next(bytes(p) for p in container.demux(attached[0]) if p.size)
    assert Image.open(io.BytesIO(data)).size == (kept, kept)


def test_the_square_picture_can_be_had_alone(tools, tmp_path):
    """The file's own cover, or the one made from its sound, at any size."""
    own = tools.encode(tmp_path / "own.m4a", tools.tone(1.0), cover=picture())
    bare = tools.encode(tmp_path / "bare.m4a", tools.tone(1.0))

    red, made = (Image.open(io.BytesIO(render_cover(path, 96))) for path in (own, bare))

    assert red.size == made.size == (96, 96)
    assert red.getpixel((48, 48))[0] > 200
    assert np.asarray(made).std() > 3


def test_what_is_given_wins_over_the_tags(tools, tmp_path):
    """Options replace the file's words, an empty one removes them."""
    music = tools.encode(
        tmp_path / "t.mp3", tools.tone(1.0), tags={"title": "Tone", "artist": "Oscillator"}
    )
    video = tmp_path / "o.mp4"

    render_video(music, video, style=SMALL, title="Other", author="")

    with av.open(str(video)) as container:
        assert container.metadata["title"] == "Other"
        assert "artist" not in container.metadata


def test_a_given_cover_wins_over_the_files(tools, tmp_path):
    """The option is what is shown."""
    music = tools.encode(tmp_path / "t.m4a", tools.tone(1.0), cover=picture())
    own = tmp_path / "own.png"
    own.write_bytes(picture("PNG", colour="blue"))

    red, _, blue = cover_colour(render_frame(music, time=0.5, style=SMALL, cover=own, title="T"))

    assert blue > 200
    assert red < 60


@pytest.mark.parametrize(
    ("inside", "sentence"),
    [
        (picture()[:60], "own cover is not a PNG, JPEG or WEBP"),
        (bomb(30000, 30000), "own cover has too many pixels"),
    ],
)
def test_a_broken_cover_inside_the_music_costs_a_warning(tools, tmp_path, inside, sentence):
    """The music is good, so a picture is made from it; a bomb is not unpacked."""
    music = tools.encode(tmp_path / "t.m4a", tools.tone(1.0), cover=inside)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    assert sentence in result.warnings[0]
    assert "made from the music" in result.warnings[0]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("text.png", b"no picture at all", "is not a PNG, JPEG or WEBP"),
        ("cut.png", picture("PNG")[:50], "is not a PNG, JPEG or WEBP"),
        ("vector.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a PNG, JPEG or WEBP"),
        ("gif.png", picture("GIF"), "is not a PNG, JPEG or WEBP"),
        ("bomb.png", bomb(30000, 30000), "too many pixels: 40 million"),
        ("below.png", bomb(9000, 9000), "too many pixels: 40 million"),
        ("none.png", None, "does not exist"),
    ],
)
def test_a_cover_that_is_none_is_refused_before_any_work(tone_wav, tmp_path, name, data, sentence):
    """One sentence; a bomb is refused by its header, unpacked never."""
    cover = tmp_path / name
    if data is not None:
        cover.write_bytes(data)

    with pytest.raises(RenderError, match=sentence):
        render_video(tone_wav, tmp_path / "o.mp4", style=SMALL, cover=cover)

    assert not (tmp_path / "o.mp4").exists()


def test_upright_and_clear_covers_are_made_to_fit(tmp_path):
    """The middle of an upright picture is shown; what is see-through becomes dark."""
    upright = Image.new("RGB", (100, 300), "blue")
    upright.paste((255, 0, 0), (0, 100, 100, 200))
    upright.save(tmp_path / "upright.png")
    Image.new("RGBA", (50, 50), (255, 255, 255, 0)).save(tmp_path / "clear.webp", lossless=True)

    red = read_cover(tmp_path / "upright.png", 60)
    dark = read_cover(tmp_path / "clear.webp", 60)

    assert red.shape == dark.shape == (60, 60, 3)
    assert red[30, 30].tolist() == [255, 0, 0]
    assert dark.max() < 60


def test_covers_are_read_whatever_their_depth_and_turn(tmp_path):
    """Sixteen bits of grey stay grey, inks become light, and a turned photo is turned back."""
    Image.fromarray(np.full((50, 50), 0x4000, np.uint16)).save(tmp_path / "deep.png")
    Image.new("CMYK", (50, 50), (0, 255, 255, 0)).save(tmp_path / "inks.jpg")
    turned, exif = Image.new("RGB", (50, 50), "red"), Image.Exif()
    turned.paste((0, 0, 255), (0, 0, 50, 25))
    exif[0x112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif.tobytes(), quality=95)

    deep, inks, photo = (
        read_cover(tmp_path / name, 50) for name in ("deep.png", "inks.jpg", "turned.jpg")
    )

    assert np.unique(deep).tolist() == [0x40]
    assert np.abs(inks[25, 25].astype(int) - (255, 0, 0)).max() < 6
    assert (photo[25, 10, 0], photo[25, 40, 2]) > (240, 240)
    assert (photo[25, 10, 2], photo[25, 40, 0]) < (15, 15)


@pytest.mark.parametrize("ending", [".ogg", ".opus"])
def test_a_cover_in_ogg_comments_is_found(tools, tmp_path, ending):
    """There a picture is a comment of its own, in base 64."""
    head = struct.pack(">II", 3, 10) + b"image/jpeg" + struct.pack(">5I", 0, 64, 64, 24, 0)
    block = head + struct.pack(">I", len(picture())) + picture()
    tags = {"title": "Tone", "METADATA_BLOCK_PICTURE": base64.b64encode(block).decode()}
    music = tools.encode(tmp_path / f"t{ending}", tools.tone(1.0, 48000), 48000, tags=tags)

    red, green, blue = cover_colour(render_frame(music, time=0.5, style=SMALL))

    assert probe(music).has_cover
    assert red > 200
    assert max(green, blue) < 60


def test_a_video_is_music_too(tools, tmp_path):
    """Its sound is taken, and none of its moving pictures for a cover."""
    music = tools.encode(
        tmp_path / "t.m4a", tools.tone(1.0), tags={"title": "Tone"}, cover=picture()
    )
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    render_video(music, first, style=SMALL)

    result = render_video(first, second, style=SMALL)

    assert result.warnings == ()
    assert result.audio_copied
    assert tools.packet_bytes(second) == tools.packet_bytes(music)
    red, green, blue = cover_colour(render_frame(first, time=0.5, style=SMALL))
    assert red > 200
    assert max(green, blue) < 60


def test_a_made_cover_belongs_to_its_music():
    """One seed, one picture; another seed, another hue."""
    first, hue = generate_cover(b"12345678", 96)
    again, _ = generate_cover(b"12345678", 96)
    other, other_hue = generate_cover(b"87654321", 96)

    np.testing.assert_array_equal(first, again)
    assert hue != other_hue
    assert np.abs(first - other).mean() > 0.02


def test_bars_take_the_hue_of_the_cover():
    """A red, a blue and a colourless cover give what they are."""
    for hue in (25.0, 140.0, 265.0):
        cover = np.broadcast_to(oklch_to_rgb(0.6, 0.14, hue), (32, 32, 3)).astype(np.float32)
        accent = dominant_accent(cover, 0.0)
        assert abs((accent.hue - hue + 180) % 360 - 180) < 8
        assert accent.strength == 1.0
    grey = dominant_accent(np.full((32, 32, 3), 0.5, np.float32), 77.0)
    assert (grey.hue, grey.strength) == (77.0, pytest.approx(0.08))


def test_the_sweep_has_no_grey_in_its_middle():
    """Neighbouring hues keep their strength all the way."""
    colours = dominant_accent(
        np.broadcast_to(oklch_to_rgb(0.6, 0.14, 300.0), (8, 8, 3)).astype(np.float32), 0.0
    ).sweep(64)

    spread = colours.max(axis=1) - colours.min(axis=1)
    assert spread.min() > 0.2


def test_planes_hold_the_colours_they_are_made_of():
    """BT.709 in limited range and back is true to a level or two."""
    chance = np.random.default_rng(2)
    colours = chance.random((8, 8, 3)).astype(np.float32).repeat(4, 0).repeat(4, 1)

    planes = rgb_to_yuv420(colours.copy())

    assert planes[0].shape == (32, 32)
    assert planes[1].shape == planes[2].shape == (16, 16)
    assert planes[0].min() >= 16
    assert planes[0].max() <= 235
    assert np.abs(yuv420_to_rgb(planes) / 255 - colours).max() < 0.03


def test_a_dark_gradient_is_dithered():
    """Between two levels the picture wavers, so no step is seen."""
    ramp = np.linspace(0.1, 0.12, 64, dtype=np.float32)
    luma, _, _ = rgb_to_yuv420(np.broadcast_to(ramp[None, :, None], (64, 64, 3)).copy())

    assert 4 <= len(np.unique(luma)) <= 8
    assert sum(len(np.unique(column)) > 1 for column in luma.T) > 48

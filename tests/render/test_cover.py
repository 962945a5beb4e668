"""Tests of covers: read, generated, shown and stored in the MP4's tags."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from av.container import OutputContainer
from mutagen.apev2 import APEBinaryValue
from mutagen.id3 import APIC, ID3
from mutagen.wavpack import WavPack
from PIL import Image, ImageCms

from mp4gen.errors import RenderError
from mp4gen.render import RenderStyle, probe, render_cover, render_frame, render_video
from mp4gen.render.colour import dominant_accent, oklch_to_rgb, rgb_to_yuv420, yuv420_to_rgb
from mp4gen.render.cover import generate_cover, generated_hue, read_cover
from mp4gen.render.looks.bars import layout_for
from mp4gen.render.picture import FORMATS
from mp4gen.render.tags import read_tags

SMALL = RenderStyle(width=320, height=180)


def image_file(kind: str = "JPEG", size: tuple[int, int] = (64, 64), colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, kind)
    return file.getvalue()


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG that claims to be huge."""

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


def tag_cover(video: Path) -> Image.Image:
    """Return the cover among an MP4's tags."""
    with av.open(str(video)) as container:
        stream = next(s for s in container.streams.video if s.codec_context.name == "mjpeg")
        data = next(bytes(packet) for packet in container.demux(stream) if packet.size)
    return Image.open(io.BytesIO(data))


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".mp3", ".m4a", ".flac"])
def test_tags_of_the_audio_are_shown_and_kept(tools, tmp_path, ending):
    """Title, artist and cover come from the file and are in the MP4."""
    music = tools.encode(
        tmp_path / f"t{ending}",
        tools.tone(1.5),
        tags={"title": "Tone", "artist": "Oscillator"},
        cover=image_file(),
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
    assert (tags["title"], tags["artist"], tags["comment"]) == ("Tone", "Oscillator", "mp4gen")
    assert "encoder" in tags
    assert tag_cover(video).getpixel((20, 20))[0] > 200


@pytest.mark.slow
@pytest.mark.parametrize(("side", "kept"), [(2000, 640), (600, 600), (100, 100), (20, 76)])
def test_tag_cover_keeps_up_to_640_pixels(tone_wav, tmp_path, side, kept):
    """The cover in the tags is never smaller than the one shown."""
    own, video = tmp_path / "own.png", tmp_path / "o.mp4"
    own.write_bytes(image_file("PNG", (side, side)))

    render_video(tone_wav, video, style=SMALL, cover=own, title="T")

    assert tag_cover(video).size == (kept, kept)


@pytest.mark.slow
def test_render_cover_returns_own_or_generated_cover(tools, tmp_path):
    """Both come in the requested size."""
    own = tools.encode(tmp_path / "own.m4a", tools.tone(1.0), cover=image_file())
    bare = tools.encode(tmp_path / "bare.m4a", tools.tone(1.0))

    red, made = (Image.open(io.BytesIO(render_cover(path, 96))) for path in (own, bare))

    assert red.size == made.size == (96, 96)
    assert red.getpixel((48, 48))[0] > 200
    assert np.asarray(made).std() > 3


def test_options_override_the_tags(tools, tmp_path):
    """An option replaces a tag; an empty one removes it."""
    music = tools.encode(
        tmp_path / "t.mp3", tools.tone(1.0), tags={"title": "Tone", "artist": "Oscillator"}
    )
    video = tmp_path / "o.mp4"

    render_video(music, video, style=SMALL, title="Other", author="")

    with av.open(str(video)) as container:
        assert container.metadata["title"] == "Other"
        assert "artist" not in container.metadata


def test_cover_option_overrides_the_attached_cover(tools, tmp_path):
    """The option is shown."""
    music = tools.encode(tmp_path / "t.m4a", tools.tone(1.0), cover=image_file())
    own = tmp_path / "own.png"
    own.write_bytes(image_file("PNG", colour="blue"))

    red, _, blue = cover_colour(render_frame(music, time=0.5, style=SMALL, cover=own, title="T"))

    assert blue > 200
    assert red < 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inside", "sentence"),
    [
        (image_file()[:60], "Not a readable image: the cover in the audio file"),
        (bomb(30000, 30000), "The image has too many pixels: the cover in the audio file"),
    ],
)
def test_broken_attached_cover_gives_a_warning(tools, tmp_path, inside, sentence):
    """A generated cover is shown; a bomb is not decompressed."""
    music = tools.encode(tmp_path / "t.m4a", tools.tone(1.0), cover=inside)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    assert sentence in result.warnings[0]
    assert "generated from the audio" in result.warnings[0]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("text.png", b"not an image at all", "Not a readable image"),
        ("cut.png", image_file("PNG")[:50], "Not a readable image"),
        ("vector.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "Not a readable image"),
        ("gif.png", image_file("GIF"), "Not a readable image"),
        ("bomb.png", bomb(30000, 30000), "Use at most 40 million"),
        ("below.png", bomb(9000, 9000), "Use at most 40 million"),
        ("none.png", None, r"The cover does not exist: none\.png"),
    ],
)
def test_invalid_cover_option_is_refused_first(tone_wav, tmp_path, name, data, sentence):
    """The error comes before the analysis; a bomb is never decompressed."""
    cover = tmp_path / name
    if data is not None:
        cover.write_bytes(data)

    with pytest.raises(RenderError, match=sentence):
        render_video(tone_wav, tmp_path / "o.mp4", style=SMALL, cover=cover)

    assert not (tmp_path / "o.mp4").exists()


def test_cover_that_is_not_square_keeps_its_sides(tmp_path):
    """All of it is shown, over its own blur; no bar is black."""
    upright = Image.new("RGB", (100, 300), "blue")
    upright.paste((255, 0, 0), (0, 0, 100, 20))
    upright.save(tmp_path / "upright.png")

    shown = read_cover(tmp_path / "upright.png", 60).astype(int)

    assert shown.shape == (60, 60, 3)
    assert shown[1, 30, 0] > 200
    assert shown[57, 30].tolist() == [0, 0, 255]
    assert 100 < shown[30, 5, 2] < 200


def test_cover_that_is_almost_square_is_cropped(tmp_path):
    """A hair of blur at two sides would look like a fault."""
    Image.new("RGB", (300, 290), "red").save(tmp_path / "almost.png")

    assert np.unique(read_cover(tmp_path / "almost.png", 60), axis=0).tolist() == [
        [[255, 0, 0]] * 60
    ]


def test_transparent_cover_is_made_opaque(tmp_path):
    """Its clear parts become dark."""
    Image.new("RGBA", (50, 50), (255, 255, 255, 0)).save(tmp_path / "clear.webp", lossless=True)

    assert read_cover(tmp_path / "clear.webp", 60).max() < 60


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_converted_from_the_covers_icc_profile(tmp_path, mode):
    """An image in a profile that swaps nothing but gamma is lighter or darker in sRGB."""
    grey = Image.new(mode, (50, 50), (128, 128, 128, 255)[: len(mode)])
    grey.save(tmp_path / "linear.png", icc_profile=linear_profile())
    grey.save(tmp_path / "plain.png", icc_profile=b"not a profile")

    linear, plain = (read_cover(tmp_path / name, 50) for name in ("linear.png", "plain.png"))

    assert linear[25, 25] == pytest.approx([188, 188, 188], abs=2)
    assert plain[25, 25].tolist() == [128, 128, 128]


def linear_profile() -> bytes:
    """Return the ICC profile of sRGB's colours with a gamma of 1."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        tag, place, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            # A curve without points is a straight line.
            profile[place : place + size] = (b"curv" + bytes(8)).ljust(size, b"\0")[:size]
    return bytes(profile)


def picture(kind: int, data: bytes, mime: str = "image/jpeg") -> APIC:
    return APIC(encoding=0, mime=mime, type=kind, desc=str(kind), data=data)


def mp3_with(tools, folder: Path, pictures: list[APIC]) -> Path:
    music = tools.encode(folder / "t.mp3", tools.tone(1.0))
    tags = ID3()
    for added in pictures:
        tags.add(added)
    tags.save(music)
    return music


RED, BLUE, TINY = image_file(), image_file(colour="blue"), image_file("PNG", (32, 32), "blue")


@pytest.mark.parametrize(
    "pictures",
    [
        [picture(4, BLUE), picture(3, RED)],
        [picture(1, TINY, "image/png"), picture(0, RED)],
        [picture(2, BLUE), picture(0, RED)],
        [picture(3, BLUE[:60]), picture(4, RED)],
        [picture(3, b"http://127.0.0.1:9/x.jpg", "-->"), picture(0, RED)],
        [picture(3, RED, "")],
    ],
    ids="back-first icon-first other-icon-first broken-first link-first no-type".split(),
)
def test_front_cover_is_shown_whatever_comes_first(tools, tmp_path, pictures):
    """A back cover, an icon, a broken picture and a link give way to a usable one."""
    music = mp3_with(tools, tmp_path, pictures)

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    red, green, blue = cover_colour(render_frame(music, time=0.5, style=SMALL))
    assert result.warnings == ()
    assert red > 200
    assert max(green, blue) < 60


def test_icon_alone_gives_a_generated_cover(tools, tmp_path):
    """32 pixels are not enough for 300."""
    music = mp3_with(tools, tmp_path, [picture(1, TINY, "image/png")])

    result = render_video(music, tmp_path / "o.mp4", style=SMALL)

    assert "The image is too small: the cover in the audio file" in result.warnings[0]


@pytest.mark.skipif("AVIF" not in FORMATS, reason="Pillow without AVIF")
def test_avif_cover_is_shown(tools, tmp_path):
    """Newer programs attach it."""
    music = mp3_with(tools, tmp_path, [picture(3, image_file("AVIF"), "image/avif")])

    assert cover_colour(render_frame(music, time=0.5, style=SMALL))[0] > 200


def test_picture_in_an_unsynchronised_tag_is_whole(tools, tmp_path):
    """Each 0xFF of it is followed by a zero that is not part of it."""
    music = tools.encode(tmp_path / "t.mp3", tools.tone(1.0))
    jpeg = image_file()
    body = b"\0image/jpeg\0\x03\0" + jpeg
    frame = (b"APIC" + len(body).to_bytes(4, "big") + bytes(2) + body).replace(b"\xff", b"\xff\0")
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    music.write_bytes(b"ID3\x03\0\x80" + size + frame + music.read_bytes())

    assert read_tags(music).covers == (jpeg,)


def test_cover_in_the_older_ogg_comment_is_found(tools, tmp_path):
    """COVERART holds the image alone, in base 64."""
    tags = {"COVERART": base64.b64encode(RED).decode(), "METADATA_BLOCK_PICTURE": "broken"}
    music = tools.encode(tmp_path / "t.ogg", tools.tone(1.0), tags=tags)

    assert read_tags(music).covers == (RED,)


def test_front_cover_of_a_wavpack_file_comes_first(tools, tmp_path):
    """APEv2 names the kind of each picture, and lists several artists."""
    music = tools.encode(tmp_path / "t.wv", tools.tone(0.6), kind="wavpack")
    file = WavPack(music)
    file["Artist"] = ["Anna", "Béla"]
    file["Cover Art (Back)"] = APEBinaryValue(b"back.jpg\0" + BLUE)
    file["Cover Art (Front)"] = APEBinaryValue(b"front.jpg\0" + RED)
    file.save()

    tags = read_tags(music)

    assert (tags.artist, tags.covers) == ("Anna, Béla", (RED, BLUE))


@pytest.mark.skipif(not hasattr(OutputContainer, "add_attachment"), reason="needs PyAV 16")
def test_front_cover_of_a_matroska_file_comes_first(tmp_path):
    """Matroska has no kinds: the front cover is the attachment named cover."""
    music = tmp_path / "t.mka"
    with av.open(str(music), "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        for name, data in (("back.jpg", BLUE), ("cover.jpg", RED)):
            output.add_attachment(name, "image/jpeg", data)
        frame = av.AudioFrame("s16", "mono", 8000)
        frame.sample_rate, frame.pts = 8000, 0
        output.mux(stream.encode(frame))

    assert read_tags(music).covers == (RED, BLUE)


def test_cover_reads_16_bit_cmyk_and_rotated_images(tmp_path):
    """Grey keeps its level, CMYK becomes RGB, EXIF rotation is applied."""
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
def test_cover_in_ogg_comments_is_found(tools, tmp_path, ending):
    """Ogg stores the image in a comment, in base 64."""
    head = struct.pack(">II", 3, 10) + b"image/jpeg" + struct.pack(">5I", 0, 64, 64, 24, 0)
    block = head + struct.pack(">I", len(image_file())) + image_file()
    tags = {"title": "Tone", "METADATA_BLOCK_PICTURE": base64.b64encode(block).decode()}
    music = tools.encode(tmp_path / f"t{ending}", tools.tone(1.0, 48000), 48000, tags=tags)

    red, green, blue = cover_colour(render_frame(music, time=0.5, style=SMALL))

    assert probe(music).has_cover
    assert red > 200
    assert max(green, blue) < 60


def test_video_input_gives_its_audio_and_cover(tools, tmp_path):
    """The moving frames are not taken for a cover."""
    music = tools.encode(
        tmp_path / "t.m4a", tools.tone(1.0), tags={"title": "Tone"}, cover=image_file()
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


def test_generated_cover_depends_on_its_seed():
    """One seed, one image; another seed, another hue."""
    seeds = b"12345678", b"12345678", b"87654321"

    first, again, other = (generate_cover(seed, 96) for seed in seeds)

    np.testing.assert_array_equal(first, again)
    assert generated_hue(seeds[0]) != generated_hue(seeds[2])
    assert np.abs(first - other).mean() > 0.02


def test_accent_has_the_hue_of_the_cover():
    """A coloured and a grey cover give their own hue and strength."""
    for hue in (25.0, 140.0, 265.0):
        cover = np.broadcast_to(oklch_to_rgb(0.6, 0.14, hue), (32, 32, 3)).astype(np.float32)
        accent = dominant_accent(cover, 0.0)
        assert abs((accent.hue - hue + 180) % 360 - 180) < 8
        assert accent.strength == 1.0
    grey = dominant_accent(np.full((32, 32, 3), 0.5, np.float32), 77.0)
    assert (grey.hue, grey.strength) == (77.0, pytest.approx(0.08))


def test_accent_sweep_stays_colourful():
    """Neighbouring hues keep their strength throughout."""
    colours = dominant_accent(
        np.broadcast_to(oklch_to_rgb(0.6, 0.14, 300.0), (8, 8, 3)).astype(np.float32), 0.0
    ).sweep(64)

    spread = colours.max(axis=1) - colours.min(axis=1)
    assert spread.min() > 0.2


def test_yuv420_round_trip_keeps_colours():
    """BT.709 in limited range and back is exact to a level or two."""
    rng = np.random.default_rng(2)
    colours = rng.random((8, 8, 3)).astype(np.float32).repeat(4, 0).repeat(4, 1)

    planes = rgb_to_yuv420(colours.copy())

    assert planes[0].shape == (32, 32)
    assert planes[1].shape == planes[2].shape == (16, 16)
    assert planes[0].min() >= 16
    assert planes[0].max() <= 235
    assert np.abs(yuv420_to_rgb(planes) / 255 - colours).max() < 0.03


def test_dark_gradient_is_dithered():
    """Between two levels the pixels alternate, so no band is visible."""
    ramp = np.linspace(0.1, 0.12, 64, dtype=np.float32)
    luma, _, _ = rgb_to_yuv420(np.broadcast_to(ramp[None, :, None], (64, 64, 3)).copy())

    assert 4 <= len(np.unique(luma)) <= 8
    assert sum(len(np.unique(column)) > 1 for column in luma.T) > 48

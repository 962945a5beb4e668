"""Draw the pictures of the page about backgrounds.

    python .docs/background_pictures.py MUSIC

Run it after each change of the drawing, and look at the pictures.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mp4gen.render import RenderStyle, fonts, render_frame

DOCS = Path(__file__).parent
PICTURES = DOCS / "pages" / "pictures"
SIZE = 480, 270
SECOND = 60.7


def ridge(x: np.ndarray, seed: int, rough: float) -> np.ndarray:
    """Return the height of mountains along x, about 0."""
    rng = np.random.default_rng(seed)
    waves = [(np.sin(x * 2**n * 3 + rng.uniform(0, 7)), 0.6**n) for n in range(7)]
    return rough * sum(wave * share for wave, share in waves)


def blend(under: np.ndarray, over: tuple[float, ...], share: np.ndarray) -> np.ndarray:
    """Mix a colour into an image (h, w, 3)."""
    return under + (np.array(over) - under) * np.clip(share, 0, 1)[..., None]


def sunset(side: int) -> Image.Image:
    """Draw the cover: a low sun over mountains in haze."""
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    sky = np.full((side, side, 3), (0.27, 0.35, 0.58))
    sky = blend(sky, (0.62, 0.45, 0.72), y * 2.6)
    sky = blend(sky, (1.0, 0.62, 0.58), (y - 0.25) * 3.2)
    sky = blend(sky, (1.0, 0.90, 0.66), np.exp(-(((x - 0.66) ** 2 + (y - 0.5) ** 2) / 0.03)))
    sky = blend(sky, (1.0, 0.98, 0.90), (0.062 - np.hypot(x - 0.66, y - 0.5)) * side / 3)
    tones = ((0.76, 0.46, 0.55), (0.52, 0.34, 0.50), (0.32, 0.23, 0.40), (0.10, 0.08, 0.17))
    for number, tone in enumerate(tones):
        edge = 0.56 + 0.11 * number + ridge(x, number + 3, 0.012 + 0.006 * number)
        haze = blend(np.full_like(sky, tone), (1.0, 0.74, 0.66), 0.35 - (y - edge) * 3)
        sky = sky + (haze - sky) * np.clip((y - edge) * side / 2, 0, 1)[..., None]
    return Image.fromarray((np.clip(sky, 0, 1) * 255).astype(np.uint8))


def aurora(width: int, height: int) -> Image.Image:
    """Draw the picture: northern lights over a lake."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : width / height : width * 1j]
    rng = np.random.default_rng(8)
    night = blend(np.full((height, width, 3), (0.03, 0.03, 0.12)), (0.02, 0.20, 0.30), y * 1.5)
    rays = np.repeat(rng.random((1, width // 6 + 1)), 6, axis=1)[:, :width] * 0.35 + 0.65
    for number, tone in enumerate(((0.15, 0.95, 0.62), (0.25, 0.80, 0.85), (0.45, 0.35, 0.85))):
        low = 0.46 - 0.10 * number + ridge(x, number + 20, 0.05)
        light = np.exp(-np.clip(low - y, 0, 1) / 0.16) * (y < low) * rays
        soft = np.exp(-np.clip(y - low, 0, 1) / 0.02) * (y >= low)
        night = blend(night, tone, (light + soft * rays) * (0.62 - 0.12 * number))
    stars = (rng.random((height, width)) > 0.9991) & (y < 0.6)
    night[stars] += rng.uniform(0.2, 0.6, (stars.sum(), 1))
    for number, tone in enumerate(((0.03, 0.10, 0.16), (0.01, 0.04, 0.08))):
        edge = 0.58 + 0.07 * number + ridge(x, number + 40, 0.022)
        night = blend(night, tone, (y - edge) * height / 2)
    shore = round(0.72 * height)
    mirrored = night[shore - 1 : 2 * shore - height - 1 : -1]
    night[shore:] = mirrored * 0.55 + np.array((0.0, 0.02, 0.04))
    return Image.fromarray((np.clip(night, 0, 1) * 255).astype(np.uint8))


def logo() -> Image.Image:
    """Draw a logo: a word in a ring, on nothing."""
    image = Image.new("RGBA", (720, 200))
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 20, 180, 180), outline="white", width=22)
    draw.ellipse((76, 76, 124, 124), fill="white")
    font = ImageFont.truetype(fonts.bundled("semibold"), 132)
    draw.text((220, 100), "Harbour", "white", font, anchor="lm")
    return image


def main() -> None:
    """Draw all pictures with the music that is named on the command line."""
    music, texts = sys.argv[1], {"title": "First Light", "author": "Ridge & Hollow"}
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cover, picture, mark = folder / "cover.png", folder / "picture.png", folder / "logo.png"
        sunset(640).save(cover)
        aurora(1280, 720).save(picture)
        logo().save(mark)
        styles = {
            "auto": RenderStyle(),
            "blur": RenderStyle(background="blur"),
            "colour": RenderStyle(background="#1d2b53"),
            "picture": RenderStyle(background=picture),
            "accent": RenderStyle(accent="#00c2a8"),
            "logo": RenderStyle(background="blur", logo=mark),
        }
        for kind, style in styles.items():
            frame = render_frame(
                music, time=SECOND, cover=cover, domain_name="music.example.com", style=style,
                **texts,
            )  # fmt: skip
            small = frame.resize(SIZE, Image.Resampling.LANCZOS)
            small.save(PICTURES / f"background-{kind}.jpg", quality=86)


if __name__ == "__main__":
    main()

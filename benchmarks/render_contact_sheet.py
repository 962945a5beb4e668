"""Draw one sheet of frames: looks, aspect ratios, times, covers, scripts.

    python benchmarks/render_contact_sheet.py [--only looks|sizes|covers|scripts]
        [--music FILE] [--to contact-sheet.png]

Check it by eye after each change of the drawing. Without `--music` the music is synthetic.
"""

from __future__ import annotations

import argparse
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mp4gen.render import RenderStyle, render_frame
from mp4gen.render.looks import OWN_LOOKS

Labelled = tuple[str, Image.Image]

GAP, LABEL = 24, 26
LANDSCAPE, PORTRAIT, SQUARE, TALL = (1280, 720), (720, 1280), (720, 720), (720, 900)
TEXTS = {
    "author": "Suno Artist",
    "title": "Midnight Over Lisbon",
    "domain_name": "music.example.com",
}
LONG = "A Very Long Title That Goes On and On Until Nobody Can Read It Any More, Truly"
SCRIPTS = {
    "Cyrillic, Greek": ("Ночь над Лиссабоном", "Ωμέγα"),
    "Arabic": ("شارع الليل 2024", "فرقة الميناء"),
    "Japanese, Korean, Chinese": ("夜の音楽 밤의 노래", "中文乐队"),
    "Devanagari, Hebrew, emoji": ("हिन्दी गीत שלום", "Party 🎉 🎸"),
    "long": (LONG, "B" * 50),
}


def piece(path: Path, seconds: float = 12.0, rate: int = 44100) -> Path:
    """Write chords, a bass and drums, which move every bar."""
    t = np.arange(int(seconds * rate)) / rate
    chance = np.random.default_rng(4)
    samples = np.zeros_like(t)
    for bar, chord in enumerate([(220, 262, 330), (175, 220, 262), (196, 247, 294)] * 2):
        here = (t >= bar * 2) & (t < bar * 2 + 2)
        local = t[here] - bar * 2
        for tone in (*chord, chord[0] / 2, chord[1] * 4):
            samples[here] += np.sin(2 * np.pi * tone * local) * np.exp(-local * 0.8) * 0.12
    for beat in np.arange(0, seconds, 0.5):
        here = (t >= beat) & (t < beat + 0.3)
        local = t[here] - beat
        samples[here] += np.sin(2 * np.pi * (50 + 90 * np.exp(-local * 30)) * local) * np.exp(
            -local * 12
        )
        samples[here] += chance.standard_normal(local.size) * np.exp(-local * 40) * 0.2
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples * 0.5, -1, 1) * 32000).astype("<i2").tobytes())
    return path


def covers(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield covers that are difficult beside text: light, dark, grey, gaudy, portrait."""
    y, x = np.mgrid[0:600, 0:600] / 600
    grey = (0.5 + 0.5 * np.sin(9 * x + 5 * y)) * 255
    images = {
        "light": np.stack([235 + 20 * x, 225 + 20 * y, 210 + 30 * x], -1),
        "dark": np.stack([20 * x, 14 * y, 30 + 20 * y], -1),
        "grey": np.repeat(grey[..., None], 3, 2),
        "loud": np.stack([255 * (x > 0.5), 255 * (y > 0.4), 255 * ((x + y) % 0.3 > 0.15)], -1),
        "photo": np.stack([200 - 120 * y, 120 + 60 * x - 60 * y, 60 + 120 * y], -1),
    }
    for name, pixels in images.items():
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        if name == "photo":
            image = image.resize((400, 900))
            ImageDraw.Draw(image).ellipse((90, 300, 310, 520), fill=(250, 220, 150))
            image = image.filter(ImageFilter.GaussianBlur(6))
        file = folder / f"{name}.png"
        image.save(file)
        yield name, file


def looks(music: Path, folder: Path) -> Iterator[Labelled]:
    """Yield each look in four shapes, with a light, a dark and a loud cover."""
    files = dict(covers(folder))
    for name in ("light", "dark", "loud"):
        for look in OWN_LOOKS:
            for width, height in (LANDSCAPE, SQUARE, TALL, PORTRAIT):
                style = RenderStyle(look=look, width=width, height=height)
                frame = render_frame(music, time=8.03, style=style, cover=files[name], **TEXTS)
                yield f"{look}, {name} cover, {width}x{height}", frame


def sizes(music: Path, _folder: Path) -> Iterator[Labelled]:
    """Yield frames of several sizes and times."""
    for size in (LANDSCAPE, PORTRAIT, SQUARE, (1080, 1350), (3840, 2160), (320, 180)):
        style = RenderStyle(width=size[0], height=size[1])
        for time in (0.0, 3.75, 8.03) if size in (LANDSCAPE, PORTRAIT, SQUARE) else (8.03,):
            yield (
                f"{size[0]}x{size[1]} at {time}",
                render_frame(music, time=time, style=style, **TEXTS),
            )
    yield "no text", render_frame(music, time=8.03)
    yield "author alone", render_frame(music, time=1.0, author="Suno Artist")


def all_covers(music: Path, folder: Path) -> Iterator[Labelled]:
    """Yield frames with difficult covers."""
    for name, file in covers(folder):
        for size in (LANDSCAPE, PORTRAIT):
            style = RenderStyle(width=size[0], height=size[1])
            label = f"{name} cover, {size[0]}x{size[1]}"
            yield label, render_frame(music, time=8.03, style=style, cover=file, **TEXTS)


def scripts(music: Path, _folder: Path) -> Iterator[Labelled]:
    """Yield frames with texts of several scripts."""
    for script, (title, author) in SCRIPTS.items():
        for size, time in ((LANDSCAPE, 1.0), (PORTRAIT, 1.0), (SQUARE, 8.03)):
            style = RenderStyle(width=size[0], height=size[1])
            frame = render_frame(
                music,
                time=time,
                style=style,
                title=title,
                author=author,
                domain_name="müsik.example",
            )
            yield f"{script}, {size[0]}x{size[1]}", frame


PARTS = {"looks": looks, "sizes": sizes, "covers": all_covers, "scripts": scripts}


def sheet(images: list[Labelled], row: int, width: int) -> Image.Image:
    """Put all frames at one height in rows, the last third on light, the others on dark."""
    lines: list[list[Labelled]] = [[]]
    used = GAP
    for label, image in images:
        small = image.resize((row * image.width // image.height, row), Image.Resampling.LANCZOS)
        if used + small.width + GAP > width and lines[-1]:
            lines.append([])
            used = GAP
        lines[-1].append((label, small))
        used += small.width + GAP
    step = row + LABEL + GAP
    paper = Image.new("RGB", (width, GAP + step * len(lines)), (16, 16, 18))
    draw = ImageDraw.Draw(paper)
    half = len(lines) - len(lines) // 3
    draw.rectangle((0, GAP // 2 + step * half, width, paper.height), fill=(240, 240, 238))
    for number, line in enumerate(lines):
        left = GAP
        for label, image in line:
            paper.paste(image, (left, GAP + step * number))
            ink = (150, 150, 150) if number < half else (80, 80, 80)
            draw.text((left, GAP + step * number + row + 6), label, fill=ink)
            left += image.width + GAP
    return paper


def main() -> None:
    """Read the command line and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--music", type=Path)
    parser.add_argument("--to", type=Path, default=Path("contact-sheet.png"))
    parser.add_argument("--row", type=int, default=300)
    parser.add_argument("--width", type=int, default=2000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        music = args.music or piece(folder / "piece.wav")
        images = [image for part in args.only.split(",") for image in PARTS[part](music, folder)]
        sheet(images, args.row, args.width).save(args.to)
    print(f"wrote {args.to}")


if __name__ == "__main__":
    main()

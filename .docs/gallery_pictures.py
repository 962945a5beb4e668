"""Draw the pictures of the gallery: each look on four backgrounds, and with lyrics.

    python .docs/gallery_pictures.py [MUSIC]

Without MUSIC it is a piece of the demo. Run it after each change of the drawing, and look at the
pictures.
"""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from background_pictures import DOCS, PICTURES, aurora, logo, sunset
from lyrics_pictures import SECOND, lrc
from PIL import Image

from mp4gen.render import RenderStyle, render_frame
from mp4gen.render.looks import OWN_LOOKS

MUSIC = DOCS.parent / "mp4gen" / "cli" / "demo_music" / "Harbour Lights.opus"
TIME, HEIGHT, GAP, QUALITY = 16.1, 288, 8, 80
TEXTS = {"title": "First Light", "author": "Ridge & Hollow", "domain_name": "music.example.com"}
# Looks with a place for lyrics of their own.
WITH_LYRICS = ("bars", "wave", "waveform")
SHAPES = ((1280, 720), (720, 720), (720, 900), (720, 1280))


def row(frames: Iterable[Image.Image]) -> Image.Image:
    """Return frames of one height, side by side."""
    small = [
        frame.resize((HEIGHT * frame.width // frame.height, HEIGHT), Image.Resampling.LANCZOS)
        for frame in frames
    ]
    # Transparent between the frames, for the light and the dark page.
    paper = Image.new("RGBA", (sum(frame.width + GAP for frame in small) - GAP, HEIGHT))
    left = 0
    for frame in small:
        paper.paste(frame, (left, 0))
        left += frame.width + GAP
    return paper


def main() -> None:
    """Draw all pictures with the music that may be named on the command line."""
    music = sys.argv[1] if len(sys.argv) > 1 else MUSIC
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cover, picture, mark = folder / "cover.png", folder / "picture.png", folder / "logo.png"
        sunset(640).save(cover)
        aurora(1920, 1280).save(picture)
        logo().save(mark)
        words = folder / "words.lrc"
        # The line that is sung in the pictures about lyrics is sung here, too.
        words.write_text(f"[offset:{round((SECOND - TIME) * 1000)}]\n{lrc()}")
        backgrounds = {"auto": {}, "blur": {"logo": mark}, "#1d2b53": {}, str(picture): {}}
        for look in OWN_LOOKS:
            styles = [
                RenderStyle(look=look, background=background, width=width, height=height, **more)
                for (background, more), (width, height) in zip(
                    backgrounds.items(), SHAPES, strict=True
                )
            ]
            kinds = {"": None, "-lyrics": words} if look in WITH_LYRICS else {"": None}
            for kind, lyrics in kinds.items():
                frames = [
                    render_frame(music, time=TIME, cover=cover, lyrics=lyrics, style=style, **TEXTS)
                    for style in styles
                ]
                file = PICTURES / f"gallery-{look}{kind}.webp"
                row(frames).save(file, quality=QUALITY, method=6)
                print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""Draw the pictures of the page about lyrics.

    python .docs/lyrics_pictures.py MUSIC

Run it after each change of the drawing, and look at the pictures.
"""

import sys
import tempfile
from pathlib import Path

from background_pictures import PICTURES, aurora, sunset
from PIL import Image

from mp4gen.render import RenderStyle, render_frame

SECOND = 62.1
LINES = (
    (56.0, "I left my name upon the water"),
    (60.0, "The harbour keeps the lights for me"),
    (65.0, "and every boat comes home by sound"),
)
STYLES = {
    "bars": (RenderStyle(), (480, 270)),
    "wave": (RenderStyle(look="wave", width=720, height=1280), (270, 480)),
    "waveform": (RenderStyle(look="waveform", width=1080, height=1080), (360, 360)),
}


def lrc() -> str:
    """Return the lines with the times of their words."""
    rows = []
    for start, line in LINES:
        times = (start + number * 0.5 for number in range(100))
        words = " ".join(
            f"<{time // 60:02.0f}:{time % 60:05.2f}>{word}"
            for time, word in zip(times, line.split(), strict=False)
        )
        rows.append(f"[{start // 60:02.0f}:{start % 60:05.2f}]{words}")
    return "\n".join(rows)


def main() -> None:
    """Draw all pictures with the music that is named on the command line."""
    with tempfile.TemporaryDirectory() as name:
        words, covers = Path(name) / "song.lrc", [Path(name) / f"{n}.png" for n in range(2)]
        words.write_text(lrc())
        sunset(640).save(covers[0])
        aurora(640, 640).save(covers[1])
        for number, (kind, (style, size)) in enumerate(STYLES.items()):
            frame = render_frame(
                sys.argv[1], time=SECOND, title="Harbour Lights", author="Field and Ferry",
                cover=covers[number % 2], domain_name="music.example.com", lyrics=words,
                style=style,
            )  # fmt: skip
            small = frame.resize(size, Image.Resampling.LANCZOS)
            small.save(PICTURES / f"lyrics-{kind}.jpg", quality=86)


if __name__ == "__main__":
    main()

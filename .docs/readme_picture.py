"""Render the moving picture of the README: the beginning of a bundled song, with lyrics.

    python .docs/readme_picture.py

Run it after each change of the drawing, and look at the picture.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
from background_pictures import DOCS, sunset
from PIL import Image

from mp4gen.render import RenderStyle, render_video

MUSIC = DOCS.parent / "mp4gen" / "cli" / "demo_music" / "Night Train.opus"
TARGET = DOCS.parent / ".github" / "demo.webp"
SIZE, FPS, EVERY, SECONDS = (576, 324), 30, 2, 8.0
MAX_BYTES = 1_500_000
LYRICS = """\
[00:00.40]<00:00.40>The <00:00.70>last <00:01.05>train <00:01.50>hums <00:01.90>along the shore
[00:03.40]<00:03.40>a <00:03.60>window <00:04.10>and <00:04.30>the <00:04.50>sea <00:05.00>outside
[00:06.00]<00:06.00>and <00:06.25>every <00:06.65>light <00:07.10>is <00:07.35>home
"""


def rendered(folder: Path) -> Iterator[Image.Image]:
    """Yield every second frame of the video."""
    cover, lyrics, video = folder / "cover.png", folder / "words.lrc", folder / "video.mp4"
    sunset(640).save(cover)
    lyrics.write_text(LYRICS)
    render_video(
        MUSIC, video, author="The mp4gen Trio", domain_name="made with mp4gen",
        cover=cover, lyrics=lyrics, length=SECONDS, style=RenderStyle(fps=FPS),
    )  # fmt: skip
    with av.open(video) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % EVERY == 0:
                yield frame.to_image().resize(SIZE, Image.Resampling.LANCZOS)


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as name:
        first, *others = rendered(Path(name))
    first.save(
        TARGET, save_all=True, append_images=others, duration=1000 * EVERY // FPS, loop=0,
        quality=60, method=4,
    )  # fmt: skip
    size = TARGET.stat().st_size
    print(f"{TARGET.name}: {size} bytes")
    assert size <= MAX_BYTES


if __name__ == "__main__":
    main()

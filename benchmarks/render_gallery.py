"""Draw the small pictures of the documentation: each look in four shapes, and in motion.

    python benchmarks/render_gallery.py [--music FILE] [--to .docs/pages/pictures]

Writes `look-NAME.webp`, the look in landscape, square, 4:5 and portrait with a light, a dark and a
loud cover, and `look-NAME-moving.webp`, three seconds of it. Without `--music` the music is
synthetic.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from render_contact_sheet import LANDSCAPE, PORTRAIT, SQUARE, TALL, TEXTS, covers, piece

from mp4gen.render import RenderStyle, render_frame
from mp4gen.render.looks import OWN_LOOKS

ROW, GAP, TIME = 144, 8, 8.03
MOVING_SIZE, MOVING_FPS, FIRST_SECOND, SECONDS = (320, 180), 15, 6.0, 3.0
QUALITY, MOVING_QUALITY = 72, 50
# A look and its motion, in bytes.
MAX_BYTES, MAX_MOVING_BYTES = 80_000, 250_000


def still(look: str, music: Path, files: list[Path]) -> Image.Image:
    """Return the look in four shapes, one row for each cover."""
    rows = [_row(look, music, file) for file in files]
    paper = Image.new("RGB", (rows[0].width, len(rows) * (ROW + GAP) - GAP), (18, 18, 20))
    for number, row in enumerate(rows):
        paper.paste(row, (0, number * (ROW + GAP)))
    return paper


def _row(look: str, music: Path, cover: Path) -> Image.Image:
    shown = []
    for width, height in (LANDSCAPE, SQUARE, TALL, PORTRAIT):
        style = RenderStyle(look=look, width=width, height=height)
        frame = render_frame(music, time=TIME, style=style, cover=cover, **TEXTS)
        shown.append(frame.resize((ROW * width // height, ROW), Image.Resampling.LANCZOS))
    width = sum(image.width + GAP for image in shown) - GAP
    row, left = Image.new("RGB", (width, ROW), (18, 18, 20)), 0
    for image in shown:
        row.paste(image, (left, 0))
        left += image.width + GAP
    return row


def moving(look: str, music: Path) -> list[Image.Image]:
    """Return the frames of some seconds."""
    style = RenderStyle(look=look, width=2 * MOVING_SIZE[0], height=2 * MOVING_SIZE[1])
    times = (FIRST_SECOND + number / MOVING_FPS for number in range(int(SECONDS * MOVING_FPS)))
    frames = (render_frame(music, time=time, style=style, **TEXTS) for time in times)
    return [frame.resize(MOVING_SIZE, Image.Resampling.LANCZOS) for frame in frames]


def main() -> None:
    """Read the command line and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--music", type=Path)
    pictures = Path(__file__).parents[1] / ".docs/pages/pictures"
    parser.add_argument("--to", type=Path, default=pictures)
    args = parser.parse_args()
    args.to.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        music = args.music or piece(folder / "piece.wav")
        files = dict(covers(folder))
        for look in OWN_LOOKS:
            still_file = args.to / f"look-{look}.webp"
            shown = still(look, music, [files[cover] for cover in ("light", "dark", "loud")])
            shown.save(still_file, quality=QUALITY, method=6)
            moving_file = args.to / f"look-{look}-moving.webp"
            first, *others = moving(look, music)
            first.save(
                moving_file, save_all=True, append_images=others, duration=1000 // MOVING_FPS,
                loop=0, quality=MOVING_QUALITY, method=4,
            )  # fmt: skip
            sizes = still_file.stat().st_size, moving_file.stat().st_size
            print(f"{look}: {sizes[0]} and {sizes[1]} bytes", flush=True)
            assert sizes[0] <= MAX_BYTES, look
            assert sizes[1] <= MAX_MOVING_BYTES, look


if __name__ == "__main__":
    main()

"""Draw the words that stay as they are: the title and the watermark."""

from mp4gen.render import background
from mp4gen.render.colour import Floats
from mp4gen.render.layout import Words
from mp4gen.render.looks.look import SceneSpec
from mp4gen.render.text import Line, Typesetter

TITLE_OPACITY, WATERMARK_OPACITY = 0.96, 0.55
MIN_WATERMARK_SIZE = 8


def draw_words(pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
    """Draw title and watermark on the ground, in place."""
    if spec.title:
        words = spec.layout.words
        text, size = typesetter.fit(spec.title, words.title_size, "semibold", words.box.width)
        line = typesetter.line(text, size, "semibold")
        left = line_left(line, words, spec.layout.width)
        background.draw_text(pixels, line, left, words.title_base, TITLE_OPACITY)
    if spec.domain_name:
        _draw_watermark(pixels, spec, typesetter)


def _draw_watermark(pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
    place = spec.layout.watermark
    wanted = max(place.size, MIN_WATERMARK_SIZE)
    text, size = typesetter.fit(spec.domain_name, wanted, "medium", place.max_width)
    line = typesetter.line(text, size, "medium")
    left = (spec.layout.width - line.advance) / 2
    background.draw_text(pixels, line, left, place.base, WATERMARK_OPACITY)


def line_left(line: Line, words: Words, frame_width: int) -> float:
    """Return where a line of title or author begins."""
    return (frame_width - line.advance) / 2 if words.centred else float(words.box.left)

"""Draw the words that stay as they are, and find out where words stand."""

from collections.abc import Iterator

from attrs import frozen

from mp4gen.render import background
from mp4gen.render.colour import Floats
from mp4gen.render.fonts import Weight
from mp4gen.render.layout import Box, Words
from mp4gen.render.logo import logo_box
from mp4gen.render.looks.look import SceneSpec
from mp4gen.render.scrim import TextPlace
from mp4gen.render.text import Typesetter

from .title import fit_title

TITLE_OPACITY, HERO_OPACITY, QUIET_OPACITY = 0.96, 0.98, 0.75
WATERMARK_OPACITY, PICTURE_WATERMARK_OPACITY = 0.55, 0.64
# Of the lines beside the one being sung.
LYRICS_OPACITY = 0.41
MIN_WATERMARK_SIZE = 8
# An author without a title takes the title's place; its quiet size is larger by this factor.
AUTHOR_ONLY_SCALE = 1.2
# The contrast that WCAG 2 asks of text, and of text that is less important.
TEXT_CONTRAST, FAINT_CONTRAST = 4.5, 3.0
# From the baseline up and down, in shares of the size.
ASCENT, DESCENT = 0.78, 0.22


@frozen
class Author:
    """The author's text and its size and baseline, at first (`hero`) and after the opening."""

    text: str
    hero_size: float
    hero_base: float
    quiet_size: float
    quiet_base: float


def fit_author(spec: SceneSpec, typesetter: Typesetter) -> Author:
    """Fit the author into its place, which is the title's if there is no title."""
    words = spec.layout.words
    hero_size, quiet_size = words.hero_size, words.author_size
    hero_base, quiet_base = words.hero_base, words.author_base
    if not spec.title:
        hero_size, quiet_size = words.title_size, AUTHOR_ONLY_SCALE * words.author_size
        hero_base = quiet_base = words.title_base
    else:
        drop = fit_title(spec, typesetter).drop
        hero_base, quiet_base = hero_base + drop, quiet_base + drop
    text, fitted = typesetter.fit(spec.author, hero_size, "regular", words.box.width)
    return Author(text, fitted, hero_base, min(quiet_size, fitted), quiet_base)


def draw_words(pixels: Floats, spec: SceneSpec, typesetter: Typesetter) -> None:
    """Draw title and watermark on the background, in place."""
    shadow = spec.background.text_shadow
    if spec.title:
        title = fit_title(spec, typesetter)
        for text, base in title.rows:
            line = typesetter.line(text, title.size, "semibold")
            left = text_left(line.advance, spec.layout.words, spec.layout.width)
            background.draw_text(pixels, line, left, base, TITLE_OPACITY, shadow=shadow(title.size))
    if spec.domain_name:
        text, size = _fit_watermark(spec, typesetter)
        line = typesetter.line(text, size, "medium")
        left = _watermark_left(line.advance, spec)
        base, opacity = spec.layout.watermark.base, _watermark_opacity(spec)
        background.draw_text(pixels, line, left, base, opacity, shadow=shadow(size))


def text_places(spec: SceneSpec, typesetter: Typesetter) -> Iterator[TextPlace]:
    """Yield where all text stands, and the contrast that it needs."""
    words, width = spec.layout.words, spec.layout.width

    def box_of(text: str, size: float, weight: Weight, base: float) -> Box:
        length = typesetter.width(text, size, weight)
        is_watermark = weight == "medium"
        left = _watermark_left(length, spec) if is_watermark else text_left(length, words, width)
        top, bottom = base - ASCENT * size, base + DESCENT * size
        return Box(round(left), round(top), round(left + length), round(bottom))

    if spec.title:
        title = fit_title(spec, typesetter)
        for text, base in title.rows:
            row = box_of(text, title.size, "semibold", base)
            yield TextPlace(row, TITLE_OPACITY, TEXT_CONTRAST)
    if spec.author:
        author = fit_author(spec, typesetter)
        hero = box_of(author.text, author.hero_size, "regular", author.hero_base)
        quiet = box_of(author.text, author.quiet_size, "regular", author.quiet_base)
        yield TextPlace(hero, HERO_OPACITY, TEXT_CONTRAST)
        yield TextPlace(quiet, QUIET_OPACITY, TEXT_CONTRAST)
    if spec.domain_name:
        text, size = _fit_watermark(spec, typesetter)
        watermark = box_of(text, size, "medium", spec.layout.watermark.base)
        yield TextPlace(watermark, _watermark_opacity(spec), FAINT_CONTRAST)
    if spec.layout.lyrics is not None:
        yield TextPlace(spec.layout.lyrics.text_box, LYRICS_OPACITY, FAINT_CONTRAST)
    yield from spec.layout.own_text_places(spec)


def _fit_watermark(spec: SceneSpec, typesetter: Typesetter) -> tuple[str, float]:
    place = spec.layout.watermark
    wanted = max(place.size, MIN_WATERMARK_SIZE)
    return typesetter.fit(spec.domain_name, wanted, "medium", min(place.max_width, _room(spec)))


def _room(spec: SceneSpec) -> float:
    """Return how wide the watermark may be beside a logo at its height."""
    layout, place = spec.layout, spec.layout.watermark
    if spec.logo is None:
        return layout.width
    logo = logo_box(spec.logo, layout)
    if place.base - place.size > logo.bottom or place.base < logo.top:
        return layout.width
    if place.left is not None:
        return logo.left - place.size - place.left
    if place.right is not None:
        return place.right - place.size - logo.right
    return 2 * (logo.left - place.size) - layout.width


def _watermark_opacity(spec: SceneSpec) -> float:
    return WATERMARK_OPACITY if spec.background.picture is None else PICTURE_WATERMARK_OPACITY


def _watermark_left(width: float, spec: SceneSpec) -> float:
    place = spec.layout.watermark
    if place.left is not None:
        return place.left
    return (spec.layout.width - width) / 2 if place.right is None else place.right - width


def text_left(width: float, words: Words, frame_width: int) -> float:
    """Return where a line of title or author begins."""
    if words.centred:
        return (frame_width - width) / 2
    return words.box.right - width if words.at_right else float(words.box.left)

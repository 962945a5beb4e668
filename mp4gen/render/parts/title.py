"""Fit the title into its place: one row, else two, then smaller, then cut. Draws nothing."""

from collections.abc import Callable, Sequence

from attrs import frozen

from mp4gen.render.fonts import Weight
from mp4gen.render.looks.look import SceneSpec
from mp4gen.render.lyrics.breaking import rows_of
from mp4gen.render.text import Typesetter

# How far a title may shrink before it is cut, as a share of its size.
MIN_SCALE = 0.6
# From one row to the next, as a share of the size.
ROW_STEP = 1.12
_WEIGHT: Weight = "semibold"
Rows = tuple[str, str]


@frozen
class Title:
    """The title as it is shown.

    Attributes:
        rows: (text, baseline) of each row.
        size: size of the letters.
        drop: how much lower the author stands than under a single row.
    """

    rows: tuple[tuple[str, float], ...]
    size: float
    drop: float = 0.0


def fit_title(spec: SceneSpec, typesetter: Typesetter) -> Title:
    """Return the title in one row if it fits, else in two of nearly equal width if it can."""
    words, text = spec.layout.words, spec.title
    size, width = words.title_size, words.box.width
    splits = rows_of(text) if words.two_rows and _width(text, size, typesetter) > width else []
    if not (splits and words.two_rows):
        # The title of a small header would become smaller than the author.
        least = max(MIN_SCALE, min(words.author_size / size, 1))
        fitted, size = typesetter.fit(text, size, _WEIGHT, width, min_scale=least)
        return Title(((fitted, words.title_base),), size)
    place = words.two_rows
    rows = min(splits, key=lambda pair: max(_width(row, size, typesetter) for row in pair))
    widest = max(_width(row, place.size, typesetter) for row in rows)
    fitted_size = max(min(place.size, place.size * width / widest * 0.995), MIN_SCALE * size)
    if fitted_size * widest > place.size * width:
        rows = _filled(splits, lambda row: _width(row, fitted_size, typesetter) <= width) or rows
    fitted_rows = [typesetter.fit(row, fitted_size, _WEIGHT, width, min_scale=1) for row in rows]
    # A letter that is wider than the place makes both rows smaller.
    smallest = min(size for _, size in fitted_rows)
    bases = place.base - ROW_STEP * smallest, place.base
    texts = (text for text, _ in fitted_rows)
    return Title(tuple(zip(texts, bases, strict=True)), smallest, place.drop)


def _filled(splits: Sequence[Rows], fits: Callable[[str], bool]) -> Rows | None:
    """Return the rows with the longest first one that fits, so that only the second is cut."""
    fitting = [rows for rows in splits if fits(rows[0])]
    return max(fitting, key=lambda rows: len(rows[0]), default=None)


def _width(text: str, size: float, typesetter: Typesetter) -> float:
    return typesetter.width(text, size, _WEIGHT)

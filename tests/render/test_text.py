"""Tests of text: sanitizing, fonts, direction and fitting."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from bidi import get_display
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.render import bidi, fonts
from mp4gen.render.characters import grapheme_clusters, sanitize
from mp4gen.render.text import Typesetter


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        (None, ""),
        ("  Two \t\n words\u00a0\u3000here ", "Two words here"),
        ("nul\x00 and bell\x07", "nul and bell"),
        ("over\u202eride \u2066isolated\u2069", "override isolated"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("private \ue000 use", "private use"),
        ("Cafe\u0301", "Café"),
        ("a" + "\u0334" * 40, "a" + "\u0334" * 4),
        ("x" * 5000, "x" * 300),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
    ],
)
def test_sanitize_returns_one_plain_line(raw, cleaned):
    """No controls, no direction overrides, no towers of marks."""
    assert sanitize(raw) == cleaned


def test_grapheme_clusters_keep_marks_emoji_and_flags():
    """Marks stay with their letter; joined emoji and flags are one cluster."""
    family, flag, thumb = "👨\u200d👩\u200d👧", "🇵🇹", "👍🏽"

    assert grapheme_clusters("e\u0301a") == ["e\u0301", "a"]
    assert grapheme_clusters(family + flag + thumb + "!") == [family, flag, thumb, "!"]
    assert grapheme_clusters("🇵🇹🇫🇷") == ["🇵🇹", "🇫🇷"]


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("abc", [0, 0, 0]),
        ("אבג", [1, 1, 1]),
        ("a אב b", [0, 0, 1, 1, 0, 0]),
        ("אב 12 ג", [1, 1, 1, 2, 2, 1, 1]),
        ("ب 1,2", [1, 1, 2, 2, 2]),
        ("אב (c)", [1, 1, 1, 1, 2, 1]),
        ("...", [0, 0, 0]),
        ("$5 אב", [2, 2, 1, 1, 1]),
        ("", []),
    ],
)
def test_embedding_levels_follow_uax_9(text, levels):
    """Right-to-left text, numbers in it and neutrals get their levels."""
    assert bidi.embedding_levels(text) == levels


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Song (שיר) 2", "Song (ריש) 2"),
        ("שיר (Song) 2", "2 (Song) ריש"),
        ("Song (שיר [חי]) x", "Song ([יח] ריש) x"),
    ],
)
def test_brackets_stay_with_their_words(text, shown):
    """Both of a pair have one direction (rule N0); the drawing mirrors them."""
    assert displayed(text) == shown


def displayed(text: str) -> str:
    """Return a line from left to right, as it is drawn."""
    levels = bidi.embedding_levels(text)
    mirrors = str.maketrans("()[]", ")(][")
    pairs = zip(text, levels, strict=True)
    drawn = [char.translate(mirrors) if level % 2 else char for char, level in pairs]
    return "".join(bidi.reorder_visual(drawn, levels))


def reordered(text: str) -> str:
    """Return a line from left to right, with its brackets as they are written."""
    return "".join(bidi.reorder_visual(text, bidi.embedding_levels(text)))


@given(st.text("ab אבשب12٣ (([]){} .,+%$-!\u0301", max_size=30))
def test_direction_is_that_of_another_implementation(text):
    """Letters, numbers, signs and brackets in any order are drawn as `python-bidi` does."""
    assert reordered(text) == get_display(text)


def test_deep_brackets_are_not_paired():
    """64 levels are beyond the limit of the algorithm."""
    text = "(" * 64 + "a" + ")" * 64 + "א"

    assert reordered(text) == get_display(text)


def test_reorder_visual_reverses_right_to_left_runs():
    """A number within them keeps its order."""
    assert bidi.reorder_visual(["A", "1", "B"], [1, 2, 1]) == ["B", "1", "A"]
    assert bidi.reorder_visual(["a", "H1", "H2", "b"], [0, 1, 1, 0]) == ["a", "H2", "H1", "b"]
    assert bidi.reorder_visual([], []) == []


def test_bundled_fonts_cover_latin_greek_and_cyrillic():
    """Every weight covers them, and no letter that it lacks."""
    for weight in ("regular", "medium", "semibold"):
        covered = fonts.coverage(fonts.bundled(weight))
        assert all(covered.has(ord(char)) for char in "AZaz09éßñŁŐệΩμέЖюЇ…&'“”")
        assert not any(covered.has(ord(char)) for char in "夜한שع🎵")


def test_broken_font_file_covers_nothing(tmp_path):
    """Cut, empty and foreign files are skipped."""
    whole = Path(fonts.bundled("regular")).read_bytes()
    lying = bytearray(whole)
    struct.pack_into(">H", lying, 4, 60000)
    for name, data in (
        ("empty.ttf", b""),
        ("cut.ttf", whole[:300]),
        ("text.ttf", b"not a font" * 50),
        ("lying.ttf", bytes(lying[:2000])),
    ):
        file = tmp_path / name
        file.write_bytes(data)
        assert not fonts.coverage(str(file)).has(65)


def test_font_that_does_not_open_is_skipped(bare, tmp_path):
    """If only its character map is intact, the letter is left out, and no box is drawn."""
    data = bytearray(Path(fonts.bundled("regular")).read_bytes())
    head, cmap = (
        struct.unpack_from(">I", data, data.index(tag) + 8)[0] for tag in (b"head", b"cmap")
    )
    data[head : head + 54] = bytes(54)
    count = struct.unpack_from(">H", data, cmap + 2)[0]
    maps = [cmap + struct.unpack_from(">I", data, cmap + 8 + 8 * i)[0] for i in range(count)]
    twelve = next(place for place in maps if data[place + 1] == 12)
    struct.pack_into(">3I", data, twelve + 16, ord("夜"), ord("夜"), 5)
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(data)
    typesetter = Typesetter([str(broken)])

    line = typesetter.line("夜", 40, "regular")

    assert fonts.coverage(str(broken)).has(ord("夜"))
    assert line.advance == 0
    assert not line.pixels[..., 3].any()
    assert "No font for Chinese" in typesetter.warnings[0]


def test_character_maps_with_gaps_are_read_correctly(tmp_path):
    """Formats 4 and 12 leave out code points without a glyph."""
    glyphs = struct.pack(">3H", 7, 0, 9)
    four = (
        struct.pack(">7H", 4, 0, 0, 4, 0, 0, 0)
        + struct.pack(">2H", 67, 0xFFFF)
        + b"\0\0"
        + struct.pack(">2H", 65, 0xFFFF)
        + struct.pack(">2h", 0, 1)
        + struct.pack(">2H", 4, 0)
        + glyphs
    )
    twelve = struct.pack(">HHIII", 12, 0, 40, 0, 2) + struct.pack(
        ">6I", 65, 66, 3, 128512, 128513, 0
    )

    def ranges(name: str, subtable: bytes) -> tuple[tuple[int, int], ...]:
        cmap = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + subtable
        header = struct.pack(">I4H4s3I", 1 << 16, 1, 0, 0, 0, b"cmap", 0, 28, len(cmap))
        (tmp_path / name).write_bytes(header + cmap)
        return fonts.coverage(str(tmp_path / name)).ranges

    assert ranges("four.ttf", four) == ((65, 65), (67, 67))
    assert ranges("twelve.ttf", twelve) == ((65, 66), (128513, 128513))


def test_overlapping_segments_of_a_character_map_are_read_once(tmp_path):
    """A damaged or hostile font cannot make the search for a font take hours."""
    count = 2000
    four = (
        struct.pack(">7H", 4, 0, 0, 2 * count, 0, 0, 0)
        + struct.pack(">H", 0xFFFE) * count
        + b"\0\0"
        + struct.pack(">H", 0xFF00) * count
        + bytes(2 * count)
        + struct.pack(">H", 4 * count) * count
        + b"\0\1" * 5000
    )
    cmap = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + four
    header = struct.pack(">I4H4s3I", 1 << 16, 1, 0, 0, 0, b"cmap", 0, 28, len(cmap))
    (tmp_path / "font.ttf").write_bytes(header + cmap)

    ranges = fonts.coverage(str(tmp_path / "font.ttf")).ranges

    assert ranges == tuple((code, code) for code in range(0xFF00, 0xFFFF))


@pytest.fixture
def bare(monkeypatch) -> Typesetter:
    """Return a typesetter on a system with the bundled fonts only."""
    monkeypatch.setattr(fonts, "system_fonts", lambda _: ())
    return Typesetter()


def test_script_without_a_font_gives_a_warning(bare):
    """The letters are left out, and a warning names the package."""
    line = bare.line("A夜B한🎵", 40, "regular")

    assert line.advance == pytest.approx(bare.width("AB", 40, "regular"), abs=0.5)
    assert [warning.split(":")[0] for warning in bare.warnings] == [
        "No font for Chinese",
        "No font for Korean",
        "No font for emoji",
    ]
    assert "fonts-noto-cjk" in bare.warnings[0]
    assert "fonts-noto-color-emoji" in bare.warnings[2]


def test_bundled_font_is_used_before_user_fonts():
    """A file from the style only fills the gaps of the bundled family."""
    user_fonts = (fonts.bundled("medium"),)

    found = fonts.find_font(frozenset({ord("A")}), "regular", user_fonts, emoji=False)

    assert found == fonts.bundled("regular")


@pytest.mark.parametrize("weight", ["regular", "medium", "semibold"])
def test_chosen_font_draws_all_that_it_can(weight, tmp_path):
    """The font of the style comes before the bundled one, which draws the other letters."""
    latin = tmp_path / "latin.ttf"
    latin.write_bytes(Path(fonts.bundled("medium")).read_bytes())
    typesetter = Typesetter(font=str(latin))

    chosen = [run.font for run in typesetter._runs(" A Title", weight)]

    assert chosen == [str(latin)]
    assert np.array_equal(
        typesetter.line("Title", 40, weight).pixels, Typesetter().line("Title", 40, "medium").pixels
    )


class VariableFont:
    """A variable font, with the axes that Pillow reports."""

    def __init__(self, *axes: tuple[bytes, int, int, int]) -> None:
        names = ("name", "minimum", "default", "maximum")
        self._axes = [dict(zip(names, axis, strict=True)) for axis in axes]
        self.chosen: list[float] = []

    def get_variation_axes(self) -> list[dict[str, object]]:
        if not self._axes:
            raise OSError("not a variable font")
        return self._axes

    def set_variation_by_axes(self, values: list[float]) -> None:
        self.chosen = values


@pytest.mark.parametrize(
    ("axes", "weight", "chosen"),
    [
        ([(b"Optical Size", 14, 14, 32), (b"Weight", 100, 100, 900)], "regular", [14, 400]),
        ([(b"Weight", 100, 100, 900)], "semibold", [600]),
        ([(b"Weight", 300, 400, 500)], "semibold", [500]),
        ([(b"wght", 450, 450, 900)], "regular", [450]),
        ([], "medium", []),
    ],
)
def test_variable_font_has_the_weight_of_the_line(monkeypatch, axes, weight, chosen):
    """Many of them are thin unless a weight is chosen."""
    font = VariableFont(*axes)
    monkeypatch.setattr(fonts.ImageFont, "truetype", lambda *_: font)

    assert fonts.load_font("variable.ttf", 20, weight) == (font, 1.0)
    assert font.chosen == chosen


def test_letters_that_the_chosen_font_lacks_come_from_the_bundled_one(monkeypatch):
    """A font of capitals gets its small letters from the bundled font."""
    capitals, read = "capitals.ttf", fonts.coverage
    has_capitals = fonts.Coverage(((ord("A"), ord("Z")),))
    monkeypatch.setattr(
        fonts, "coverage", lambda path: has_capitals if path == capitals else read(path)
    )
    monkeypatch.setattr(fonts, "is_loadable", lambda _: True)

    runs = Typesetter(font=capitals)._runs("Title", "regular")

    assert [(run.text, run.font) for run in runs] == [
        ("T", capitals),
        ("itle", fonts.bundled("regular")),
    ]


@pytest.fixture
def many_fonts(monkeypatch, tmp_path) -> int:
    """Install 700 files of a font without Chinese, and return their number."""
    for index in range(700):
        (tmp_path / f"font{index}.ttf").hardlink_to(template(tmp_path))
    monkeypatch.setattr(fonts, "_folders", lambda: [tmp_path])
    caches = fonts.system_fonts, fonts._font_files, fonts.coverage
    for cache in caches:
        cache.cache_clear()
    yield 701
    for cache in caches:
        cache.cache_clear()


def template(folder: Path) -> Path:
    file = folder / "template.ttf"
    if not file.exists():
        file.write_bytes(Path(fonts.bundled("regular")).read_bytes())
    return file


def test_each_of_many_font_files_is_read_once(many_fonts):
    """A title with letters that no font has does not read all files for each of them."""
    typesetter = Typesetter()

    typesetter.fit("夜の東京" * 10, 58, "semibold", 500)
    typesetter.line("夜の東京" * 10, 58, "regular")

    # The files, and the bundled font in both weights.
    assert fonts.coverage.cache_info().misses <= many_fonts + 2
    assert fonts.coverage.cache_info().maxsize > fonts._MAX_FILES


FAMILY = ["DejaVuSans-Bold.ttf", "DejaVuSans-ExtraLight.ttf", "DejaVuSans.ttf"]
NOTO = ["NotoSansHebrew-Black.ttf", "NotoSansHebrew-Bold.ttf", "NotoSansHebrew-ExtraLight.ttf",
        "NotoSansHebrew-Medium.ttf", "NotoSansHebrew-Regular.ttf"]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "weight", "first"),
    [
        (FAMILY, "regular", "DejaVuSans.ttf"),
        (FAMILY, "medium", "DejaVuSans.ttf"),
        (FAMILY, "semibold", "DejaVuSans-Bold.ttf"),
        (NOTO, "regular", "NotoSansHebrew-Regular.ttf"),
        (NOTO, "medium", "NotoSansHebrew-Medium.ttf"),
        (NOTO, "semibold", "NotoSansHebrew-Bold.ttf"),
    ],
)
def test_system_font_has_the_weight_of_the_line(names, weight, first):
    """A title is bold and an author is not, in Hebrew and Arabic too."""
    assert min(names, key=lambda name: (*fonts._rank(name, weight), name)) == first


def test_given_emoji_font_is_used_before_the_systems(monkeypatch, tmp_path):
    """It is tried before the fonts for letters, too."""
    given, system = (tmp_path / name for name in ("MyEmoji.ttf", "NotoColorEmoji.ttf"))
    for path in (given, system):
        path.write_bytes(Path(fonts.bundled("regular")).read_bytes())
    monkeypatch.setattr(fonts, "system_fonts", lambda _: (str(system),))
    codes = frozenset({ord("A")})

    assert fonts.find_font(codes, "regular", (str(given),), emoji=True) == str(given)
    assert fonts.find_font(codes, "regular", (), emoji=True) == str(system)


@pytest.mark.parametrize("text", ["Midnight", "W" * 80, "iiii " * 40, "Ж" * 200])
def test_fit_never_exceeds_the_width(bare, text):
    """Long names shrink to half at most, then end in an ellipsis."""
    shown, size = bare.fit(text, 58, "semibold", 500)

    assert bare.width(shown, size, "semibold") <= 500
    assert size >= 29
    assert (shown == text) or shown.endswith("\u2026")


def test_fit_shrinks_a_single_wide_letter(bare):
    """Nothing is left to cut, so the text shrinks below half."""
    shown, size = bare.fit("WWW", 58, "semibold", 20)

    assert shown == "W\u2026"
    assert 0 < bare.width(shown, size, "semibold") <= 20


def test_line_starts_at_its_origin(bare):
    """Letters rise above the baseline and start at the origin."""
    line = bare.line("Hxg", 50, "semibold")
    ink = line.pixels[..., 3] > 128
    left, baseline = line.origin

    assert ink[baseline - 36 : baseline, left : left + 8].any()
    assert not ink[:, : left - 2].any()
    assert ink[baseline + 4 : baseline + 15].any()
    assert not ink[baseline + 18 :].any()


@pytest.mark.parametrize("text", ["", " ", "\u0301", "\u200d", "🏽", "\ufe0f", "a\u200d", "٪", "🇵"])
def test_odd_text_is_drawn_or_left_out(text):
    """Lone marks, joiners and halves of flags raise no error."""
    line = Typesetter().line(sanitize(text), 30, "regular")

    assert line.pixels.dtype == np.uint8
    assert line.advance >= 0


def test_spans_of_a_line_are_where_its_words_are_drawn():
    """Side by side, from the left to the width of the line."""
    text, setter = "The harbour keeps", Typesetter()
    spans = setter.spans(text, 40, "semibold", [4, 12, 17])

    assert [len(part) for part in spans] == [1, 1, 1]
    assert spans[0][0][0] == 0
    assert [part[0][1] for part in spans[:-1]] == [part[0][0] for part in spans[1:]]
    assert spans[-1][0][1] == pytest.approx(setter.width(text, 40, "semibold"))


def test_spans_of_mixed_directions_follow_the_reading():
    """A word from right to left begins at its right; the runs stand as they are drawn."""
    text, setter = "אב cd הו", Typesetter()
    first, latin, last = setter.spans(text, 40, "semibold", [3, 5, 8])

    assert first[0][0] == pytest.approx(setter.width(text, 40, "semibold"))
    assert first[0][1] < first[0][0]
    assert latin[0][1] > latin[0][0]
    assert first[-1][1] >= latin[0][1] - 0.01
    assert latin[0][0] >= last[-1][1]
    assert last[-1][1] == pytest.approx(0, abs=0.01)


def test_shown_text_has_only_letters_with_a_font():
    """They are left out, and named in a warning."""
    setter = Typesetter()

    assert setter.shown("a\N{LINEAR A SIGN AB001}b", "semibold") == "ab"
    assert len(setter.warnings) == 1

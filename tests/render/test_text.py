"""Words are cleaned, shaped, fitted, and never shown as boxes."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mp4gen.render import bidi, fonts
from mp4gen.render.text import Typesetter, grapheme_clusters, sanitize


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
def test_text_from_outside_is_cleaned(raw, cleaned):
    """One plain line: no controls, no overrides of direction, no towers of marks."""
    assert sanitize(raw) == cleaned


def test_clusters_keep_together_what_is_read_as_one():
    """Marks stay with their letter, joined emoji and flags are one sign."""
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
def test_each_letter_runs_its_own_way(text, levels):
    """Right-to-left words, numbers inside them and what stands between get their levels."""
    assert bidi.embedding_levels(text) == levels


def test_runs_stand_in_the_order_they_are_seen():
    """Right-to-left runs are mirrored, a number inside them is not."""
    assert bidi.reorder_visual(["A", "1", "B"], [1, 2, 1]) == ["B", "1", "A"]
    assert bidi.reorder_visual(["a", "H1", "H2", "b"], [0, 1, 1, 0]) == ["a", "H2", "H1", "b"]
    assert bidi.reorder_visual([], []) == []


def test_the_bundled_family_covers_latin_greek_and_cyrillic():
    """Every weight has them, and not what it does not claim."""
    for weight in ("regular", "medium", "semibold"):
        covered = fonts.coverage(fonts.bundled(weight))
        assert all(covered.has(ord(char)) for char in "AZaz09éßñŁŐệΩμέЖюЇ…&'“”")
        assert not any(covered.has(ord(char)) for char in "夜한שع🎵")


def test_a_broken_font_file_covers_nothing(tmp_path):
    """Cut, empty or foreign files are passed over."""
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


def test_a_font_that_does_not_open_is_passed_over(bare, tmp_path):
    """Where only its map is whole the letter is left out and named, and no box is drawn."""
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


def test_character_maps_with_gaps_are_read_right():
    """Format 4 with glyph arrays and format 12 leave out what has no glyph."""
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

    def table(body: bytes) -> bytes:
        return struct.pack(">HHHHI", 0, 1, 3, 10, 12) + body

    assert sorted(fonts._ranges(table(four))) == [(65, 65), (67, 67)]
    assert sorted(fonts._ranges(table(twelve))) == [(65, 66), (128513, 128513)]


@pytest.fixture
def bare(monkeypatch) -> Typesetter:
    """A typesetter on a machine without any font but the bundled ones."""
    monkeypatch.setattr(fonts, "system_fonts", lambda _: ())
    return Typesetter()


def test_a_script_without_a_font_is_left_out_and_named(bare):
    """No boxes: the letters are missing, and a warning says which package helps."""
    line = bare.line("A夜B한🎵", 40, "regular")

    assert line.advance == pytest.approx(bare.width("AB", 40, "regular"), abs=0.5)
    assert [warning.split(" was")[0] for warning in bare.warnings] == [
        "No font for Chinese",
        "No font for Korean",
        "No font for emoji",
    ]
    assert "fonts-noto-cjk" in bare.warnings[0]
    assert "fonts-noto-color-emoji" in bare.warnings[2]


def test_a_given_font_is_used_before_the_systems(tmp_path):
    """A file from the style fills what the bundled family lacks."""
    runs = Typesetter([fonts.bundled("medium")])._runs("A", "regular")

    assert [run.font for run in runs] == [fonts.bundled("regular")]


@pytest.mark.parametrize("text", ["Midnight", "W" * 80, "iiii " * 40, "Ж" * 200])
def test_no_line_is_wider_than_its_room(bare, text):
    """Long names shrink to half at most, then end in an ellipsis."""
    shown, size = bare.fit(text, 58, "semibold", 500)

    assert bare.width(shown, size, "semibold") <= 500
    assert size >= 29
    assert (shown == text) or shown.endswith("\u2026")


def test_one_sign_that_is_too_wide_is_made_small(bare):
    """There is nothing left to cut, and still nothing leaves its room."""
    shown, size = bare.fit("WWW", 58, "semibold", 20)

    assert shown == "W\u2026"
    assert 0 < bare.width(shown, size, "semibold") <= 20


def test_a_line_keeps_its_ink_where_it_belongs(bare):
    """Letters rise above the baseline and start at the pen."""
    line = bare.line("Hxg", 50, "semibold")
    ink = line.pixels[..., 3] > 128
    left, baseline = line.origin

    assert ink[baseline - 36 : baseline, left : left + 8].any()
    assert not ink[:, : left - 2].any()
    assert ink[baseline + 4 : baseline + 15].any()
    assert not ink[baseline + 18 :].any()


@pytest.mark.parametrize("text", ["", " ", "\u0301", "\u200d", "🏽", "\ufe0f", "a\u200d", "٪", "🇵"])
def test_odd_text_never_crashes(text):
    """Lone marks, joiners and halves of flags are drawn or left out."""
    line = Typesetter().line(sanitize(text), 30, "regular")

    assert line.pixels.dtype == np.uint8
    assert line.advance >= 0

"""File names from text of others: safe on every system, and never the same by accident."""

import unicodedata
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mp4gen.downloads.filenames import MAX_NAME_BYTES, filename_from_url, safe_stem

DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"} | {
    f"{kind}{n}" for kind in ("COM", "LPT") for n in "0123456789¹²³"
}
# Left-to-right and right-to-left marks, overrides and isolates: `gpj.exe` looks like `exe.jpg`.
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

anything = st.text() | st.text(max_size=3) | st.text(min_size=100, max_size=400)
# Lone surrogates stand for bytes that are not UTF-8.
broken = st.text(st.characters(categories=["Cs", "L", "P"]))


@given(anything | broken)
@example("../../etc/passwd")
@example("..")
@example(".")
@example("")
@example("a\x00b")
@example("/etc/passwd")
@example("C:\\Windows\\x")
@example("file:///x")
@example("\u202egpj.exe")
@example("con")
@example("COM¹ .tar.gz")
@example("x" * 300)
@example("\u0301" * 300)
@example("-rf")
def test_safe_stem_is_safe_for_any_text(text: str) -> None:
    """The name is short, printable, inside its folder, and not empty, hidden or reserved."""
    name = f"{safe_stem(text)}.mp4"

    assert Path(name).name == name
    assert PureWindowsPath(name).name == name
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert not set(name) & set('<>:"/\\|?*')
    assert not set(name) & BIDI
    assert all(unicodedata.category(c)[0] != "C" for c in name)
    assert name[0] not in " .-"
    assert name.partition(".")[0].strip().upper() not in DEVICES
    assert safe_stem(text).strip(" .") == safe_stem(text)


@given(anything, anything)
@example("a/b", "a:b")
@example("x" * 300, "x" * 301)
@example("...", "///")
@example("a", "a.")
@example("video", "..")
def test_safe_stem_differs_for_different_texts(one: str, other: str) -> None:
    """No file overwrites another because two titles are alike."""
    same = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)

    assert (safe_stem(one) == safe_stem(other)) is (same or {one, other} == {"", "video"})


@pytest.mark.parametrize(
    "text", ["0a1b2c3d-aaaa-bbbb-cccc-0123456789ab", "My song (live) №2", "Ça va", "日本語", "a.b"]
)
def test_safe_stem_keeps_good_names(text: str) -> None:
    """Ids and ordinary titles stay as they are."""
    assert safe_stem(text) == text


def test_safe_stem_is_stable() -> None:
    """The same track has the same file name on every machine and in every version."""
    assert safe_stem("a/b") == "a_b-c14cddc033"
    assert safe_stem("e\u0301") == safe_stem("\u00e9")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/v/abc.mp4?sig=1#x", "abc.mp4"),
        ("https://h/v/My%20Song.MP4", "My Song.mp4"),
        ("https://h/v/abc", "abc.mp4"),
        ("https://h/", "video.mp4"),
        ("https://h", "video.mp4"),
        ("https://[broken", "video.mp4"),
        ("", "video.mp4"),
    ],
)
def test_filename_from_url_is_the_last_part_of_the_path(url: str, name: str) -> None:
    """The query is dropped, and the name has one extension."""
    assert filename_from_url(url) == name


@given(st.text())
@example("https://h/..%2f..%2fetc%2fpasswd")
@example("https://h/%00")
@example("https://h/%2e%2e")
def test_filename_from_url_stays_in_the_folder(url: str) -> None:
    """Percent-encoded slashes and dots are only text."""
    name = filename_from_url(url)

    assert PureWindowsPath(name).name == Path(name).name == name
    assert name.endswith(".mp4")
    assert len(name.encode()) <= MAX_NAME_BYTES

"""File names made of other people's text: safe on every system, and never the same by accident."""

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
# Lone surrogates stand for bytes that were no UTF-8.
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
def test_a_name_is_safe_whatever_it_is_made_of(text: str) -> None:
    """Never empty, never out of its folder, short, printable, no device, no option, not hidden."""
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
def test_two_texts_never_share_a_name(one: str, other: str) -> None:
    """A file is never written over because two tracks are called alike."""
    same = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)

    assert (safe_stem(one) == safe_stem(other)) is (same or {one, other} == {"", "video"})


@pytest.mark.parametrize(
    "text", ["0a1b2c3d-aaaa-bbbb-cccc-0123456789ab", "My song (live) №2", "Ça va", "日本語", "a.b"]
)
def test_a_good_name_is_left_alone(text: str) -> None:
    """Ids and ordinary titles are found under their own names."""
    assert safe_stem(text) == text


def test_one_text_keeps_its_name() -> None:
    """The same track gives the same file on every machine and in every year."""
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
def test_a_link_names_its_file(url: str, name: str) -> None:
    """By the last part of its path, without query and twice no ending."""
    assert filename_from_url(url) == name


@given(st.text())
@example("https://h/..%2f..%2fetc%2fpasswd")
@example("https://h/%00")
@example("https://h/%2e%2e")
def test_no_link_leads_out_of_the_folder(url: str) -> None:
    """Percent-encoded slashes and dots are only text."""
    name = filename_from_url(url)

    assert PureWindowsPath(name).name == Path(name).name == name
    assert name.endswith(".mp4")
    assert len(name.encode()) <= MAX_NAME_BYTES

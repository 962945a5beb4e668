"""Decode the bytes of a lyrics file of any encoding, within bounds. Reads no files."""

import codecs

from mp4gen.errors import RenderError

MAX_BYTES = 2_000_000
MAX_LINES = 20_000
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode_lines(data: bytes, name: str) -> list[str]:
    """Return the lines of a text.

    UTF-16 needs its byte order mark; other bytes that are not UTF-8 are those of Windows-1252.

    Args:
        data: The bytes of the file.
        name: Its name for the error.

    Raises:
        RenderError: The file is too large, has too many lines, or is not text.
    """
    if len(data) > MAX_BYTES:
        raise RenderError(
            f"The lyrics file is too large: {name}. Use a text of at most "
            f"{MAX_BYTES // 1_000_000} MB."
        )
    # Form feeds and other separators of `str.splitlines` are not line ends in these formats.
    lines = _decoded(data, name).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise RenderError(
            f"The lyrics file has too many lines: {name}. Use at most {MAX_LINES} lines."
        )
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise line_error(name, number, "it is not text", "Choose a .lrc, .srt or .vtt file")
    return lines


def line_error(name: str, number: int, problem: str, hint: str) -> RenderError:
    """Return the error about a line of a lyrics file.

    Args:
        name: The file's name.
        number: The number of the line, from 1.
        problem: What is wrong with it.
        hint: What to do, without a full stop.
    """
    return RenderError(f"Cannot read the lyrics file {name}, line {number}: {problem}. {hint}.")


def _decoded(data: bytes, name: str) -> str:
    encoding = next((known for mark, known in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            return data.decode("cp1252", "replace")
        number = data[: error.start].decode(encoding, "replace").count("\n") + 1
        raise line_error(
            name, number, "the encoding is damaged", "Save the file as UTF-8"
        ) from error

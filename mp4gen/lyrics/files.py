"""Read a text in any of the formats of lyrics. Reads no files."""

from .decoding import decode_lines
from .lrc import parse_lrc
from .subtitles import parse_subtitles
from .values import Lyrics

EXTENSIONS = (".lrc", ".srt", ".vtt")


def parse_lyrics(data: bytes, name: str) -> Lyrics:
    """Return the lyrics of a file; they are empty if its text has no times.

    Args:
        data: The bytes of the file.
        name: Its name, by which the format is chosen; other names than `.srt` and `.vtt` are LRC.

    Raises:
        RenderError: The text cannot be read; the error names the file and the line.
    """
    lines = decode_lines(data, name)
    is_cues = name.lower().endswith((".srt", ".vtt"))
    return parse_subtitles(lines, name) if is_cues else parse_lrc(lines, name)

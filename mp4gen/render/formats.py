"""The audio formats that the renderer reads: their names, file name extensions and demuxers.

One list, so that the extensions that the server accepts, the texts that name formats and the files
that are opened never differ. Does no I/O.
"""

import attrs

# Typical sizes, to estimate a duration.
_PCM, _LOSSLESS, _LOSSY = 176_400, 100_000, 24_000


@attrs.frozen
class AudioFormat:
    """One kind of file.

    Attributes:
        name: Its name in texts.
        suffixes: Its file name extensions.
        demuxer: The name by which libavformat opens it.
        bytes_per_second: Its typical size.
    """

    name: str
    suffixes: tuple[str, ...]
    demuxer: str
    bytes_per_second: int = _LOSSY


# Lossless ones first: if files differ only in the extension, the first is preferred. All of these
# hold their audio themselves. Playlists, manifests and concat scripts name other files or URLs, and
# would read those; MPEG transport streams, ASF and game formats bring large parsers for few
# songs.
FORMATS = (
    AudioFormat("flac", (".flac",), "flac", _LOSSLESS),
    AudioFormat("wav", (".wav",), "wav", _PCM),
    AudioFormat("aiff", (".aif", ".aiff", ".aifc"), "aiff", _PCM),
    AudioFormat("w64", (".w64",), "w64", _PCM),
    AudioFormat("caf", (".caf",), "caf", _PCM),
    AudioFormat("au", (".au", ".snd"), "au", _PCM),
    AudioFormat("wv", (".wv",), "wv", _LOSSLESS),
    AudioFormat("m4a", (".m4a",), "mov"),
    AudioFormat("opus", (".opus",), "ogg"),
    AudioFormat("ogg", (".ogg", ".oga"), "ogg"),
    AudioFormat("webm", (".webm",), "matroska"),
    AudioFormat("mka", (".mka",), "matroska"),
    AudioFormat("mp3", (".mp3",), "mp3"),
    AudioFormat("mp2", (".mp2",), "mp3"),
    AudioFormat("aac", (".aac",), "aac"),
    AudioFormat("ac3", (".ac3",), "ac3"),
    AudioFormat("eac3", (".eac3", ".ec3"), "eac3"),
)
SUFFIXES = tuple(suffix for each in FORMATS for suffix in each.suffixes)
FORMAT_NAMES = f"{', '.join(each.name for each in FORMATS[:-1])} or {FORMATS[-1].name}"
BYTES_PER_SECOND = {suffix: each.bytes_per_second for each in FORMATS for suffix in each.suffixes}

"""Find the files of lyrics that lie beside a music file. Reads none of them."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .files import EXTENSIONS

# A name such as song.en.lrc or song.pt-BR.srt.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*", re.IGNORECASE)


def lyrics_beside(audio: Path) -> Iterator[Path]:
    """Yield the lyrics files with the music's name, in the order of the formats.

    A file with a language in its name counts if there is only one.
    """
    names: list[str] = []
    with suppress(OSError, ValueError):
        # A pipe of such a name would never end.
        names = sorted(path.name for path in audio.parent.iterdir() if _is_lyrics_file(path))
    for extension in EXTENSIONS:
        stems = [Path(name).stem for name in names if name.lower().endswith(extension)]
        own = [name for name in names if _splits(name, audio.stem, extension)]
        languages = [stem for stem in stems if _LANGUAGE.fullmatch(_language(stem, audio.stem))]
        if own:
            yield audio.parent / own[0]
        elif len(languages) == 1:
            yield next(
                audio.parent / name for name in names if _splits(name, languages[0], extension)
            )


def _is_lyrics_file(path: Path) -> bool:
    return path.name.lower().endswith(EXTENSIONS) and path.is_file()


def _splits(name: str, stem: str, extension: str) -> bool:
    return name.startswith(stem) and name[len(stem) :].lower() == extension


def _language(stem: str, music: str) -> str:
    return stem.removeprefix(f"{music}.") if stem.startswith(f"{music}.") else ""

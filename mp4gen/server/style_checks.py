"""Checks the files that the server's style names; reads nothing else."""

from mp4gen.errors import ConfigurationError, RenderError
from mp4gen.render.options import is_picture

from .config import ServerConfig

# Characters that the bundled font lacks, by the names of their scripts.
_SCRIPTS = {"Chinese, Japanese and Korean": "夜", "Arabic": "م", "Hindi": "क", "emoji": "🎵"}


def check_fonts(config: ServerConfig) -> None:
    """Check that the font files can be read.

    Raises:
        ConfigurationError: One cannot.
    """
    from mp4gen.render import fonts

    for path in config.style.font_files:
        if not fonts.is_loadable(path):
            raise ConfigurationError(
                f"Cannot read the font file {path}. Choose a TrueType or OpenType file with --font."
            )


def describe_fonts(config: ServerConfig) -> str:
    """Return for which scripts there is a font, as a sentence."""
    from mp4gen.render import fonts

    missing = [
        script
        for script, char in _SCRIPTS.items()
        if not fonts.find_font(
            frozenset({ord(char)}), "regular", config.style.font_files, emoji=script == "emoji"
        )
    ]
    if missing:
        return (
            f"There is no font for {', '.join(missing)}: videos leave out such letters. Install "
            "one, for instance Noto, or pass a font file with --fallback-font."
        )
    return "There is a font for every script that was checked."


def check_pictures(config: ServerConfig) -> None:
    """Check that the pictures can be read.

    Raises:
        ConfigurationError: One cannot.
    """
    if not (names := _picture_options(config)):
        return
    from mp4gen.render import preparation

    try:
        preparation.check_pictures(config.style)
    except RenderError as error:
        raise ConfigurationError(f"{error} It was given with {' or '.join(names)}.") from error


def describe_pictures(config: ServerConfig) -> str:
    """Return which pictures were checked, as a sentence."""
    names = _picture_options(config)
    return f"{' and '.join(names)} can be read." if names else "The style names no pictures."


def _picture_options(config: ServerConfig) -> list[str]:
    """Return the options that name a picture."""
    style = config.style
    background = ["--background"] if is_picture(style.background) else []
    return [*background, *(["--logo"] if style.logo else [])]

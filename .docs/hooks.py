"""Fill the command-line page with the help of the commands, so that the two never differ."""

from pathlib import Path
from typing import Any

from mp4gen.cli.app import build

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark by the help of each command."""
    if MARK not in markdown:
        return markdown
    text = build().generate_docs(output_format="markdown", heading_level=1)
    # From the first command on; the introduction above it is written by hand.
    commands = text[text.index("## mp4gen ") :]
    return markdown.replace(MARK, commands.replace(str(Path.home()), "~"))

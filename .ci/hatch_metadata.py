"""Completes the metadata of a release: links of the project, and absolute links in the README.

The package page of an index shows the README far from the repository, where its relative links lead
nowhere. The release workflow knows the address of the repository; other builds leave the README as
it is.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# (path of a file or folder in the repository): not a URL, and not a place in the page.
_LINK = re.compile(r"(!?)(\[[^\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")


class RepositoryLinks(MetadataHookInterface):
    """Sets `readme` and `urls`, by `MP4GEN_REPOSITORY_URL` and `MP4GEN_REPOSITORY_REF`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the two fields."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        url = os.environ.get("MP4GEN_REPOSITORY_URL", "").rstrip("/")
        ref = os.environ.get("MP4GEN_REPOSITORY_REF", "main")
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": absolute_links(text, url, ref) if url else text,
        }
        metadata["urls"] = links(url, ref) if url else {}


def absolute_links(text: str, url: str, ref: str) -> str:
    """Return Markdown whose pictures and links lead into the repository at `url`."""

    def absolute(match: re.Match[str]) -> str:
        bang, label, path = match.groups()
        return f"{bang}{label}({url}/{'raw' if bang else 'blob'}/{ref}/{path})"

    return _LINK.sub(absolute, text)


def links(url: str, ref: str) -> dict[str, str]:
    """Return the links that a package page shows."""
    return {
        "Source": url,
        "Documentation": f"{url}/tree/{ref}/.docs/pages",
        "Changelog": f"{url}/blob/{ref}/CHANGELOG.md",
        "Issues": f"{url}/issues",
    }

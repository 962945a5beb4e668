"""What a machine renders with: two that agree make the same bytes of a job."""

import contextlib
import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import attrs

from mp4gen.version import package_version

_PACKAGES = ("av", "mutagen", "numpy", "pillow")


@attrs.frozen
class Environment:
    """What a machine renders with.

    Attributes:
        version: The version of mp4gen.
        packages: The versions of the packages that draw and encode, by name.
        fonts: A digest of the names and sizes of the system's fonts.
    """

    version: str
    packages: dict[str, str]
    fonts: str

    def differences(self, other: "Environment") -> Iterator[str]:
        """Yield the end of a sentence for each difference from that of a server."""
        for name in sorted(self.packages.keys() | other.packages):
            mine, theirs = (one.packages.get(name, "none") for one in (self, other))
            if mine != theirs:
                yield (
                    f"has {name} {mine}, and the server has {theirs}: its videos may have other "
                    "bytes. Install the same version on both."
                )
        if self.fonts != other.fonts:
            yield (
                "has other fonts than the server: titles that the bundled font cannot show may "
                "look different. Install the same font packages on both."
            )


def read_environment() -> Environment:
    """Return what this machine renders with."""
    from mp4gen.render import fonts

    digest = hashlib.sha256()
    for path in map(Path, fonts.system_fonts("regular")):
        with contextlib.suppress(OSError):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    return Environment(package_version(), dict(_versions()), digest.hexdigest()[:16])


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            yield name, version(name)

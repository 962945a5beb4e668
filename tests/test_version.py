"""The version of the package, with and without its metadata."""

import importlib.metadata

import pytest

from mp4gen.version import package_version


def test_package_version_is_the_installed_one() -> None:
    """It comes from the metadata of the distribution."""
    package_version.cache_clear()

    assert package_version() == importlib.metadata.version("mp4gen")


def test_package_version_is_unknown_without_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the source tree works too: no call fails for want of metadata."""

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    package_version.cache_clear()

    assert package_version() == "unknown"
    package_version.cache_clear()

"""The version of the package, with and without its metadata."""

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import mp4gen
from mp4gen.transport.http import user_agent
from mp4gen.version import package_version

PACKAGE = Path(mp4gen.__file__).parent
PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
import mp4gen.cli
from mp4gen.testing import FakeService
with FakeService() as service:
    mp4gen.cli.main(["credits", "--base-url", service.url, "--key", "some-key", "--json"])
    print(service.requests[0].headers["user-agent"], mp4gen.__file__)
    mp4gen.cli.main(["--version"])
"""


@pytest.fixture(autouse=True)
def _forget_version() -> Iterator[None]:
    package_version.cache_clear()
    yield
    package_version.cache_clear()


def test_package_version_is_the_installed_one() -> None:
    """It comes from the metadata of the distribution."""
    assert package_version() == mp4gen.__version__ == importlib.metadata.version("mp4gen")
    assert user_agent() == f"mp4gen/{package_version()}"


@pytest.mark.parametrize("problem", [importlib.metadata.PackageNotFoundError, KeyError, None])
def test_package_version_is_unknown_without_metadata(
    monkeypatch: pytest.MonkeyPatch, problem: type[Exception] | None
) -> None:
    """Failure mode 45: missing or empty metadata fails no call; the user agent has no version."""

    def read_version(name: str) -> None:
        if problem is not None:
            raise problem(name)

    monkeypatch.setattr(importlib.metadata, "version", read_version)

    assert package_version() == "unknown"
    assert user_agent() == "mp4gen"


@pytest.fixture
def dependencies(tmp_path: Path) -> Path:
    """Return a folder with all installed packages but ours, without their `.pth` files."""
    folder = tmp_path / "dependencies"
    folder.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "mp4gen" not in path.name and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    return folder


def copy_package(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package and nothing else."""
    shutil.copytree(
        PACKAGE, tmp_path / "copy" / "mp4gen", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "copy"


def zip_package(tmp_path: Path) -> Path:
    """Return a zip file with the package, as in a zipapp."""
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        for path in PACKAGE.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(PACKAGE.parent))
    return tmp_path / "app.pyz"


@pytest.mark.slow
@pytest.mark.parametrize("pack", [copy_package, zip_package])
def test_package_works_without_metadata(
    tmp_path: Path, dependencies: Path, pack: Callable[[Path], Path]
) -> None:
    """Failure mode 45: from a bare folder and from a zip file, without site-packages."""
    package = pack(tmp_path)
    expected = [
        '{"credits": 1000.0}',
        f"mp4gen {package / 'mp4gen' / '__init__.py'}",
        "mp4gen unknown",
    ]

    command = [sys.executable, "-I", "-S", "-c", PROGRAM, str(package), str(dependencies)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert (result.stdout.splitlines(), result.stderr) == (expected, "")

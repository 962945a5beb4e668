"""The commands of the checks: `nox -f .ci/noxfile.py --list` describes them.

The workflows run each of them in an environment of its own. `.ci/run` runs some of them in the
environment of the tests (`--no-venv --no-install`). Arguments after `--` go to the command.
"""

import os
import shutil
import tarfile
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
DIST, BUILD = ROOT / "dist", ROOT / "build"
BIN = "Scripts" if os.name == "nt" else "bin"
nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "docs", "tests"]


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Run the suite on a version of Python."""
    session.chdir(ROOT)
    session.install("-e", ".[all,dev]")
    session.run("python", "-m", "pytest", "-q", *session.posargs)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Run the suite with the lowest version of each dependency."""
    session.chdir(ROOT)
    constraints = Path(session.create_tmp(), "lowest.txt")
    constraints.write_text(session.run("python", ".ci/lowest.py", silent=True) or "")
    session.install("-c", str(constraints), "-e", ".[all,dev]")
    session.run("python", "-m", "pytest", "-q", *(session.posargs or ["-m", "not browser"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style of the code with ruff."""
    session.chdir(ROOT)
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types with mypy, on each operating system."""
    session.chdir(ROOT)
    session.install("-e", ".[all,dev]")
    for platform in ("linux", "darwin", "win32"):
        session.run("mypy", "--platform", platform)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into `.docs/site`; fail at each warning."""
    session.chdir(ROOT)
    session.install("-e", ".[all,docs]")
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    session.run("mkdocs", "build", "--strict", "-q", "-f", ".docs/mkdocs.yml", *session.posargs)


@nox.session
def simulation(session: nox.Session) -> None:
    """Run 200 seeds of faults and kills; on a simulated network from Python 3.12 on."""
    session.chdir(ROOT)
    session.install("-e", ".[all,dev]")
    seeds = session.posargs or ["--seeds", "0:200"]
    session.run("python", "benchmarks/simulation.py", *seeds)


@nox.session(python="3.11")
def mutation(session: nox.Session) -> None:
    """Change the code in small ways: tests must notice 85 % of 300 changes in each package."""
    session.chdir(ROOT)
    session.install("-e", ".[all,dev]", "mutmut==3.8.1")
    session.run("python", ".ci/mutation.py", *(session.posargs or ["--limit", "300"]))


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure the published figures in less than 15 minutes, into `build/figures.json`."""
    session.chdir(ROOT)
    session.install("-e", ".[all,dev]")
    BUILD.mkdir(exist_ok=True)
    options = session.posargs or ["--quick", "--json", str(BUILD / "figures.json")]
    session.run("python", "-m", "benchmarks", *options)


@nox.session
def build(session: nox.Session) -> None:
    """Build the sdist, and from it the wheel, into `dist/`."""
    session.chdir(ROOT)
    session.install("build", "twine")
    shutil.rmtree(DIST, ignore_errors=True)
    session.run("python", "-m", "build", "-q")
    session.run("twine", "check", "--strict", *map(str, DIST.iterdir()))


@nox.session(requires=["build"])
def lock(session: nox.Session) -> None:
    """Write what the wheel is tested with into `build/`: constraints for pip, and an SBOM."""
    session.chdir(ROOT)
    session.install("pip>=23.1", "cyclonedx-bom>=7")
    environment, wheel = Path(session.create_tmp(), "environment"), built_wheel()
    release = "-".join(wheel.name.split("-")[:2])
    session.run("python", "-m", "venv", "--clear", "--without-pip", str(environment))
    python = str(environment / BIN / "python")
    pip = ["python", "-m", "pip", "--python", python]
    session.run(*pip, "install", "-q", f"{wheel}[all,dask,redis,s3]")
    frozen = session.run(*pip, "freeze", "--exclude", "mp4gen", silent=True)
    BUILD.mkdir(exist_ok=True)
    (BUILD / f"{release}-constraints.txt").write_text(frozen or "")
    bom = str(BUILD / f"{release}.cdx.json")
    options = ["--pyproject", "pyproject.toml", "--mc-type", "library", "--output-reproducible"]
    session.run("cyclonedx-py", "environment", python, *options, "-o", bom)


@nox.session(requires=["lock"])
def wheel(session: nox.Session) -> None:
    """Run the quick tests of the sdist with the wheel and the versions of `lock`."""
    session.chdir(ROOT)
    (constraints,) = BUILD.glob("*-constraints.txt")
    session.install("-c", str(constraints), f"{built_wheel()}[all,dev]")
    scratch = Path(session.create_tmp(), "sdist")
    shutil.rmtree(scratch, ignore_errors=True)
    with tarfile.open(next(DIST.glob("*.tar.gz"))) as sdist:
        sdist.extractall(scratch, filter="data")
    (unpacked,) = scratch.glob("mp4gen-*/")
    # Only the installed package is left to import.
    code = "import mp4gen, pathlib; print(pathlib.Path(mp4gen.__file__).parent)"
    installed = session.run("python", "-P", "-c", code, silent=True) or ""
    shutil.rmtree(unpacked / "mp4gen")
    (unpacked / "mp4gen").symlink_to(installed.strip())
    session.chdir(unpacked)
    selected = session.posargs or ["-m", "not slow and not browser"]
    session.run("python", "-m", "pytest", "-q", *selected)


@nox.session(requires=["build"])
def extras(session: nox.Session) -> None:
    """Use the wheel with each extra in an empty environment, on each Python after `--`."""
    session.chdir(ROOT)
    session.install("moto[s3]>=5.1", "flask>=3.1", "flask-cors>=5")
    session.run("python", ".ci/check_wheel.py", str(built_wheel()), *session.posargs)


def built_wheel() -> Path:
    """Return the wheel in `dist/`."""
    (found,) = DIST.glob("*.whl")
    return found

"""Build the package, and use its wheel with each extra in an empty environment.

    pip install build twine && python .ci/check_wheel.py python3.11 python3.14

Each argument is a Python to try; the one that runs this script by default.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
SONG = ROOT / "mp4gen" / "cli" / "demo_music" / "Night Train.opus"
USE_THE_SDK = """
import asyncio
import mp4gen
from mp4gen.testing import FakeService

async def main():
    async with FakeService() as service, service.client() as client:
        video = await client.convert(mp4gen.VideoRequest("music", "track"))
        print(await client.download(video, "videos/"))

asyncio.run(main())
"""
USE_REDIS = """
from mp4gen.redis import RedisRateLimiter

print(RedisRateLimiter("redis://localhost", name="account"))
"""
COMMANDS = {
    "": ["python", "-c", USE_THE_SDK],
    "cli": ["mp4gen", "--help"],
    "render": ["mp4gen", "render", SONG, "--to", "song.mp4"],
    "server": [
        "mp4gen",
        "serve",
        "--check",
        "--music",
        SONG.parent,
        "--data",
        "data",
        "--port",
        "0",
    ],
    "s3": ["python", "-c", "import mp4gen.server.videos.bucket"],
    "redis": ["python", "-c", USE_REDIS],
    "all": ["mp4gen", "demo", "--to", "videos"],
}


def run(command: Sequence[object], **options: object) -> None:
    """Run a command, and end with its output if it fails."""
    ended = subprocess.run(  # noqa: S603 - our own commands
        [*map(str, command)],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,  # type: ignore[call-overload]
    )
    if ended.returncode:
        raise SystemExit(f"{command}\n{ended.stdout}")


def build(folder: Path) -> Path:
    """Build sdist and wheel, check what an index will show, and return the wheel."""
    variables = {**os.environ, "MP4GEN_REPOSITORY_URL": "https://example.com/mp4gen"}
    run([sys.executable, "-m", "build", "-q", "--outdir", folder, ROOT], env=variables)
    run([sys.executable, "-m", "twine", "check", "--strict", *folder.iterdir()])
    return next(folder.glob("*.whl"))


def use(wheel: Path, extra: str, python: str, folder: Path) -> None:
    """Install the wheel with an extra in a new environment, and run its command."""
    environment = folder / "environment"
    run([python, "-m", "venv", environment])
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    run([programs / "pip", "install", "-q", f"{wheel}[{extra}]" if extra else wheel])
    program, *arguments = COMMANDS[extra]
    run([programs / str(program), *arguments], cwd=folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        built = build(Path(scratch, "dist"))
        print(f"{built.name}: built, checked by twine", flush=True)
        for python in sys.argv[1:] or [sys.executable]:
            for extra in COMMANDS:
                folder = Path(tempfile.mkdtemp(dir=scratch))
                use(built, extra, python, folder)
                print(f"{python}: mp4gen{f'[{extra}]' if extra else ''} works", flush=True)

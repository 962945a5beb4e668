"""Use a wheel with each extra in an empty environment, by a command that needs the extra.

    pip install moto[s3] flask flask-cors && python .ci/check_wheel.py WHEEL [PYTHON...]

Each PYTHON is a Python to try; the one that runs this script by default.
"""

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

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
# `--check` renders one second in the cluster.
USE_DASK = """
import subprocess, sys
from distributed import LocalCluster

if __name__ == "__main__":
    options = dict(n_workers=1, threads_per_worker=1, dashboard_address=None)
    with LocalCluster(host="127.0.0.1", **options) as cluster:
        url = cluster.scheduler_address.replace("tcp", "dask")
        command = [sys.executable, "-m", "mp4gen", *sys.argv[1:], "--executor", url]
        sys.exit(subprocess.run(command).returncode)
"""
BUCKET = "videos"
CHECK = ["serve", "--check", "--music", SONG.parent, "--data", "data", "--port", "0"]
COMMANDS = {
    "": ["python", "-c", USE_THE_SDK],
    "cli": ["mp4gen", "--help"],
    "render": ["mp4gen", "render", SONG, "--to", "song.mp4"],
    "server": ["mp4gen", *CHECK],
    "s3": ["mp4gen", *CHECK, "--files", f"s3://{BUCKET}/mp4gen"],
    "redis": ["python", "-c", USE_REDIS],
    "dask": ["python", "program.py", *CHECK],
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


def use(wheel: Path, extra: str, python: str, folder: Path) -> None:
    """Install the wheel with an extra in a new environment, and run its command."""
    environment = folder / "environment"
    run([python, "-m", "venv", environment])
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    run([programs / "pip", "install", "-q", f"{wheel}[{extra}]" if extra else wheel])
    (folder / "program.py").write_text(USE_DASK, encoding="utf-8")
    program, *arguments = COMMANDS[extra]
    run([programs / str(program), *arguments], cwd=folder)


@contextmanager
def object_storage() -> Iterator[str]:
    """Run an S3 server with an empty bucket on loopback, and yield its URL."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        output = process.stdout or ()
        url = next(filter(None, (re.search(r"http://[\w.:]+", line) for line in output)))[0]
        # It logs each request, and must not wait for a reader.
        threading.Thread(target=lambda: list(output), daemon=True).start()
        try:
            urlopen(Request(f"{url}/{BUCKET}", method="PUT")).close()  # noqa: S310 - http on loopback
            yield url
        finally:
            process.terminate()


def main(wheel: Path, pythons: Sequence[str]) -> None:
    """Try each extra with each Python."""
    with tempfile.TemporaryDirectory() as scratch, object_storage() as url:
        os.environ |= {"AWS_ENDPOINT_URL": url, "AWS_REGION": "us-east-1"}
        os.environ |= {"AWS_ACCESS_KEY_ID": "test-key", "AWS_SECRET_ACCESS_KEY": "test-secret"}
        for python in pythons or [sys.executable]:
            for extra in COMMANDS:
                folder = Path(tempfile.mkdtemp(dir=scratch))
                use(wheel.resolve(), extra, python, folder)
                print(f"{python}: mp4gen{f'[{extra}]' if extra else ''} works", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

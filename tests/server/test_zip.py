"""The server and its workers, imported from a zip file."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import mp4gen

from .conftest import write_song

PACKAGE = Path(mp4gen.__file__).parent
PROGRAM = """
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
import aiohttp
import mp4gen
from mp4gen.render import RenderStyle
from mp4gen.server import Server, ServerConfig

async def get(session, url):
    async with session.get(url) as answer:
        return [answer.status, answer.content_type, len(await answer.read())]

async def main():
    style = RenderStyle(width=256, height=144, fps=24)
    config = ServerConfig(
        music=sys.argv[2], data=sys.argv[3], port=0, style=style, workers=1, min_free_bytes=0
    )
    async with Server(config) as server, aiohttp.ClientSession() as session:
        for path in ("/", "/page/asset/app.js", "/page/asset/Inter-Regular.ttf"):
            print(json.dumps(await get(session, server.url + path)))
        async with mp4gen.Client("some-key", base_url=server.url) as client:
            video = await client.convert(mp4gen.VideoRequest("album", "one"))
        print(json.dumps(await get(session, video.url)))
    print(mp4gen.__file__)

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.slow
def test_server_works_from_a_zip_file(tmp_path: Path) -> None:
    """The page, its fonts and the renders need no file of the package on the disk.

    Failure mode 45.
    """
    write_song(tmp_path / "music" / "album" / "one.wav")
    archive = tmp_path / "app.pyz"
    with zipfile.ZipFile(archive, "w") as packed:
        for path in PACKAGE.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                packed.write(path, path.relative_to(PACKAGE.parent))
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [
        sys.executable,
        tmp_path / "program.py",
        archive,
        tmp_path / "music",
        tmp_path / "data",
    ]

    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    *answers, module = ended.stdout.splitlines() or [""]
    assert ended.returncode == 0, ended.stderr
    assert [tuple(json.loads(answer)[:2]) for answer in answers] == [
        (200, "text/html"),
        (200, "text/javascript"),
        (200, "font/ttf"),
        (200, "video/mp4"),
    ]
    assert str(archive) in module

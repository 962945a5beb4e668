"""The server behind a proxy, beside another server, and asked by simple health checks."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from .conftest import Serve

ONE = {"task": "album", "audio": "one"}
PUBLIC = "https://music.example/video"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://music.example", 200),
        ("https://music.example:443", 200),
        ("http://music.example", 403),
        ("https://music.example:8443", 403),
        ("https://evil.example", 403),
        ("null", 403),
    ],
)
async def test_origin_of_the_public_url_may_change_things(
    serve: Serve, visit: Any, origin: str, status: int
) -> None:
    """A proxy sends its own address as `Host`; the page's origin is then that of `public_url`."""
    visitor = visit(await serve(public_url=PUBLIC))
    await visitor.open()

    created = await visitor.ask("POST", "/page/videos", json=ONE, headers={"Origin": origin})

    assert created[0] == status
    if status == 403:
        assert b"--public-url" in created[2]


@pytest.mark.parametrize("public_url", [PUBLIC, PUBLIC + "/"])
@pytest.mark.parametrize("prefix", ["", "/video"], ids=["proxy removes the path", "proxy keeps it"])
async def test_page_and_api_work_below_a_path(
    serve: Serve, visit: Any, public_url: str, prefix: str
) -> None:
    """Whether the proxy removes the path of the public URL or not, everything is found."""
    caller = await serve(public_url=public_url)
    visitor = visit(caller)
    visitor.url += prefix

    state = await visitor.open()
    created = await visitor.create(**ONE)
    listed = await visitor.ask("GET", "/api/v1/mp4/record-info", params={"taskId": created})
    page = await visitor.ask("GET", "/")

    assert state["token"]
    assert created.encode() in listed[2]
    assert (await visitor.ask("GET", "/healthz"))[0] == 200
    assert b'="/' not in page[2], "a link of the page is not relative"
    assert (await visitor.ask("GET", "/page/asset/app.js"))[0] == 200


async def test_public_path_without_its_slash_is_redirected(serve: Serve) -> None:
    """The links of the page are relative, so `/video` leads to `/video/`."""
    caller = await serve(public_url=PUBLIC)

    async with caller.session.get(caller.url + "/video", allow_redirects=False) as response:
        assert response.status == 308
        assert response.headers["Location"] == "/video/"


@pytest.mark.parametrize("headers", ["", "Connection: close\r\n"])
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/generate/credit"])
async def test_request_without_host_is_answered(serve: Serve, headers: str, path: str) -> None:
    """Health checks of load balancers use HTTP/1.0 without a `Host`; browsers always send one."""
    caller = await serve()
    port = int(caller.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    writer.write(f"GET {path} HTTP/1.0\r\n{headers}\r\n".encode())
    response = await reader.read()
    writer.close()

    assert b" 200 OK" in response.partition(b"\r\n")[0]


async def test_events_are_not_buffered_by_a_proxy(serve: Serve, visit: Any) -> None:
    """The events tell nginx to pass each on at once."""
    visitor = visit(await serve())
    await visitor.open()

    async with visitor.session.get(visitor.url + "/page/events") as events:
        assert events.headers["X-Accel-Buffering"] == "no"


async def test_two_servers_of_a_host_keep_their_sessions_apart(
    serve: Serve, visit: Any, tmp_path: Any
) -> None:
    """Browsers send cookies to all ports of a host: a sign-in at one server ends no other."""
    first = await serve(key="key-a")
    second = await serve(key="key-b", data=tmp_path / "second")
    visitor = visit(first)
    for caller, key in ((first, "key-a"), (second, "key-b")):
        visitor.url = caller.url
        assert (await visitor.ask("POST", "/page/login", json={"key": key}))[0] == 200

    for caller in (first, second):
        visitor.url = caller.url
        await visitor.state()
        assert (await visitor.ask("POST", "/page/videos", json=ONE))[0] == 200


async def test_link_from_another_site_keeps_open_tabs_working(serve: Serve, visit: Any) -> None:
    """Such a link arrives without the strict cookie and begins a session; tabs need no reload."""
    visitor = visit(await serve())
    await visitor.open()
    cookies = len(visitor.session.cookie_jar)

    visitor.session.cookie_jar.clear()
    followed = await visitor.ask("GET", "/")
    created = await visitor.ask("POST", "/page/videos", json=ONE)

    assert cookies == 1
    assert "Set-Cookie" in followed[1]
    assert created[0] == 200


NGINX, CADDY = shutil.which("nginx"), shutil.which("caddy")
RECIPES = Path(__file__).parents[2] / ".docs" / "pages" / "how-to" / "behind-a-proxy.md"


def nginx_config(folder: Path, port: int, backend: str) -> str:
    """Return the first recipe of the documentation and its recipe below a path, on loopback."""
    server, location = re.findall(r"```nginx\n(.*?)```", RECIPES.read_text(), re.DOTALL)
    server = re.sub(r"ssl_certificate.*;|server_name.*;", "", server)
    server = server.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    server = server.rstrip().removesuffix("}") + location + "}"
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    http = server.replace("127.0.0.1:8787", backend.removeprefix("http://"))
    return (
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;\n"
        f"events {{}}\nhttp {{ access_log off;\n{paths}{http}}}\n"
    )


def caddy_config(folder: Path, port: int, backend: str, path: str) -> str:
    """Return the documented recipe of Caddy on loopback, without its certificates."""
    root, below = re.findall(r"```caddy\n(.*?)```", RECIPES.read_text(), re.DOTALL)
    site = re.sub(r"^\S+ \{", f"http://127.0.0.1:{port} {{", below if path else root)
    site = site.replace("127.0.0.1:8787", backend.removeprefix("http://"))
    return f"{{\nadmin off\nstorage file_system {folder}\n}}\n{site}"


def proxy_command(name: str, folder: Path, port: int, backend: str, path: str) -> list[str]:
    """Write the configuration of a proxy; return the command that runs it."""
    folder.mkdir()
    config = folder / "config"
    if name == "caddy":
        config.write_text(caddy_config(folder, port, backend, path))
        return [str(CADDY), "run", "--adapter", "caddyfile", "--config", str(config)]
    config.write_text(nginx_config(folder, port, backend))
    return [str(NGINX), "-p", str(folder), "-e", str(folder / "start.log"), "-c", str(config)]


PROXIES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"{name} is not installed"),
    )
    for name in ("nginx", "caddy")
]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", "/video"], ids=["root", "below a path"])
@pytest.mark.parametrize("name", PROXIES)
async def test_documented_proxy_recipe_works(  # noqa: PLR0917 - fixtures
    serve: Serve, visit: Any, tmp_path: Path, unused_tcp_port: int, name: str, path: str
) -> None:
    """Behind a proxy as documented, a user signs in, creates a video and sees its events."""
    public = f"http://127.0.0.1:{unused_tcp_port}"
    caller = await serve(key="key-a", public_url=public + path)
    command = proxy_command(name, tmp_path / "proxy", unused_tcp_port, caller.url, path)
    proxy = await asyncio.create_subprocess_exec(*command, env={"HOME": str(tmp_path)})
    visitor = visit(caller)
    visitor.url = public + path
    try:
        while (await probe(visitor)) != 200:
            assert proxy.returncode is None, "the proxy ended"
            await asyncio.sleep(0.05)
        origin = {"Origin": public}
        signed_in = await visitor.ask("POST", "/page/login", json={"key": "key-a"}, headers=origin)
        await visitor.state()
        async with visitor.session.get(visitor.url + "/page/events") as events:
            await events.content.readline()
            created = await visitor.ask("POST", "/page/videos", json=ONE, headers=origin)
            await events.content.readuntil(b"\n\n")
        caller.headers = {"Authorization": "Bearer key-a"}
        details = await caller.wait_until_finished(json.loads(created[2])["ids"][0])
        video = details["response"]["videoUrl"]
        async with visitor.session.get(video, headers={"Range": "bytes=0-9"}) as response:
            assert response.status == 206
    finally:
        if proxy.returncode is None:
            proxy.terminate()
        await proxy.wait()

    assert signed_in[0] == 200
    assert created[0] == 200
    assert video.startswith(f"{public}{path}/files/")


async def probe(visitor: Any) -> int:
    """Return the status of the health check; 0 if nothing answers."""
    try:
        return int((await visitor.ask("GET", "/healthz"))[0])
    except aiohttp.ClientError:
        return 0

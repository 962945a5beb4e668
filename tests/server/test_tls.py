"""The server's own https: a certificate that works, and each one that cannot."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import mp4gen
from mp4gen import ConfigurationError, VideoRequest
from mp4gen.server import Server, ServerConfig
from mp4gen.server.preflight import run_checks

from .conftest import FAST_STYLE, Serve

# For localhost and 127.0.0.1, with its key.
CERTIFICATE = Path(__file__).parents[1] / "support_self_signed.pem"
OPENSSL = shutil.which("openssl")
COMMANDS = """
req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out good.pem -days 9 -subj /CN=x
req -new -key key.pem -subj /CN=x -out request.pem
x509 -req -in request.pem -signkey key.pem -days -1 -out expired.pem
req -x509 -newkey rsa:1024 -nodes -keyout weak-key.pem -out weak.pem -subj /CN=x
genrsa -out other-key.pem 2048
ecparam -genkey -name prime256v1 -noout -out curve-key.pem
pkey -in key.pem -aes128 -passout pass:sentinel -out encrypted-key.pem
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with certificates and keys of each kind."""
    if OPENSSL is None:
        pytest.skip("needs the openssl program")
    folder = tmp_path_factory.mktemp("tls")
    for command in COMMANDS.strip().splitlines():
        subprocess.run([OPENSSL, *command.split()], cwd=folder, check=True, capture_output=True)
    (folder / "text.pem").write_text("no certificate")
    return folder


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATE)


@pytest.mark.slow
async def test_server_with_a_certificate_makes_videos_over_https(
    serve: Serve, tmp_path: Path
) -> None:
    """Every URL in its answers is https, and the SDK fetches the video over it."""
    caller = await serve(tls_cert=CERTIFICATE, tls_key=CERTIFICATE, key="sentinel-key-7f3a")

    async with mp4gen.Client(
        "sentinel-key-7f3a", base_url=caller.url, ssl_context=trusting()
    ) as client:
        video = await client.convert(VideoRequest("album", "one"))
        path = await client.download(video, tmp_path / "one.mp4")

    assert caller.url.startswith("https://127.0.0.1:")
    assert video.url.startswith(f"{caller.url}/files/")
    assert path.read_bytes()[4:8] == b"ftyp"


async def test_cookie_of_the_page_is_secure_over_https(serve: Serve, visit: Any) -> None:
    """Even if the browser sends no `Origin`."""
    caller = await serve(tls_cert=CERTIFICATE, tls_key=CERTIFICATE, key="key-a")
    visitor = visit(caller)

    login = await visitor.ask("POST", "/page/login", json={"key": "key-a"}, ssl=trusting())

    assert login[0] == 200
    assert "secure" in login[1]["Set-Cookie"].lower()


async def test_plain_http_is_not_answered_on_the_https_port(serve: Serve) -> None:
    """A key that is sent there by mistake gets no answer."""
    caller = await serve(tls_cert=CERTIFICATE, tls_key=CERTIFICATE)

    with pytest.raises(aiohttp.ClientError):
        await caller.session.get(caller.url.replace("https", "http"))


@pytest.mark.parametrize(
    ("certificate", "key", "problem"),
    [
        ("none.pem", "key.pem", "Cannot read {}/none.pem for --tls-cert: No such file"),
        ("good.pem", "none.pem", "Cannot read {}/none.pem for --tls-key: No such file"),
        ("good.pem", ".", "for --tls-key: Is a directory"),
        ("text.pem", "key.pem", "Invalid --tls-cert: {}/text.pem"),
        ("key.pem", "key.pem", "Invalid --tls-cert: {}/key.pem"),
        ("good.pem", "good.pem", "Invalid --tls-key: {}/good.pem"),
        ("good.pem", "other-key.pem", "other-key.pem does not belong to the certificate"),
        ("good.pem", "curve-key.pem", "curve-key.pem does not belong to the certificate"),
        ("good.pem", "encrypted-key.pem", "it is encrypted with a password"),
        ("expired.pem", "key.pem", "expired.pem has expired"),
        ("weak.pem", "weak-key.pem", "weak.pem is too weak"),
    ],
)
async def test_invalid_certificate_is_reported_at_the_start(
    files: Path, tmp_path: Path, certificate: str, key: str, problem: str
) -> None:
    """One sentence with what to do, and nothing is created."""
    config = ServerConfig(
        music=files, data=tmp_path / "data", port=0, tls_cert=files / certificate,
        tls_key=files / key,
    )  # fmt: skip

    with pytest.raises(ConfigurationError) as caught:
        async with Server(config):
            pass

    assert problem.format(files) in str(caught.value)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", ["tls_cert", "tls_key"])
def test_certificate_and_key_need_each_other(name: str) -> None:
    """One of them alone would silently serve plain http."""
    settings: dict[str, Any] = {"music": ".", name: "x.pem"}

    with pytest.raises(ConfigurationError, match=f"The setting {name} needs tls_"):
        ServerConfig(**settings)


async def checks(**settings: Any) -> dict[str, tuple[bool, str]]:
    config = ServerConfig(style=FAST_STYLE, port=0, min_free_bytes=0, **settings)
    found = {}
    async for result in run_checks(config):
        found[result.name] = (result.passed, result.message)
        if result.name == "port":
            break
    return found


async def test_check_reports_the_certificate(music: Path, tmp_path: Path) -> None:
    """Until when and for which names it is valid, and the https URL."""
    found = await checks(music=music, data=tmp_path, tls_cert=CERTIFICATE, tls_key=CERTIFICATE)

    passed, message = found["tls"]
    assert passed
    assert message == (
        "The certificate is valid until Oct 31 08:00:54 2126 GMT, for localhost, 127.0.0.1."
    )
    assert found["port"][1].startswith("https://")


async def test_check_fails_with_an_expired_certificate(
    files: Path, music: Path, tmp_path: Path
) -> None:
    """The start would fail, too."""
    found = await checks(
        music=music, data=tmp_path, tls_cert=files / "expired.pem", tls_key=files / "key.pem"
    )

    assert found["tls"] == (
        False,
        f"The certificate {files}/expired.pem has expired. Make a new one, or correct the clock.",
    )

"""The units, the Dockerfile and the compose files of `.docs/deploy/`, without a daemon."""

import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from mp4gen.cli.serve_options import Access, Limits, Service, Video

DEPLOY = Path(__file__).parents[2] / ".docs" / "deploy"
PROGRAM = [sys.executable, "-m", "mp4gen"]
# Options of `serve` that are not settings.
FURTHER = {"LOG_FORMAT"}


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Run a command of this machine and return its output."""
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=["mp4gen.service", "mp4gen-worker.service"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A unit with a program that exists on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    text = (DEPLOY / request.param).read_text()
    path = tmp_path / request.param
    path.write_text(re.sub("/opt/mp4gen/bin/(mp4gen|dask)", "/bin/true", text))
    return path


def test_systemd_accepts_the_unit(unit: Path) -> None:
    """There is no unknown or invalid line."""
    verified = run("systemd-analyze", "verify", unit)

    assert (verified.returncode, verified.stderr) == (0, "")


def test_systemd_unit_has_a_low_exposure(unit: Path) -> None:
    """Of the ten points of `systemd-analyze security`, two are left: it must use the network."""
    examined = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)

    assert examined.returncode == 0, examined.stdout


def dask_commands() -> list[list[str]]:
    """Return each command of Dask that a unit or a compose file starts."""
    unit = (DEPLOY / "mp4gen-worker.service").read_text()
    lists = re.findall(r'\["dask", .*\]', (DEPLOY / "compose-dask.yaml").read_text())
    return [
        shlex.split(re.findall(r"^ExecStart=\S+/(dask .*)", unit, re.MULTILINE)[0]),
        *(json.loads(text) for text in lists),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("command", dask_commands(), ids=lambda command: command[1])
def test_dask_knows_each_option(command: list[str]) -> None:
    """Each option of the commands is one that Dask lists."""
    pytest.importorskip("distributed", reason="needs the dask extra")
    program = "import sys; sys.argv[0] = 'dask'; from dask.__main__ import main; main()"
    listed = run(sys.executable, "-c", program, command[1], "--help")

    assert listed.returncode == 0, listed.stderr
    options = {word for word in command if word.startswith("--")}
    assert {name for name in options if name not in listed.stdout} == set()


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the last stage of the Dockerfile."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in lines]
    last = max(index for index, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


def image_environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    settings = [text for name, text in dockerfile() if name == "ENV"]
    return dict(word.split("=", 1) for text in settings for word in shlex.split(text))


def test_files_name_existing_options() -> None:
    """Each variable is an option of `mp4gen serve`."""
    groups: Any = (Service, Access, Video, Limits)
    options = {field.name.upper() for group in groups for field in attrs.fields(group)} | FURTHER

    text = "".join(path.read_text() for path in DEPLOY.iterdir())
    named = set(re.findall(r"MP4GEN_SERVE_(\w+)", text))

    assert named
    assert named - options == set()


def test_image_has_no_root_and_keeps_its_data() -> None:
    """The last stage changes the user, has a volume for the data, and asks for its health."""
    instructions = dict(dockerfile())

    assert instructions["USER"] == "mp4gen"
    assert instructions["VOLUME"] == image_environment()["MP4GEN_SERVE_DATA"]
    assert "/healthz" in instructions["HEALTHCHECK"]
    assert "mp4gen.key" not in "".join(instructions.values())


def test_compose_file_fits_the_image() -> None:
    """It mounts what the image expects, and takes every privilege away."""
    yaml = pytest.importorskip("yaml")
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    service, image = compose["services"]["mp4gen"], image_environment()

    targets = [
        volume.rsplit(":", 2 if volume.endswith(":ro") else 1)[1] for volume in service["volumes"]
    ]

    assert targets == [image["MP4GEN_SERVE_MUSIC"], image["MP4GEN_SERVE_DATA"]]
    assert image["MP4GEN_SERVE_KEY_FILE"] == f"/run/secrets/{service['secrets'][0]}"
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["ports"] == [f"127.0.0.1:8787:{image['MP4GEN_SERVE_PORT']}"]


def test_compose_file_of_the_cluster_fits_the_other() -> None:
    """Server and workers name the scheduler and its port, which no port of the machine reaches."""
    yaml = pytest.importorskip("yaml")
    base, cluster = (
        yaml.safe_load((DEPLOY / name).read_text())["services"]
        for name in ("compose.yaml", "compose-dask.yaml")
    )
    scheduler, worker = cluster["scheduler"], cluster["worker"]
    address = f"scheduler:{scheduler['expose'][0]}"

    assert cluster["mp4gen"]["environment"]["MP4GEN_SERVE_EXECUTOR"] == f"dask://{address}"
    assert f"tcp://{address}" in worker["entrypoint"]
    assert {scheduler["image"], worker["image"]} == {base["mp4gen"]["image"]}
    assert "ports" not in scheduler | worker
    assert scheduler["restart"] == worker["restart"] == "unless-stopped"


@pytest.fixture
def container(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run the entry point of the image with its variables, in folders of the test."""
    (tmp_path / "music").mkdir()
    key = tmp_path / "key"
    key.write_text(secrets.token_hex(24))
    places = {"MUSIC": tmp_path / "music", "DATA": tmp_path / "data", "KEY_FILE": key, "PORT": 0}
    # No HOME, as in a container.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    environment |= image_environment() | {
        f"MP4GEN_SERVE_{name}": str(value) for name, value in places.items()
    }
    # Not the image's address: tests listen on loopback.
    environment |= {"MP4GEN_SERVE_HOST": "127.0.0.1", "MP4GEN_SERVE_MIN_FREE": "0"}
    instructions = dict(dockerfile())
    program, *options = json.loads(instructions["ENTRYPOINT"])
    assert program == "mp4gen"
    server = subprocess.Popen(
        [*PROGRAM, *options, "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield server, environment
    server.kill()
    server.communicate()


@pytest.mark.slow
def test_image_starts_is_healthy_and_stops(container: Any) -> None:
    """The entry point serves, the health check passes, and SIGTERM ends it with 0."""
    server, environment = container
    url = json.loads(server.stdout.readline())["url"]
    environment["MP4GEN_SERVE_PORT"] = url.rpartition(":")[2]
    check = json.loads(dict(dockerfile())["HEALTHCHECK"].partition("CMD ")[2])

    def is_healthy() -> bool:
        return (
            subprocess.run(
                [sys.executable, *check[1:]], env=environment, capture_output=True, check=False
            ).returncode
            == 0
        )

    healthy = is_healthy()
    maintenance = Path(environment["MP4GEN_SERVE_DATA"], "maintenance")
    maintenance.touch()
    unhealthy = is_healthy()
    server.send_signal(signal.SIGTERM)
    _, log = server.communicate(timeout=60)

    assert (healthy, unhealthy) == (True, False)
    assert server.returncode == 0, log
    assert "Traceback" not in log

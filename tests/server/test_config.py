"""The settings of a server."""

import pwd
import sys
from pathlib import Path

import attrs
import pytest

from mp4gen import ConfigurationError
from mp4gen.render import RenderStyle
from mp4gen.server import ServerConfig
from mp4gen.server.preflight import check_start


def test_server_config_describes_each_field() -> None:
    """Every field carries its description, as the docstring has it on one line or more."""
    texts = {field.name: field.metadata["help"] for field in attrs.fields(ServerConfig)}

    assert [name for name, text in texts.items() if not text.endswith(".")] == []
    assert texts["port"] == "The port to listen on; 0 for any free port."
    assert texts["account_keys"].endswith("An account sees only its own videos.")


def test_server_without_a_home_folder_needs_a_data_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A container's user may have neither HOME nor an account; `~` must not become a folder."""

    def no_account(_: int) -> None:
        raise KeyError

    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_account)

    assert ServerConfig(music=tmp_path, data=tmp_path).data == tmp_path
    with pytest.raises(ConfigurationError, match=r"No home folder .* with --data\."):
        ServerConfig(music=tmp_path)


@pytest.mark.parametrize("name", ["https://studio.local/", "studio local", "", "a,b", "u@studio"])
def test_allowed_host_that_never_matches_is_refused(tmp_path: Path, name: str) -> None:
    """A URL in place of a name would be ignored without a word."""
    with pytest.raises(ConfigurationError, match=r"Invalid allowed_hosts.* Use a host name"):
        ServerConfig(music=tmp_path, data=tmp_path / "data", allowed_hosts=[name])


UNUSABLE = {
    "workers": [0, 1.5, 100_000, "2"],
    "worker_memory_bytes": [-1, 1 << 60],
    "max_duration": [0, 1e300],
    "render_timeout": [0, 1e300],
    "progress_timeout": [0, 1e300],
    "shutdown_timeout": [-1, 1e300],
    "retention_days": [-1, float("nan")],
    "queue_limit": [0],
    "max_upload_bytes": [0],
    "port": [-1, 65536, "80"],
    "files": [
        "videos",
        "s3://",
        "s3:///a",
        "s3://ab",
        "s3://Bucket",
        "s3://bucket/a//b",
        "s3://bucket/../a",
        "s3://bucket/a b",
        "https://bucket/a",
    ],
    "file_links": ["", "public", None],
    "executor": [
        "",
        "dask",
        "dask://",
        "dask://host",
        "tcp://host:8786",
        "dask://a@b:1",
        "dask://h:1/x",
    ],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in UNUSABLE.items() for value in values]
)
def test_numbers_that_no_machine_can_use_are_refused(
    tmp_path: Path, name: str, value: object
) -> None:
    """Also those that the kernel's limits could not take, when the first render begins."""
    with pytest.raises(ConfigurationError, match=f"Invalid {name}"):
        ServerConfig(music=tmp_path, data=tmp_path / "data", **{name: value})


@pytest.mark.parametrize(
    ("style", "seconds"),
    [
        (RenderStyle(), 100),
        (RenderStyle(width=720, height=1280), 100),
        (RenderStyle(width=1920, height=1080, fps=60), 200),
        (RenderStyle(width=3840, height=2160, fps=59.94), 800 / 1.001),
    ],
)
def test_large_videos_may_be_rendered_for_longer(
    tmp_path: Path, style: RenderStyle | None, seconds: float
) -> None:
    """In proportion to the pixels per second, above 1080p at 30 frames per second."""
    config = ServerConfig(music=tmp_path, data=tmp_path, style=style, render_timeout=100.0)

    assert config.scaled_render_timeout == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (None, None),
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://my.bucket-1/a/b.c/", ("my.bucket-1", "a/b.c")),
    ],
)
def test_bucket_and_prefix_are_read_from_files(
    tmp_path: Path, files: str | None, expected: tuple[str, str] | None
) -> None:
    """A slash at the end changes nothing."""
    assert ServerConfig(music=tmp_path, data=tmp_path / "data", files=files).bucket == expected


def test_credentials_in_files_are_refused_and_not_shown(tmp_path: Path) -> None:
    """They belong into the variables of AWS, and not into the log of a failed start."""
    with pytest.raises(ConfigurationError, match="Invalid files") as raised:
        ServerConfig(music=tmp_path, data=tmp_path / "data", files="s3://key:secret@bucket/a")

    assert "secret" not in str(raised.value)


def test_presigned_links_need_a_bucket(tmp_path: Path) -> None:
    """There is no other host that could send the videos."""
    with pytest.raises(ConfigurationError, match="file_links needs files"):
        ServerConfig(music=tmp_path, data=tmp_path / "data", file_links="presigned")


def test_bucket_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra, before anything is created."""
    for name in ("obstore", "mp4gen.server.videos.bucket"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "music").mkdir()
    config = ServerConfig(music=tmp_path / "music", data=tmp_path / "data", files="s3://bucket")

    with pytest.raises(ConfigurationError, match=r"pip install 'mp4gen\[s3\]'"):
        check_start(config)

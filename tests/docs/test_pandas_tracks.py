"""The pandas example returns the rows of a DataFrame with their results."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from mp4gen.testing import FakeService

pd = pytest.importorskip("pandas", reason="the dev extra installs it")

EXAMPLE = Path(__file__).parents[2] / ".docs" / "examples" / "pandas_tracks.py"


@pytest.fixture
def convert(mp4gen_service: FakeService, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the example's function; its environment names the fake service."""
    monkeypatch.setenv("MP4GEN_BASE_URL", mp4gen_service.url)
    monkeypatch.setenv("MP4GEN_API_KEY", "a-key")
    return runpy.run_path(str(EXAMPLE))["convert_frame"]


async def test_frame_returns_with_its_results(
    convert: Any, mp4gen_service: FakeService, tmp_path: Path
) -> None:
    """Each row keeps its place and its columns; a missing author is not sent."""
    mp4gen_service.script("create", "ok", "unknown_track")
    columns = {"task_id": "music", "audio_id": ["a", "b"], "author": ["Ann", float("nan")]}
    tracks = pd.DataFrame({**columns, "mood": ["calm", "loud"]})

    found = await convert(tracks, str(tmp_path))

    (task,) = mp4gen_service.tasks.values()
    good = found[found["path"].notna()]
    assert list(found.columns) == ["task_id", "audio_id", "author", "mood", "path", "error"]
    assert list(found["audio_id"]) == ["a", "b"]
    assert [Path(path).name for path in good["path"]] == [f"{task.request.audio_id}.mp4"]
    assert found["error"].notna().sum() == 1


async def test_second_call_resumes(
    convert: Any, mp4gen_service: FakeService, tmp_path: Path
) -> None:
    """A second call reads the ledger beside the videos and submits nothing."""
    tracks = pd.DataFrame({"task_id": ["music"] * 3, "audio_id": ["a", "b", "a"]})

    first = await convert(tracks, str(tmp_path))
    second = await convert(tracks, str(tmp_path))

    assert first.equals(second)
    assert len(first) == 3
    assert first["path"].notna().all()
    assert mp4gen_service.count("create") == 2

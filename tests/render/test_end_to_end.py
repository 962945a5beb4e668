"""Acceptance tests: a music folder, the server, the client, and the MP4s that come out."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

import mp4gen
from mp4gen.render import RenderStyle
from mp4gen.server import Server, ServerConfig

pytestmark = pytest.mark.slow

FORMATS = (".mp3", ".m4a", ".flac", ".ogg", ".opus", ".wav")
WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 30, 6.0
# The first click comes during the opening, the last after it.
CLICKS = (0.81, 1.63, 2.42, 3.27, 4.11, 4.88, 5.37)
# Positions at 640x360, measured in the video and not taken from the renderer's layout.
AUTHOR = (slice(84, 160), slice(232, 600))
WATERMARK = (slice(336, 350), slice(240, 400))
BARS = (slice(203, 283), slice(48, 592))


@pytest.fixture(scope="module")
def videos(tools, tmp_path_factory) -> dict[str, tuple[mp4gen.Video, Path]]:
    """Return one video of clicks in each format, converted as a user does it."""
    return _convert(tools, tmp_path_factory.mktemp("job"))


def _convert(tools, folder: Path) -> dict[str, tuple[mp4gen.Video, Path]]:
    album = folder / "music" / "album"
    album.mkdir(parents=True)
    for ending in FORMATS:
        tools.encode(album / f"{ending[1:]}{ending}", tools.clicks(CLICKS, SECONDS, 48000), 48000)
    return asyncio.run(_served(folder))


async def _served(folder: Path) -> dict[str, tuple[mp4gen.Video, Path]]:
    style = RenderStyle(width=WIDTH, height=HEIGHT, fps=FPS)
    config = ServerConfig(music=folder / "music", data=folder / "data", port=0, style=style)
    found = {}
    async with Server(config) as server, mp4gen.Client(base_url=server.url) as client:
        tracks = await client.get_tracks("album")
        requests = [
            track.video_request(author="Suno Artist", domain_name="music.example.com")
            for track in tracks
        ]
        async with client.convert_many(requests, download_to=folder / "videos") as run:
            async for conversion in run:
                video = conversion.result()
                found[f".{conversion.request.audio_id}"] = (video, conversion.path)
    return found


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_becomes_a_streamable_mp4(videos, ending: str) -> None:
    """H.264 in yuv420p, AAC, as long as the audio, with the index first."""
    _, path = videos[ending]

    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        facts = (video.codec.name, video.pix_fmt, video.width, video.height, audio.codec.name)
        seconds = float(video.duration * video.time_base)
    data = path.read_bytes()

    assert facts == ("h264", "yuv420p", WIDTH, HEIGHT, "aac")
    assert seconds == pytest.approx(SECONDS, abs=0.1)
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("ending", FORMATS)
def test_every_click_moves_the_bars(tools, videos, ending: str) -> None:
    """Each click moves the bars within two frames of its audio, in the final file."""
    _, path = videos[ending]

    audible, visible = tools.audible_clicks(path), tools.visible_clicks(path, BARS, FPS)

    assert len(audible) == len(CLICKS)
    for time in audible:
        assert min(abs(time - other) for other in visible) <= 2 / FPS, (time, visible)


def test_author_is_large_in_the_opening(tools, videos) -> None:
    """The name is smaller when the opening is over."""
    _, path = videos[".wav"]
    frames = tools.lumas(path)

    opening, later = (int((frames[round(at * FPS)][AUTHOR] > 140).sum()) for at in (2.0, 5.8))

    assert opening > 1.4 * later > 0


def test_watermark_is_subtle_and_always_visible(tools, videos) -> None:
    """The domain is at the bottom of the first and the last frame, at low contrast."""
    _, path = videos[".wav"]
    frames = tools.lumas(path)

    for frame in (frames[0], frames[-1]):
        letters = frame[WATERMARK].astype(int)

        assert 60 < letters.max() - np.median(letters) < 190


def test_server_reports_the_expiry_of_a_video(videos) -> None:
    """A file is kept for 15 days."""
    video, _ = videos[".mp3"]

    assert video.completed_at is not None
    assert video.expires_at is not None
    assert (video.expires_at - video.completed_at).days == 15


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize("ending", FORMATS)
def test_ffprobe_reads_the_file_without_warnings(videos, ending: str) -> None:
    """Another demuxer reads the whole file without a warning."""
    _, path = videos[ending]
    command = ["ffprobe", "-v", "warning", "-count_packets", "-show_entries", "stream=codec_type"]

    ended = subprocess.run(
        [*command, "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=True
    )

    # ffmpeg 5.1 prints this for every MP4 with a cover, its own included.
    odd = [line for line in ended.stderr.splitlines() if not line.endswith("timescale not set")]
    assert set(ended.stdout.replace(",", "").split()) == {"audio", "video"}
    assert odd == []

"""The main job, all of it real: music in a folder, the server, the client, a look into the MP4s."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import mp4gen
from mp4gen.render import RenderStyle
from mp4gen.server import Server, ServerConfig

FORMATS = (".mp3", ".m4a", ".flac", ".ogg", ".opus", ".wav")
WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 30, 6.0
# The first click comes when the author is the hero, the last when the opening is over.
CLICKS = (0.81, 1.63, 2.42, 3.27, 4.11, 4.88, 5.37)
# Where things stand at 640x360: the picture's own proportions, not the renderer's tables.
AUTHOR = (slice(84, 160), slice(232, 600))
WATERMARK = (slice(336, 350), slice(240, 400))
BARS = (slice(203, 283), slice(48, 592))


@pytest.fixture(scope="module")
def videos(tools, tmp_path_factory) -> dict[str, tuple[mp4gen.Video, Path]]:
    """One video of clicks in each format, converted as a user would."""
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


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray()[: frame.height] for frame in container.decode(video=0)]


def sound(path: Path) -> tuple[NDArray[np.float32], int]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        parts = [frame.to_ndarray()[0] for frame in container.decode(stream)]
        return np.concatenate(parts), stream.sample_rate


def heard(path: Path) -> list[float]:
    samples, rate = sound(path)
    loud = np.flatnonzero(np.abs(samples) > 0.12) / rate
    return [float(t) for i, t in enumerate(loud) if i == 0 or t - loud[i - 1] > 0.1]


def seen(path: Path) -> list[float]:
    energy = np.array([picture[BARS].mean() for picture in pictures(path)])
    rising = np.diff(energy, prepend=energy[0])
    jumps = np.flatnonzero(rising > 0.25 * rising.max())
    return [i / FPS for n, i in enumerate(jumps) if n == 0 or i - jumps[n - 1] > 5]


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_comes_back_as_a_video(videos, ending: str) -> None:
    """H.264 in yuv420p, AAC, as long as the music, and ready to play before it is all there."""
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
def test_what_is_heard_is_seen(videos, ending: str) -> None:
    """Every click moves the picture within two frames of its sound, in the file that came out."""
    _, path = videos[ending]

    ears, eyes = heard(path), seen(path)

    assert len(ears) == len(CLICKS)
    for moment in ears:
        assert min(abs(moment - other) for other in eyes) <= 2 / FPS, (moment, eyes)


def test_the_author_is_shown_at_the_beginning(videos) -> None:
    """The name is large in the first seconds, and has stepped back when the opening is over."""
    _, path = videos[".wav"]
    frames = pictures(path)

    opening, later = (int((frames[round(at * FPS)][AUTHOR] > 140).sum()) for at in (2.0, 5.8))

    assert opening > 1.4 * later > 0


def test_the_watermark_is_subtle_and_always_there(videos) -> None:
    """The domain stands at the bottom of the first and the last picture, in no strong light."""
    _, path = videos[".wav"]
    frames = pictures(path)

    for frame in (frames[0], frames[-1]):
        letters = frame[WATERMARK].astype(int)

        assert 60 < letters.max() - np.median(letters) < 190


def test_the_server_tells_when_a_video_expires(videos) -> None:
    """A user knows how long the file will be kept: 15 days."""
    video, _ = videos[".mp3"]

    assert video.completed_at is not None
    assert video.expires_at is not None
    assert (video.expires_at - video.completed_at).days == 15


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
@pytest.mark.parametrize("ending", FORMATS)
def test_another_player_finds_nothing_to_complain_of(videos, ending: str) -> None:
    """A second reader takes in the whole file without a warning."""
    _, path = videos[ending]
    command = ["ffprobe", "-v", "warning", "-count_packets", "-show_entries", "stream=codec_type"]

    ended = subprocess.run(
        [*command, "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=True
    )

    # ffmpeg 5.1 says this of every MP4 that holds a cover, those of its own making included.
    odd = [line for line in ended.stderr.splitlines() if not line.endswith("timescale not set")]
    assert set(ended.stdout.replace(",", "").split()) == {"audio", "video"}
    assert odd == []

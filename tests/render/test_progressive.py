"""The index of a video, compared with that of libavformat's own progressive muxer."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from typing import Any

import av
import pytest

from mp4gen.errors import RenderIOError
from mp4gen.render import RenderStyle, encode, progressive, render_video
from mp4gen.render.mp4_samples import Track, box, boxes, read_fragment

SMALL = RenderStyle(width=160, height=160, fps=25)
# Of both, the first file has edit lists, and the second one's samples differ in length.
SOURCES = [(".mp3", "compatible"), (".wav", "copy"), (".mp3", "copy"), (".m4a", "copy"),
           (".opus", "copy"), (".flac", "copy")]  # fmt: skip


def contents(path: Path) -> dict[str, Any]:
    """Return what a player reads of a file: tags, and the packets and times of each stream."""
    with av.open(str(path)) as file:
        streams = [
            [
                (packet.pts, packet.dts, packet.duration, packet.is_keyframe, bytes(packet))
                for packet in file.demux(stream)
                if packet.size
            ]
            for stream in file.streams
            if not file.seek(0)
        ]
        return {"tags": dict(file.metadata), "streams": streams}


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "mode"), SOURCES)
def test_video_has_the_packets_of_the_muxers_own_file(tools, tmp_path, monkeypatch, ending, mode):
    """Times, key frames, bytes, tags and cover are the same; no box of a fragment is left."""
    music = tools.encode(tmp_path / f"tone{ending}", tools.tone(2.5, 48000), 48000)
    files = [tmp_path / "ours.mp4", tmp_path / "muxer.mp4"]
    render_video(music, files[0], style=SMALL, audio_mode=mode, author="A", title="T")
    monkeypatch.setattr(progressive, "MUXER_OPTIONS", {"movflags": "+faststart"})
    monkeypatch.setattr(progressive, "rewrite", lambda _: None)

    render_video(music, files[1], style=SMALL, audio_mode=mode, author="A", title="T")

    ours, muxers = map(contents, files)
    assert ours == muxers
    assert tools.boxes(files[0]) == ["ftyp", "moov", "mdat"]
    longer = tools.decode(files[0])[0].shape[1] - tools.decode(files[1])[0].shape[1]
    # The muxer of libavformat 63 also cuts the padding of the last frame of a copied MP3.
    is_cut = (ending, mode) == (".mp3", "copy") and av.library_versions["libavformat"][0] >= 63
    assert (0 < longer < 1152) if is_cut else abs(longer) <= 50
    assert files[0].stat().st_size < files[1].stat().st_size


@pytest.mark.slow
def test_large_video_has_places_of_64_bits(tools, tmp_path, monkeypatch):
    """Its samples are found where they are."""
    music = tools.encode(tmp_path / "tone.wav", tools.tone(1.5))
    files = [tmp_path / "small.mp4", tmp_path / "large.mp4"]
    render_video(music, files[0], style=SMALL)
    monkeypatch.setattr(progressive, "_MAX_SMALL_CONTENT", 0)

    render_video(music, files[1], style=SMALL)

    small, large = (file.read_bytes() for file in files)
    assert (b"stco" in small, b"co64" in small) == (True, False)
    assert (b"stco" in large, b"co64" in large) == (False, True)
    assert contents(files[0]) == contents(files[1])


def test_box_beyond_4_gb_states_its_size_in_64_bits():
    """Its size includes its longer header."""
    assert box(b"mdat", b"", 2**32) == struct.pack(">I4sQ", 1, b"mdat", 2**32 + 16)
    assert box(b"mdat", b"", 5) == struct.pack(">I4s", 13, b"mdat")


def test_long_track_states_its_duration_in_64_bits():
    """Seven hours at 192 kHz do not fit into 32."""
    header = struct.pack(">IIIIIHH", 0, 1, 2, 192000, 0, 0x55C4, 0)

    short, long = (progressive._media_header(header, ticks) for ticks in (7, 2**33))

    assert short == struct.pack(">IIIIIHH", 0, 1, 2, 192000, 7, 0x55C4, 0)
    assert long == struct.pack(">IQQIQHH", 1 << 24, 1, 2, 192000, 2**33, 0x55C4, 0)


def test_run_states_what_differs_from_its_track_fragment():
    """Defaults hold for all samples, the first one's flags for it, and lists for each."""
    defaults = box(b"tfhd", struct.pack(">IIIII", 0x020038, 7, 512, 100, 0x10000))
    plain = box(b"trun", struct.pack(">IIII", 0x5, 3, 64, 0x02000000))
    listed = box(b"trun", struct.pack(">IIIIIII", 0x301, 2, 364, 512, 11, 513, 12))

    runs = [*read_fragment(box(b"traf", defaults + plain + listed))]

    assert [number for number, _ in runs] == [7, 7]
    assert [(run.place, [*run.sizes], [*run.durations], run.keys) for _, run in runs] == [
        (64, [100, 100, 100], [512, 512, 512], [1]),
        (364, [11, 12], [512, 513], []),
    ]
    track = Track()
    track.add(runs[0][1], 0)
    track.add(runs[1][1], 300)
    tables = dict(boxes(track.tables(1000, large=False)))
    assert track.duration == 3 * 512 + 512 + 513
    assert tables == {
        b"stts": struct.pack(">IIIIII", 0, 2, 4, 512, 1, 513),
        b"stss": struct.pack(">III", 0, 1, 1),
        b"stsc": struct.pack(">IIIIIIII", 0, 2, 1, 3, 1, 2, 2, 1),
        b"stsz": struct.pack(">IIIIIIII", 0, 0, 5, 100, 100, 100, 11, 12),
        b"stco": struct.pack(">IIII", 0, 2, 1000, 1300),
    }


def test_disk_that_is_full_at_the_end_is_reported(tone_wav, tmp_path, monkeypatch):
    """The error names the video, and no part of it is left."""

    def fail(_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(progressive, "rewrite", fail)

    with pytest.raises(RenderIOError, match=r"Cannot write o\.mp4: No space left on device\."):
        render_video(tone_wav, tmp_path / "o.mp4", style=SMALL)

    assert [*tmp_path.iterdir()] == []


def test_failed_write_that_the_muxer_hides_is_reported(tone_wav, tmp_path, monkeypatch):
    """The muxer fails again at its end, with an error that does not name the disk."""
    failed = encode._WriteError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def mux(*_: object) -> None:
        raise av.error.UnknownError(0, "Error in PyAV callback")

    monkeypatch.setattr(
        encode._PartFile, "error", property(lambda _: failed, lambda *_: None), raising=False
    )
    monkeypatch.setattr(encode, "_mux", mux)

    with pytest.raises(RenderIOError, match=r"Cannot write o\.mp4: No space left on device\."):
        render_video(tone_wav, tmp_path / "o.mp4", style=SMALL)

    assert [*tmp_path.iterdir()] == []

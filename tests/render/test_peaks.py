"""The loudness of the parts of a track, as a waveform shows it."""

import wave
from pathlib import Path

import numpy as np
import pytest

from mp4gen.errors import RenderError
from mp4gen.render.peaks import measure_peaks

from .conftest import FORMATS, encode, tone

LOUD_IN_THE_MIDDLE = np.repeat([0.05, 1.0, 0.05], 16000).astype(np.float32)


@pytest.mark.parametrize(
    ("extension", "kind"),
    [(extension, None) for extension in FORMATS] + [(".wav", "wav24"), (".wav", "float")],
)
def test_loud_part_stands_out_in_every_format(
    tmp_path: Path, extension: str, kind: str | None
) -> None:
    """The heights follow the music, in order, and do not depend on the type of the samples."""
    samples = tone(3.0, 16000) * LOUD_IN_THE_MIDDLE
    rate = 48000 if extension == ".opus" else 16000
    samples = np.repeat(samples, rate // 16000, axis=1)

    path = encode(tmp_path / f"song{extension}", samples, rate, kind=kind)
    peaks, seconds = measure_peaks(path, 6)

    assert seconds == pytest.approx(3.0, abs=0.1)
    assert max(peaks) == 100
    assert min(peaks[2:4]) > 80
    assert max(peaks[:1] + peaks[5:]) < 10


def test_track_of_bytes_without_sign_is_measured(tmp_path: Path) -> None:
    """Silence of an 8-bit WAV is 128."""
    with wave.open(str(tmp_path / "old.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(bytes([128]) * 8000 + bytes([64, 192]) * 4000)

    peaks, _ = measure_peaks(tmp_path / "old.wav", 4)

    assert peaks[0] == 0
    assert peaks[3] == 100


def test_silence_has_no_height(tmp_path: Path) -> None:
    """Silence is not raised to full height."""
    path = encode(tmp_path / "silence.wav", np.zeros((2, 44100), np.float32))

    assert measure_peaks(path, 5) == ([0] * 5, 1.0)


def test_file_that_is_not_audio_is_an_error(tmp_path: Path) -> None:
    """The error is the one of every other use of the file."""
    (tmp_path / "noise.mp3").write_bytes(b"noise" * 100)

    with pytest.raises(RenderError, match=r"Not a readable audio file: noise.mp3"):
        measure_peaks(tmp_path / "noise.mp3", 5)

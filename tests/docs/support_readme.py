"""The programs and shell lines of the README, and music for them."""

import re
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Replaced where the loop runs, so that no test waits.
PAUSE = "time.sleep(5)"


def blocks(language: str, text: str = README) -> list[str]:
    """Return the code blocks of a language in a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def block_with(part: str, language: str = "python") -> str:
    """Return the only code block of the README that contains `part`."""
    (found,) = (block for block in blocks(language) if part in block)
    return found


def write_song(path: Path, seconds: float) -> Path:
    """Write a tone as MP3."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.sin(np.arange(int(seconds * 44100)) / 16)
    frame = av.AudioFrame.from_ndarray((samples * 32767).astype("<i2")[None], layout="mono")
    frame.sample_rate = 44100
    with av.open(path, "w", format="mp3") as file:
        stream = file.add_stream("libmp3lame", rate=44100, layout="mono")
        file.mux([*stream.encode(frame), *stream.encode(None)])
    return path

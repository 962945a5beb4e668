"""Copy the audio on standard input to a temporary file; renders nothing."""

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mp4gen.filesystem import names_folder

from .exit_codes import UsageError
from .output import is_terminal
from .render_jobs import RenderJob
from .runner import raising_on_signals

STANDARD_INPUT = Path("-")
_MAX_BYTES = 2 << 30
_CHUNK_BYTES = 1 << 20


@contextmanager
def standard_input_job(sources: Sequence[Path], to: str) -> Iterator[RenderJob]:
    """Yield the job that renders standard input, and delete the copy after the block.

    Raises:
        UsageError: There are other sources, `to` is not a file, or the input is not usable.
        InterruptedBySignal: A signal stopped the copy.
    """
    if len(sources) > 1:
        raise UsageError("Standard input is one of several audio files. Render it alone.")
    if names_folder(to):
        raise UsageError(
            f"No name for the video of standard input: --to {to} is a folder. Use a file name "
            "that ends in .mp4."
        )
    if is_terminal(sys.stdin):
        raise UsageError("Standard input is a terminal. Pipe an audio file into the command.")
    with tempfile.TemporaryDirectory(prefix="mp4gen-") as folder:
        # Errors of the renderer quote the name.
        copy = Path(folder) / "standard input"
        with raising_on_signals():
            _copy(copy)
        yield RenderJob(copy, Path(to), name=copy.name)


def _copy(to: Path) -> None:
    with to.open("wb") as file:
        while chunk := sys.stdin.buffer.read(_CHUNK_BYTES):
            file.write(chunk)
            if file.tell() > _MAX_BYTES:
                raise UsageError(
                    f"Standard input is larger than {_MAX_BYTES >> 30} GB. Save it as a file, and "
                    "render that."
                )
        if not file.tell():
            raise UsageError("Standard input is empty. Pipe an audio file into the command.")

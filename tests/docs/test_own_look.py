"""The look of the documentation works like our own."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mp4gen.render import RenderStyle, looks, render_frame
from mp4gen.render.looks.look import CONTENT
from tests.render.conftest import clicks, encode

EXAMPLE = Path(__file__).parents[2] / ".docs/examples/lights_look.py"


@pytest.fixture
def lights(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Load the example as if its package were installed."""
    spec = importlib.util.spec_from_file_location("lights_look", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class EntryPoint:
        name, value = "lights", "lights_look:layout_for"

        def load(self) -> object:
            return module.layout_for

    monkeypatch.setattr(looks, "_entry_points", lambda: [EntryPoint()])
    looks._other_look.cache_clear()
    yield module
    looks._other_look.cache_clear()


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (240, 240), (240, 300), (144, 1000)])
def test_example_look_moves_with_the_music(
    lights: ModuleType, tmp_path: Path, size: tuple[int, int]
) -> None:
    """A beat lights up its row, in every shape."""
    music = encode(tmp_path / "song.wav", clicks([0.5], 1.0))
    style = RenderStyle(look="lights", width=size[0], height=size[1])

    dark, lit = (
        np.asarray(render_frame(music, time=time, style=style, title="T", author="A"), int)
        for time in (0.3, 0.52)
    )

    boxes = lights.layout_for(*size, CONTENT).lights
    rows = slice(boxes[0].top, boxes[0].bottom)
    assert lit[rows].sum() > 1.05 * dark[rows].sum()


def test_example_look_is_short() -> None:
    """A look takes about 60 lines of code."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    code = [line for line in lines if line.strip() and "import" not in line and '"""' not in line]

    assert len(code) <= 60

"""The notebook runs in a real kernel, and its stop button ends a call."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mp4gen.testing import FakeService
from tests.docs.support_readme import block_with

jupyter = pytest.importorskip("jupyter_client.manager", reason="the dev extra installs it")
pytest.importorskip("ipykernel", reason="the dev extra installs it")

# Those of Jupyter's own packages.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / ".docs" / "examples" / "notebook.ipynb"


def programs() -> list[str]:
    """Return the code cells of the notebook, and the blocking program of the README."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    readme = block_with("mp4gen.sync.Client() as client:  # the key")
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return [*code, readme]


def test_notebook_has_no_outputs() -> None:
    """They would show somebody's links, and change with every run."""
    cells = json.loads(NOTEBOOK.read_text())["cells"]

    assert [cell["outputs"] for cell in cells if cell.get("outputs")] == []


@pytest.fixture
def kernel(mp4gen_service: FakeService, tmp_path: Path) -> Iterator[Any]:
    """Start a kernel, whose environment names the fake service."""
    environment = {
        **os.environ,
        "MP4GEN_BASE_URL": mp4gen_service.url,
        "MP4GEN_API_KEY": "a-key",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    manager, client = jupyter.start_new_kernel(cwd=str(tmp_path), env=environment)
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def reply_to(client: Any, code: str, while_running: Callable[[], None] = lambda: None) -> Any:
    """Run one cell and return the kernel's reply."""
    # Else the kernel refuses what comes soon after an error.
    message = client.execute(code, stop_on_error=False)
    while_running()
    while (reply := client.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != message:
        pass
    return reply["content"]


def test_programs_run_as_written(kernel: Any, mp4gen_service: FakeService, tmp_path: Path) -> None:
    """A blocking call, calls with `await`, a bulk run and the README's program, in one kernel."""
    _, client = kernel

    replies = [reply_to(client, program) for program in programs()]

    assert [reply.get("evalue") for reply in replies] == [None] * 5
    assert (tmp_path / "videos" / "e231.mp4").exists()
    assert len(mp4gen_service.tasks) == 4


@pytest.mark.mp4gen_service(duration=1e6)
def test_stop_button_ends_a_call(kernel: Any, mp4gen_service: FakeService) -> None:
    """The kernel can go on, with the same client."""
    manager, client = kernel

    def interrupt() -> None:
        while not mp4gen_service.tasks:
            time.sleep(0.01)
        manager.interrupt_kernel()

    code = """
import mp4gen
client = mp4gen.sync.Client()
client.convert(mp4gen.VideoRequest("music", "track"))
"""
    stopped = reply_to(client, code, interrupt)
    after = reply_to(client, "assert client.get_credits() == 999.0; client.close()")

    assert (stopped["status"], stopped.get("ename")) == ("error", "KeyboardInterrupt")
    assert after["status"] == "ok", after

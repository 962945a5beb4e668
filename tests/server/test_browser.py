"""The page in a real browser: add a song, make its video, watch it play."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Serve, write_song

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

HOSTILE = "<img src=x onerror=\"document.title='mine'\">"

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
except ImportError:
    webdriver = None

if os.environ.get("CI") is None:
    pytestmark = pytest.mark.skipif(
        not (CHROMIUM and DRIVER and webdriver), reason="no Chromium with its driver and selenium"
    )


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    # A script that clicks is no person, and only a person may start a sound otherwise.
    play = "--autoplay-policy=no-user-gesture-required"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", play):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = await asyncio.to_thread(webdriver.Chrome, options, Service(DRIVER))
    yield driver
    await asyncio.to_thread(driver.quit)


async def until(script: str, browser: Any) -> Any:
    """The value of a script in the page, once it is true."""
    async with asyncio.timeout(40):
        while True:
            if value := await asyncio.to_thread(browser.execute_script, f"return {script}"):
                return value
            await asyncio.sleep(0.05)


def on(browser: Any) -> Callable[..., Any]:
    async def run(script: str, *args: Any) -> Any:
        return await asyncio.to_thread(browser.execute_script, script, *args)

    return run


@pytest.mark.parametrize("size", [(1360, 900), (390, 844)], ids=["desktop", "phone"])
async def test_a_song_is_added_made_and_watched(
    serve: Serve, browser: Any, music: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Upload, choose, preview, make, watch: nothing sticks out, nothing is complained about."""
    write_song(music / HOSTILE / f"{HOSTILE}.wav")
    caller = await serve()
    width, height = size
    song = write_song(tmp_path / "Fresh Song.wav", 2.0)
    run = on(browser)
    await asyncio.to_thread(browser.set_window_size, width, height)
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    await asyncio.to_thread(browser.execute_cdp_cmd, "Emulation.setDeviceMetricsOverride", metrics)

    await asyncio.to_thread(browser.get, caller.url)
    await until("document.querySelectorAll('#tracks .row').length === 5", browser)
    field = await asyncio.to_thread(browser.find_element, "id", "file")
    await asyncio.to_thread(field.send_keys, str(song))
    await until("document.querySelector('.chosen .name')?.textContent === 'Fresh Song'", browser)
    await until("!document.getElementById('preview').hidden", browser)
    await run("document.getElementById('author').value = 'Somebody'")
    await run("document.getElementById('make').requestSubmit()")
    await until("document.querySelector('#videos a')?.download === 'Fresh Song.mp4'", browser)
    await run("document.querySelector('#videos').scrollIntoView()")
    await until("document.querySelector('#videos .frame img')?.naturalWidth === 240", browser)
    await run("document.querySelector('#videos button').click()")
    await until("document.getElementById('player').currentTime > 0.2", browser)

    assert await run("return document.documentElement.scrollWidth <= innerWidth")
    shown = await run(
        "return [...document.querySelectorAll('#tracks .name')].map(one => one.innerText)"
    )
    assert HOSTILE in shown
    assert await run("return document.title") == "mp4gen"
    logged = await asyncio.to_thread(browser.get_log, "browser")
    assert not [entry for entry in logged if entry["level"] in {"SEVERE", "WARNING"}]

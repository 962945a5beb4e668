"""The page in a real browser: add a song, create its video, watch it."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mp4gen.server.web.page_state import PageState

from .conftest import IdleExecutor, Serve, store_videos, write_song

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


HOSTILE = "<img src=x onerror=\"document.title='mine'\">"

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None

if os.environ.get("CI") is None:
    pytestmark = pytest.mark.skipif(
        not (CHROMIUM and DRIVER and webdriver), reason="no Chromium with its driver and selenium"
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Yield one browser for all tests: its start takes seconds."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    # Otherwise only a user may start playback, not a script.
    autoplay = "--autoplay-policy=no-user-gesture-required"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", autoplay):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
async def browser(chromium: Any) -> AsyncIterator[Any]:
    """Yield the browser with one empty window of its first size and without cookies."""
    size = chromium.get_window_size()
    yield chromium
    await asyncio.to_thread(renew, chromium, size)


def renew(chromium: Any, size: dict[str, int]) -> None:
    """Close all windows, and open one that knows nothing of them."""
    used = chromium.window_handles
    chromium.switch_to.new_window("window")
    unused = chromium.current_window_handle
    for window in used:
        chromium.switch_to.window(window)
        chromium.close()
    chromium.switch_to.window(unused)
    chromium.set_window_size(**size)
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.get_log("browser")


async def until(script: str, browser: Any) -> Any:
    """Return the value of a script in the page as soon as it is true."""
    async with asyncio.timeout(100):
        while True:
            if value := await asyncio.to_thread(browser.execute_script, f"return {script}"):
                return value
            await asyncio.sleep(0.05)


def on(browser: Any) -> Callable[..., Any]:
    async def run(script: str, *args: Any) -> Any:
        return await asyncio.to_thread(browser.execute_script, script, *args)

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    "size", [(1360, 900), (390, 844), (320, 568)], ids=["desktop", "phone", "small phone"]
)
@pytest.mark.browser
async def test_song_is_uploaded_rendered_and_watched(
    serve: Serve, browser: Any, music: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    """Upload, choose, preview, create, watch: nothing overflows, the console has no warnings."""
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
    await run("document.getElementById('author').value = 'Author'")
    await run("document.getElementById('create-form').requestSubmit()")
    await until("document.querySelector('#videos a')?.download === 'Fresh Song.mp4'", browser)
    await run("document.querySelector('#videos').scrollIntoView()")
    await until("document.querySelector('#videos .frame img')?.naturalWidth === 240", browser)
    await run("document.querySelector('#videos button').click()")
    await until("document.getElementById('player').currentTime > 0.2", browser)

    # A page that is too wide makes the window of a phone wider.
    assert await run("return Math.max(document.documentElement.scrollWidth, innerWidth)") <= width
    shown = await run(
        "return [...document.querySelectorAll('#tracks .name')].map(one => one.innerText)"
    )
    assert HOSTILE in shown
    assert await run("return document.title") == "mp4gen"
    logged = await asyncio.to_thread(browser.get_log, "browser")
    assert not [entry for entry in logged if entry["level"] in {"SEVERE", "WARNING"}]


@pytest.mark.slow
@pytest.mark.browser
async def test_rejected_upload_is_named_once(serve: Serve, browser: Any, tmp_path: Path) -> None:
    """The page adds the file's name only to a message of the server that lacks it."""
    caller = await serve()
    (tmp_path / "noise.mp3").write_bytes(b"noise" * 100)
    await asyncio.to_thread(browser.get, caller.url)
    await until("document.querySelectorAll('#tracks .row').length === 4", browser)

    field = await asyncio.to_thread(browser.find_element, "id", "file")
    await asyncio.to_thread(field.send_keys, str(tmp_path / "noise.mp3"))
    problem = await until("document.getElementById('drop-problem').textContent", browser)

    assert problem.count("noise.mp3") == 1


@pytest.mark.slow
@pytest.mark.browser
async def test_page_is_usable_with_the_keyboard(serve: Serve, browser: Any) -> None:
    """Arrow keys move in the list, no key loses the focus, and every control has a name."""
    run = on(browser)

    async def press(*keys: str) -> str:
        """Press these keys and return the name of the focused element."""
        await asyncio.to_thread(ActionChains(browser).send_keys(*keys).perform)
        return await run(
            "const node = document.activeElement, name = node.querySelector('.name');"
            "return node.getAttribute('aria-label') ?? name?.textContent ?? node.id"
        )

    caller = await serve()
    await asyncio.to_thread(browser.get, caller.url)
    await until("document.querySelectorAll('#tracks .row').length === 4", browser)

    ways = [await press(Keys.TAB) for _ in range(2)]
    moved = [await press(Keys.ARROW_DOWN), await press(Keys.END), await press(Keys.HOME)]
    await press(Keys.ARROW_DOWN)
    chosen = await press(Keys.ENTER)
    playing = await press(Keys.TAB, Keys.ENTER)
    await press(Keys.TAB, "Me", Keys.TAB, Keys.TAB, Keys.ARROW_RIGHT, Keys.TAB)
    made = await press(Keys.TAB, Keys.ENTER)
    await until("document.querySelector('#videos .done')", browser)
    filtered = await press(Keys.TAB)
    watching = [await press(Keys.TAB), await press(Keys.ENTER), await press(Keys.ESCAPE)]
    tree = await asyncio.to_thread(browser.execute_cdp_cmd, "Accessibility.getFullAXTree", {})

    titles = await run(
        "return [...document.querySelectorAll('#tracks .name')].map(n => n.innerText)"
    )
    assert ways == ["file", titles[0]]
    assert moved == [titles[1], titles[3], titles[0]]
    assert chosen == titles[1]
    assert playing in {f"Pause {titles[1]}", f"Play {titles[1]}"}
    assert made == "go"
    assert filtered == ""
    assert watching == [f"Watch {titles[1]}", "player", f"Watch {titles[1]}"]
    assert await run("return document.querySelector('#videos .more').textContent.includes('9:16')")
    used = {"button", "link", "textbox", "radio", "img", "heading", "list", "region", "group"}
    parts = [node for node in tree["nodes"] if not node["ignored"]]
    named = [(node["role"]["value"], node["name"]["value"]) for node in parts if "name" in node]
    assert [role for role, name in named if role in used and not name] == []


@pytest.mark.slow
@pytest.mark.browser
async def test_every_video_can_be_reached(serve: Serve, browser: Any, tmp_path: Path) -> None:
    """With 231 videos, 109 of them finished, the filters and pages lead to each."""
    run = on(browser)
    await store_videos(tmp_path / "data", "", done=109, failed=5, queued=117)
    caller = await serve(executor=IdleExecutor)
    await asyncio.to_thread(browser.get, caller.url)
    await until("document.querySelectorAll('#videos .row').length > 50", browser)
    labels = await run(
        "return [...document.querySelectorAll('#filters label')].map(n => n.innerText.trim())"
    )

    reached = set()
    await run("document.querySelector('[value=ready]').click()")
    for last, rows in ((50, 50), (100, 50), (109, 9)):
        shown = f"document.getElementById('range').textContent.includes('{last} of 109')"
        ready = f"document.querySelectorAll('#videos .row a').length >= {rows}"
        await until(f"{shown} && {ready}", browser)
        links = "return [...document.querySelectorAll('#videos a')].map(one => one.href)"
        reached |= set(await run(links))
        await run("document.getElementById('older').click()")
    await run("window.confirm = () => true; document.querySelector('[value=failed]').click()")
    await until("document.querySelectorAll('#videos .failed').length === 5", browser)
    await run("document.getElementById('delete-all').click()")
    await until("!document.getElementById('no-videos').hidden", browser)
    await run("document.querySelector('[value=waiting]').click()")
    await until("document.querySelectorAll('#videos .queued').length === 50", browser)
    await run("document.getElementById('delete-all').click()")
    await until("document.getElementById('queue').textContent === '1 rendering'", browser)

    assert labels == ["All 231", "Waiting 116", "Rendering 1", "Ready 109", "Failed 5"]
    assert len(reached) == 109


@pytest.mark.slow
@pytest.mark.browser
async def test_eighth_tab_shows_changes_like_the_first(
    serve: Serve, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser opens six connections to a server; all its tabs share one stream of events."""
    streams = []
    events = PageState.events

    async def count(handlers: PageState, *args: Any) -> Any:
        streams.append(args)
        return await events(handlers, *args)

    monkeypatch.setattr(PageState, "events", count)
    caller = await serve(executor=IdleExecutor)

    await asyncio.to_thread(browser.get, caller.url)
    for _ in range(7):
        await asyncio.to_thread(browser.switch_to.new_window, "tab")
        await asyncio.to_thread(browser.get, caller.url)
        await until("document.querySelectorAll('#tracks .row').length === 4", browser)
    opened = len(streams)
    await caller.generate("album", "one")
    for tab in browser.window_handles:
        await asyncio.to_thread(browser.switch_to.window, tab)
        await until("document.querySelectorAll('#videos .row').length === 1", browser)

    assert len(browser.window_handles) == 8
    assert opened == len(streams) == 1


@pytest.mark.slow
@pytest.mark.browser
async def test_page_without_shared_workers_follows_events(serve: Serve, browser: Any) -> None:
    """A browser that has none, as on some phones, opens a stream in the visible tab."""
    caller = await serve(executor=IdleExecutor)
    script = {"source": "delete window.SharedWorker"}
    command = "Page.addScriptToEvaluateOnNewDocument"
    await asyncio.to_thread(browser.execute_cdp_cmd, command, script)
    await asyncio.to_thread(browser.get, caller.url)
    await until("document.querySelectorAll('#tracks .row').length === 4", browser)

    await caller.generate("album", "one")

    await until("document.querySelectorAll('#videos .row').length === 1", browser)

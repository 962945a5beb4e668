"""The page in a real browser: add a song, create its video, watch it."""

import asyncio
import importlib.util
import json
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


# Its package is needed only for the script in it.
_AXE_PACKAGE = importlib.util.find_spec("axe_playwright_python")
AXE = (
    (Path(*_AXE_PACKAGE.submodule_search_locations) / "axe.min.js").read_text()
    if _AXE_PACKAGE
    else ""
)
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
        not (CHROMIUM and DRIVER and webdriver and AXE),
        reason="no Chromium with its driver, selenium and axe-core",
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
    # The server's own size is drawn faster.
    await run("document.querySelectorAll('[name=preset]:checked').forEach(one => one.click())")
    await run("document.getElementById('author').value = 'Author'")
    await run("document.getElementById('create-form').requestSubmit()")
    await run("document.querySelector('#tabs [value=videos]').click()")
    await until("document.querySelector('#videos a')?.download === 'Fresh Song.mp4'", browser)
    await until("document.querySelector('#videos .frame img')?.naturalWidth === 240", browser)
    await run("document.querySelector('#videos .watch').click()")
    await until("document.getElementById('player').currentTime > 0.2", browser)

    # A page that is too wide makes the window of a phone wider.
    assert await run("return Math.max(document.documentElement.scrollWidth, innerWidth)") <= width
    shown = await run(
        "return [...document.querySelectorAll('#tracks .name')].map(one => one.textContent)"
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
async def test_page_is_usable_with_the_keyboard(serve: Serve, browser: Any, music: Path) -> None:
    """Arrow keys move in the list and the clip, and no key loses the focus."""
    write_song(music / "loose.wav", 5.0)
    run = on(browser)

    async def press(*keys: str) -> str:
        """Press these keys and return the name of the focused element."""
        await asyncio.to_thread(ActionChains(browser).send_keys(*keys).perform)
        return await run(
            "const node = document.activeElement, name = node.querySelector('.name');"
            "return node.getAttribute('aria-label') ?? name?.textContent ?? node.id"
        )

    caller = await serve()
    await asyncio.to_thread(browser.set_window_size, 1360, 900)
    await asyncio.to_thread(browser.get, caller.url)
    await until("document.querySelectorAll('#tracks .row').length === 4", browser)

    ways = [await press(Keys.TAB) for _ in range(4)]
    moved = [await press(*keys) for keys in (Keys.END, Keys.HOME, Keys.ARROW_DOWN)]
    chosen = await press(Keys.ENTER)
    folded = [await press(Keys.ARROW_UP, Keys.ENTER), await press(Keys.ENTER)]
    playing = await press(Keys.ARROW_DOWN, Keys.TAB, Keys.ENTER)
    await until("!document.getElementById('play-clip').disabled", browser)
    # Past the cover, the title and the rest to the handles of the clip.
    while await press(Keys.TAB) not in {"clip-start", "Start of the clip"}:
        pass
    cut = [await press(Keys.ARROW_RIGHT), await press(Keys.TAB, Keys.ARROW_LEFT)]
    clip = await run("return document.getElementById('clip-text').textContent")
    spoken = await run("return document.activeElement.getAttribute('aria-valuetext')")
    made = await press(Keys.TAB, Keys.ENTER)
    await until("document.querySelector('#videos .done')", browser)
    filtered = await press(Keys.TAB)
    watching = [await press(Keys.TAB), await press(Keys.ENTER), await press(Keys.ESCAPE)]

    titles = await run(
        "return [...document.querySelectorAll('#tracks .name')].map(n => n.innerText)"
    )

    assert ways == ["Select songs", "sort", "file", "loose"]
    assert titles == ["Music", "loose", "album", "one", "two", "Nachtmusik", "夜の窓"]
    assert moved == [titles[-1], "Music", "loose"]
    assert chosen == "loose"
    assert folded == ["Music", "Music"]
    assert playing in {"Pause loose", "Play loose"}
    assert cut == ["Start of the clip", "End of the clip"]
    assert (clip, spoken) == ("0:01 to 0:04 · 3 s of 0:05", "0 min 4 s")
    assert made == "go"
    assert filtered == ""
    assert watching == ["Watch loose", "player", "Watch loose"]


async def violations(browser: Any) -> list[str]:
    """Return what axe-core finds in the page as it is now."""
    script = (
        "const done = arguments[0];"
        "axe.run(document).then(({ violations }) => done(violations.flatMap("
        "one => one.nodes.map(node => `${one.id}: ${node.target.join(' ')}`))))"
    )
    await asyncio.to_thread(browser.execute_script, AXE)
    return await asyncio.to_thread(browser.execute_async_script, script)


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
async def test_axe_finds_nothing(
    serve: Serve, browser: Any, tmp_path: Path, music: Path, size: tuple[int, int]
) -> None:
    """No rule of axe-core is broken: signed out, with a song and a clip, with videos, watching."""
    run = on(browser)
    (music / "album" / "bad.wav").write_bytes(b"noise")
    (music / "album" / "one.lrc").write_text("[00:00.10] A line")
    write_song(music / "album" / "one.wav", 4.0)
    await store_videos(tmp_path / "data", "", done=2, failed=1, queued=2)
    caller = await serve(key="secret", executor=IdleExecutor)
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    await asyncio.to_thread(browser.execute_cdp_cmd, "Emulation.setDeviceMetricsOverride", metrics)
    found = {}

    async def check(state: str) -> None:
        found[state] = await violations(browser)

    await asyncio.to_thread(browser.get, caller.url)
    await until("!document.getElementById('login').hidden", browser)
    await check("signed out")
    await run("document.getElementById('key').value = 'secret'")
    await run("document.getElementById('login-form').requestSubmit()")
    await until("document.querySelector('#tracks .bad')", browser)
    await until("document.querySelectorAll('#videos .row').length === 5", browser)
    await check("songs and videos")
    await run("document.querySelector('#tracks .badge').closest('.pick').click()")
    await until("!document.getElementById('play-clip').disabled", browser)
    await run("document.querySelector('[name=clip][value=part]').click()")
    await until("!document.getElementById('preview').hidden", browser)
    await check("a song and a clip")
    await run("document.querySelector('#tabs [value=music]').click()")
    await run("document.getElementById('select').click()")
    await run("document.querySelector('#tracks .pick').click()")
    await check("selected songs")
    await run("document.querySelector('#tabs [value=videos]').click()")
    await check("videos")
    await run("document.querySelector('#videos .watch').click()")
    await check("watching")

    assert {state: rules for state, rules in found.items() if rules} == {}


@pytest.mark.slow
@pytest.mark.browser
async def test_whole_journey(serve: Serve, browser: Any, music: Path, tmp_path: Path) -> None:
    """Pick a song, a look, a background, a clip and two outputs; make, watch, keep and delete."""
    run = on(browser)
    write_song(music / "album" / "one.wav", 6.0)
    (tmp_path / "words.lrc").write_text("[00:01.00] A line\n[00:03.00] Another")
    caller = await serve()
    await asyncio.to_thread(browser.set_window_size, 1360, 900)
    await asyncio.to_thread(browser.get, caller.url)
    await until("document.querySelectorAll('#tracks .row').length === 4", browser)

    await run("document.querySelectorAll('#tracks .row .pick')[1].click()")
    lyrics = await asyncio.to_thread(browser.find_element, "id", "lyrics")
    await asyncio.to_thread(lyrics.send_keys, str(tmp_path / "words.lrc"))
    await until("document.querySelector('#own-lyrics span').title === 'words.lrc'", browser)
    await run("document.querySelector('[name=look][value=wave]').click()")
    await run("document.querySelector('[name=background][value=blur]').click()")
    await until("!document.getElementById('play-clip').disabled", browser)
    await run("document.querySelector('[name=clip][value=part]').click()")
    await run("document.querySelector('[name=preset][value=youtube]').click()")
    for name in ("whatsapp", "discord"):
        await run(f"document.querySelector('[name=preset][value={name}]').click()")
    await until("document.querySelectorAll('#looks img[src]').length === 5", browser)
    caption = await run("return document.getElementById('go-text').textContent")
    await run("document.getElementById('create-form').requestSubmit()")
    await until("document.querySelectorAll('#videos .done').length === 2", browser)
    await run("document.querySelector('#videos .watch').click()")
    await until("document.getElementById('player').currentTime > 0.2", browser)
    length = await run("return document.getElementById('player').duration")
    await run("document.getElementById('watch-keep').click()")
    await until("document.querySelector('#videos .more').textContent.includes('kept')", browser)
    await run("navigator.clipboard.writeText = async text => { window.copied = text }")
    await run("document.getElementById('watch-link').click()")
    link = await until("window.copied", browser)
    await run("window.confirm = () => true; document.getElementById('watch-delete').click()")
    await until("document.querySelectorAll('#videos .row').length === 1", browser)
    logged = await asyncio.to_thread(browser.get_log, "browser")

    assert caption == "Make 2 videos"
    assert length == pytest.approx(3.0, abs=0.2)
    assert link.startswith(f"{caller.url}/files/")
    assert await run("return document.querySelector('#videos .more').textContent") != ""
    assert not [entry for entry in logged if entry["level"] in {"SEVERE", "WARNING"}]


@pytest.mark.slow
@pytest.mark.browser
async def test_folder_is_dropped_converted_and_stopped(
    serve: Serve, browser: Any, tmp_path: Path
) -> None:
    """A dropped folder keeps its name; its conversion shows its progress until it is stopped."""
    run = on(browser)
    write_song(tmp_path / "Night Drives" / "a.wav", 5.0)
    write_song(tmp_path / "Night Drives" / "b.wav", 5.0)
    (tmp_path / "Night Drives" / "notes.txt").write_text("not music")
    caller = await serve(executor=IdleExecutor)
    await asyncio.to_thread(browser.set_window_size, 1360, 900)
    await asyncio.to_thread(browser.get, caller.url)
    await until("document.querySelectorAll('#tracks .row').length === 4", browser)

    files = [str(tmp_path / "Night Drives")]
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": files, "dragOperationsMask": 1}
        event = {"type": kind, "x": 150, "y": 300, "data": data}
        await asyncio.to_thread(browser.execute_cdp_cmd, "Input.dispatchDragEvent", event)
    await until("document.querySelectorAll('#tracks .row').length === 6", browser)
    head = "[...document.querySelectorAll('.folder')].find(n => n.innerText.match(/Night Drives/))"
    await run(f"{head}.querySelector('.convert').click()")
    await until("document.querySelectorAll('#videos .row').length === 2", browser)
    # It counts what the server has accepted so far.
    progress = f"{head}.querySelector('.progress span')?.textContent"
    await until(f"{progress} === '0 of 2'", browser)
    await run(f"{head}.querySelector('.progress button').click()")
    await until("document.querySelectorAll('#videos .row').length === 0", browser)
    await until(f"!{head}.querySelector('.convert').hidden", browser)

    problem = await run("return document.getElementById('drop-problem').textContent")
    assert problem == ""


@pytest.mark.slow
@pytest.mark.browser
async def test_clip_is_dragged_and_selected_songs_are_converted(
    serve: Serve, browser: Any, music: Path
) -> None:
    """Each handle and the part between them move; Ctrl and Shift mark songs."""
    run = on(browser)
    write_song(music / "loose.wav", 100.0)
    caller = await serve(executor=IdleExecutor)
    await asyncio.to_thread(browser.set_window_size, 1360, 900)
    await asyncio.to_thread(browser.get, caller.url)
    await until("document.querySelectorAll('#tracks .row').length === 4", browser)
    await run("document.querySelector('#tracks .pick').click()")
    await until("!document.getElementById('play-clip').disabled", browser)
    width = await run("return document.querySelector('#wave svg').getBoundingClientRect().width")

    async def drag(selector: str, seconds: float) -> str:
        node = await asyncio.to_thread(browser.find_element, "css selector", selector)
        moves = ActionChains(browser).drag_and_drop_by_offset(node, round(seconds * width / 100), 0)
        await asyncio.to_thread(moves.perform)
        return await run("return document.getElementById('clip-text').textContent.slice(0, 12)")

    dragged = [
        await drag("#clip-start", 20),
        await drag("#clip-end", -30),
        await drag("#wave .region", 10),
    ]
    await run("document.querySelector('[name=clip][value=whole]').click()")
    whole = await run("return document.getElementById('clip-text').textContent")
    # The page may draw its rows again at any time, so none is kept between two commands.
    for number, key in ((1, "ctrlKey"), (3, "shiftKey")):
        click = f"new MouseEvent('click', {{bubbles: true, {key}: true}})"
        await run(f"document.querySelectorAll('#tracks .pick')[{number}].dispatchEvent({click})")
    marked = await run("return document.getElementById('selection-text').textContent")
    await run("document.getElementById('convert-selection').click()")
    await until("document.querySelectorAll('#videos .row').length === 3", browser)

    assert [text[:4] for text in dragged] == ["0:20", "0:20", "0:30"]
    assert [text[8:] for text in dragged] == ["1:40", "1:10", "1:20"]
    assert whole == "1:40"
    assert marked == "3 songs selected"


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

    reached: set[str] = set()
    links = "[...document.querySelectorAll('#videos a')].map(one => one.href)"
    await run("document.querySelector('[value=ready]').click()")
    for last, rows in ((50, 50), (100, 50), (109, 9)):
        shown = f"document.getElementById('range').textContent.includes('{last} of 109')"
        # The links of the page before are shown until the next ones are there.
        known = json.dumps(sorted(reached))
        fresh = f"{links}.every(one => !{known}.includes(one)) && {links}.length === {rows}"
        await until(f"{shown} && {fresh}", browser)
        reached |= set(await run(f"return {links}"))
        await run("document.getElementById('older').click()")
    await run("window.confirm = () => true")
    await run("document.querySelector('[name=filter][value=failed]').click()")
    await until("document.querySelectorAll('#videos .failed').length === 5", browser)
    await run("document.getElementById('delete-all').click()")
    await until("!document.getElementById('no-videos').hidden", browser)
    await run("document.querySelector('[name=filter][value=rendering]').click()")
    await until("document.querySelectorAll('#videos .queued').length === 50", browser)
    await run("document.getElementById('delete-all').click()")
    await until("document.getElementById('queue').textContent === '1 rendering'", browser)

    assert labels == ["All 231", "Rendering 117", "Ready 109", "Failed 5"]
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

    assert not await asyncio.to_thread(browser.execute_script, "return 'SharedWorker' in window")

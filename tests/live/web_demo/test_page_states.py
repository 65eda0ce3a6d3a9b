"""What the page says and does where something is missing, refused or hidden, in a real browser."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import cv2
import pytest

from edgehr.assets import group_picture, packaged_model
from edgehr.live.web.guard import HEADERS as LIVE_HEADERS
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL
from tests.live.web import chromium
from tests.live.web_demo.browsing import (
    NOTICE,
    READY,
    START,
    choose,
    chromium_with,
    folder_for,
    one_person,
    opened,
    served,
    write_clip,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.PATH is None, reason="no Chromium here to open the page with"),
]

# Of a host that knows nothing of the page.
PLAIN = {**LIVE_HEADERS, "Content-Security-Policy": "frame-ancestors 'none'"}
STATE = "document.getElementById('state').textContent"
HINT = "document.getElementById('hint').textContent"
DETAILS = "document.getElementById('details').textContent"
COUNT = "document.getElementById('count').textContent"
FPS = "Number(document.getElementById('fps').textContent)"
BUTTONS = "[...document.querySelectorAll('.bar button:not([hidden])')].map(({ id }) => id).join(' ')"
NO_WEBASSEMBLY = "delete window.WebAssembly;"
NO_CAMERA_API = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined });"
NO_CAMERA = """
navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("none", "NotFoundError"));
"""
HIDE = """
Object.defineProperty(document, "hidden", { value: %s, configurable: true });
document.dispatchEvent(new Event("visibilitychange"));
"""


def test_a_host_without_headers_and_a_camera_that_is_refused(tmp_path: Path) -> None:
    folder = folder_for(tmp_path / "page", DEFAULT_MODEL, detector=DEFAULT_DETECTOR)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    film = cv2.VideoWriter(str(tmp_path / "film.webm"), cv2.VideoWriter.fourcc(*"VP80"), 10, (640, 480))
    for frame in one_person():
        film.write(frame)
    film.release()

    async def look() -> None:
        async with (
            served(folder, PLAIN) as url,
            chromium_with(tmp_path / "profile") as browser,
            opened(browser, url) as page,
        ):
            await page.wait_for(READY, 60)
            assert "One thread: this host does not send the headers" in await page.evaluate(HINT)
            assert "WebAssembly, 1 thread" in await page.evaluate(DETAILS)
            await page.call(
                "Browser.setPermission", permission={"name": "camera"}, setting="denied", origin=url.rstrip("/")
            )
            await page.evaluate(START)
            await page.wait_for(f"{NOTICE}.startsWith('The camera was refused')")
            await choose(page, broken)
            await page.wait_for(f"{NOTICE}.startsWith('This browser cannot read broken.jpg')")
            await choose(page, group_picture())
            await page.wait_for(f"{STATE} === 'Done' && {COUNT} === '3'", 60)
            await choose(page, tmp_path / "film.webm")
            await page.wait_for(f"{STATE} === 'Live' && {FPS} > 0 && {COUNT} === '1'", 60)
            assert await page.evaluate(BUTTONS) == "camera pause fullscreen"
            await choose(page, group_picture())  # while the worker is at a frame of the film
            await page.wait_for(f"{STATE} === 'Done'", 60)
            assert await page.evaluate(COUNT) == "3"
            await page.evaluate(NO_CAMERA)
            await page.evaluate(START)
            await page.wait_for(f"{NOTICE}.startsWith('This device has no camera')")
            assert page.complaints == []

    asyncio.run(look())


def test_pause_and_a_hidden_tab(tmp_path: Path) -> None:
    folder = folder_for(tmp_path / "page", packaged_model(DEFAULT_MODEL, ".tflite"))
    clip = write_clip(tmp_path / "clip.mjpeg", one_person())

    async def look() -> None:
        async with (
            served(folder) as url,
            chromium_with(tmp_path / "profile", clip) as browser,
            opened(
                browser,
                f"{url}?threads=2",
                "window.count = 0; document.addEventListener('edgehr:result', () => count++)",
            ) as page,
        ):
            await page.wait_for(READY, 60)
            assert await page.evaluate(HINT) == ""
            assert "WebAssembly, 2 threads" in await page.evaluate(DETAILS)
            await page.evaluate(START)
            await page.wait_for("count > 2", 60)
            assert await page.evaluate(BUTTONS) == "pause fullscreen"
            await page.evaluate("document.getElementById('pause').click()")
            await page.wait_for(f"{STATE} === 'Paused'")
            await asyncio.sleep(2)  # for a frame that was under way
            count = await page.evaluate("count")
            await asyncio.sleep(0.7)
            assert await page.evaluate("count") == count
            await page.evaluate("document.getElementById('pause').click()")
            await page.wait_for(f"{STATE} === 'Live' && count > {count} + 2")
            await page.evaluate(HIDE % "true")
            await page.wait_for(f"{STATE} === 'Camera off'")
            await page.evaluate("count = 0")
            await page.evaluate(HIDE % "false")
            await page.wait_for(f"{STATE} === 'Live' && count > 2", 60)
            assert page.complaints == []

    asyncio.run(look())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = folder_for(tmp_path / "page", packaged_model(DEFAULT_MODEL, ".tflite"))
    without_model = shutil.copytree(folder, tmp_path / "without", ignore=shutil.ignore_patterns("pose.*"))
    cut_short = shutil.copytree(folder, tmp_path / "cut")
    (cut_short / "models" / "pose.tflite").write_bytes(b"a part")
    cases = (
        (folder, NO_WEBASSEMBLY, "This browser has no WebAssembly with SIMD"),
        (without_model, "", "/models/pose.tflite cannot be loaded: the server answers 404"),
        (cut_short, "", "/models/pose.tflite has 6 bytes in place of"),
    )

    async def look() -> None:
        async with chromium_with(tmp_path / "profile") as browser:
            for path, script, says in cases:
                async with served(path) as url, opened(browser, url, script) as page:
                    await page.wait_for(f"{NOTICE}.startsWith({says!r})", 60)
                    await page.evaluate(START)
                    await page.wait_for(f"{NOTICE}.startsWith({says!r})", 60)
            async with served(folder) as url, opened(browser, url, NO_CAMERA_API) as page:
                await page.wait_for(READY, 60)
                await page.evaluate(START)
                await page.wait_for(f"{NOTICE}.startsWith('Browsers give a camera to secure pages only')")

    asyncio.run(look())

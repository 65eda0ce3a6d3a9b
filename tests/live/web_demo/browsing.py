"""A folder in a real browser: served, with a clip in place of the camera, and what the page found in each frame."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from aiohttp import web
from filelock import FileLock
from numpy.typing import NDArray

from edgehr.assets import group_picture, photographs
from edgehr.errors import EdgehrError
from edgehr.files import cache_folder
from edgehr.live.web_demo import make_folder
from edgehr.live.web_demo.serving import HEADERS, make_app
from tests.live.web import chromium

Image = NDArray[np.uint8]

READY = "document.getElementById('notice').textContent.startsWith('Start the camera')"
START = "document.getElementById('camera').click()"
NOTICE = "document.getElementById('notice').textContent"
# Keeps what the page tells of its first frames, with their pixels.
KEEP = """
window.seen = [];
document.addEventListener("edgehr:result", ({ detail: { time, poses, mask, frame } }) => {
    if (seen.length === %d) return;
    const plain = poses.map(({ box, points, scores, id }) => ({ box, points: [...points], scores: [...scores], id }));
    const alpha = mask && { width: mask.width, values: [...mask.data].filter((_, at) => at %% 4 === 3) };
    seen.push({ time, poses: plain, alpha, picture: frame.toDataURL() });
});
"""


def folder_for(path: Path, model: str | Path, **options: Any) -> Path:
    """Write a folder, one worker at a time; the test is skipped where the npm registry cannot be reached."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(cache_folder() / "npm.lock"):
            return make_folder(model, path, **options).path
    except EdgehrError as error:
        if "cannot download" in str(error):
            pytest.skip(str(error))
        raise


@asynccontextmanager
async def served(folder: Path, headers: Mapping[str, str] = HEADERS) -> AsyncIterator[str]:
    """Serve a folder on a free port; gives its address."""
    runner = web.AppRunner(make_app(folder, True, dict(headers)))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def chromium_with(folder: Path, clip: Path | None = None) -> AsyncIterator[chromium.Browser]:
    """Start Chromium; with a clip, its camera shows that, and is allowed."""
    film = [] if clip is None else ["--use-fake-ui-for-media-stream", f"--use-file-for-fake-video-capture={clip}"]
    async with chromium.browser(folder, "--use-fake-device-for-media-stream", *film) as browser:
        yield browser


@asynccontextmanager
async def opened(browser: chromium.Browser, url: str, script: str = "") -> AsyncIterator[chromium.Page]:
    """Open a page, with a script that runs before its own."""
    async with browser.page("about:blank") as page:
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        await page.call("Page.navigate", url=url)
        yield page


async def choose(page: chromium.Page, file: Path) -> None:
    """Give the page a picture or a video."""
    root = (await page.call("DOM.getDocument"))["root"]["nodeId"]
    field = (await page.call("DOM.querySelector", nodeId=root, selector="#file"))["nodeId"]
    await page.call("DOM.setFileInputFiles", nodeId=field, files=[str(file)])


async def frames_seen(page: chromium.Page, count: int, file: Path | None = None) -> list[dict[str, Any]]:
    """Wait for the first frames of the camera, or of a file, and return them with `picture` as (H, W, 3) BGR."""
    await page.wait_for(READY, 60)
    if file is None:
        await page.evaluate(START)
    else:
        await choose(page, file)
    await page.wait_for(f"seen.length === {count}", 60)
    seen: list[dict[str, Any]] = await page.evaluate("seen")
    for each in seen:
        data = base64.b64decode(each["picture"].partition(",")[2])
        each["picture"] = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return seen


def one_person() -> Iterator[Image]:
    """A photograph of one person that moves a little, as however slow a browser can follow."""
    return moving(cv2.imread(str(photographs()[0])), 0.9)


def several_people() -> Iterator[Image]:
    """The same of three people."""
    return moving(cv2.imread(str(group_picture())), 0.4)


def moving(picture: Image, scale: float) -> Iterator[Image]:
    """Show a picture in the middle of frames of 640x480 pixels, going round in a circle."""
    height, width = picture.shape[:2]
    for angle in np.linspace(0, 2 * np.pi, 30, endpoint=False):
        left, top = 320 - scale * width / 2 + 6 * np.sin(angle), 240 - scale * height / 2 + 6 * np.cos(angle)
        place = np.array([[scale, 0, left], [0, scale, top]])
        yield np.asarray(cv2.warpAffine(picture, place, (640, 480), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def write_clip(path: Path, frames: Iterator[Image]) -> Path:
    """Write frames as the pictures one after the other that Chromium takes for a camera's."""
    path.write_bytes(b"".join(cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames))
    return path

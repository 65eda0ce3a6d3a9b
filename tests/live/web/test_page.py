"""The page itself, in a real browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgehr.live.web import WebServer, feed
from tests.live.web import chromium
from tests.live.web.clients import port_of, publishing
from tests.live.web.process import served_elsewhere

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.PATH is None, reason="no Chromium here to open the page with"),
]

STATUS = {
    "task": "segmentation",
    "model": "litehrnet-18-wider-naive-coco-256x192",
    "weights": "sample",
    "runtime": "openvino CPU fp32",
    "source": "<b>camera 0</b>",
    "found": "people",
    "count": 2,
    "dropped": 5,
    "board": {"power_mode": "15W", "clocks": {"cpu": "1.5 GHz"}},
}
FASTER = 4  # where a test waits for what the page does after some seconds
GRAY = "document.getElementById('picture').getContext('2d').getImageData(5, 5, 1, 1).data[0]"
LIVE = "document.body.dataset.state === 'live' && !document.getElementById('notice').innerText"
CAPTION = "document.querySelector('figcaption')?.innerText"
INK = (  # how much is drawn on a chart
    "(() => { const c = document.querySelector('#charts canvas'), all = [0, 0, c.width, c.height];"
    "return c.getContext('2d').getImageData(...all).data.filter((value, at) => at % 4 === 3 && value).length })()"
)


def text(of: str) -> str:
    return f"document.querySelector('{of}').innerText"


@contextmanager
def moving(web: WebServer, fps: float = 30) -> Iterator[None]:
    """Publish pictures and figures that change."""

    def status(number: int) -> dict[str, Any]:
        times = {name: {"p50": 3 + number % 7, "p95": 9 + number % 5} for name in ("capture", "pose")}
        return {**STATUS, "stages": times, "fps": fps, "frame": number}

    with publishing(web, fps=fps, status=status):
        yield


@asynccontextmanager
async def opened(url: str, folder: Path, faster: float = 1) -> AsyncIterator[tuple[chromium.Browser, chromium.Page]]:
    async with chromium.browser(folder) as browser, browser.page(url, faster) as page:
        await page.wait_for(LIVE)
        yield browser, page


async def assert_moves(page: chromium.Page) -> None:
    gray, caption = await page.evaluate(GRAY), await page.wait_for(CAPTION)
    await page.wait_for(f"{GRAY} !== {gray}")
    await page.wait_for(f"{CAPTION} !== {json.dumps(caption)}")


def test_shows_pictures_and_figures_and_stands_still_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    encode = feed.encode
    monkeypatch.setattr(feed, "encode", lambda *arguments: (encoded.append(1), encode(*arguments))[1])

    async def look(web: WebServer) -> None:
        async with opened(web.url, tmp_path) as (_, page):
            await assert_moves(page)
            ink = await page.evaluate(INK)
            await page.wait_for(f"{INK} > {ink} + 20")
            assert await page.evaluate(text("#task")) == "live segmentation"
            assert await page.evaluate("document.title") == "edgehr live segmentation"
            assert await page.evaluate(text("#fps")) == "30.0"
            assert await page.evaluate(text("#count")) == "2"
            details = await page.evaluate(text("#details"))
            for shown in (
                "sample weights",
                "openvino CPU fp32",
                "litehrnet-18",
                "<b>camera 0</b>",
                "15W",
                "cpu 1.5 GHz",
            ):
                assert shown in details
            await page.evaluate("document.getElementById('pause').click()")
            assert await page.evaluate(text("#state")) == "Paused"
            await asyncio.sleep(0.5)
            before, gray = len(encoded), await page.evaluate(GRAY)
            await asyncio.sleep(1)
            assert (len(encoded), await page.evaluate(GRAY)) == (before, gray)
            await page.evaluate("document.getElementById('pause').click()")
            await page.wait_for(LIVE)
            await assert_moves(page)
            for size in ((1440, 900, "light"), (390, 844, "dark", 2), (320, 560, "light", 2)):
                await page.show(*size)
                await page.wait_for(f"window.innerWidth === {size[0]}")
                assert await page.evaluate("document.documentElement.scrollWidth") <= size[0]
            assert page.complaints == []

    with WebServer(port=0) as web, moving(web):
        asyncio.run(look(web))


def test_a_lost_connection_is_called_one_and_the_page_comes_back(tmp_path: Path) -> None:
    async def look(url: str, kill: Callable[[], None]) -> None:
        async with opened(url, tmp_path, FASTER) as (_, page):
            kill()
            await page.wait_for("document.body.dataset.state === 'lost'")
            assert await page.evaluate(text("#state")) == "Connection lost, retrying"
            await page.wait_for(f"{text('#notice')}.startsWith('Connection lost. Trying again')")
            await page.evaluate("document.getElementById('pause').click()")
            await page.evaluate("document.getElementById('pause').click()")
            with WebServer(port=port_of(url)) as again:
                await page.wait_for(f"{text('#notice')} === 'Connected. Waiting for the first picture.'")
                with moving(again):
                    await page.wait_for(LIVE)
                    await assert_moves(page)
                await page.wait_for(f"{text('#notice')}.startsWith('No new picture for')")
            assert not [line for line in page.complaints if "TypeError" in line]

    with served_elsewhere(port=0) as (url, kill):
        asyncio.run(look(url, kill))


def test_a_stream_that_has_ended_is_called_so_and_tried_again_slowly(tmp_path: Path) -> None:
    tries = "performance.getEntriesByType('resource').filter((entry) => entry.name.endsWith('/live')).length"

    async def look(web: WebServer) -> None:
        async with opened(web.url, tmp_path, FASTER) as (_, page):
            web.close()
            await page.wait_for("document.body.dataset.state === 'ended'")
            assert await page.evaluate(text("#state")) == "Ended"
            assert (await page.evaluate(text("#notice"))).startswith("The stream has ended.")
            complaints = len(page.complaints)
            await asyncio.sleep(5 / FASTER)  # a lost connection would have been tried three times
            assert await page.evaluate(text("#state")) == "Ended"
            assert (await page.evaluate(tries), len(page.complaints)) == (0, complaints)
            with WebServer(port=port_of(web.url)) as again, moving(again):
                await page.wait_for(LIVE)
                await assert_moves(page)

    with WebServer(port=0) as web, moving(web):
        asyncio.run(look(web))


def test_the_token_leaves_the_address_and_other_refusals_are_explained(tmp_path: Path) -> None:
    async def look(url: str, kill: Callable[[], None]) -> None:
        async with opened(url, tmp_path) as (browser, page):
            assert await page.evaluate("location.href") == url.partition("?")[0]
            assert await page.evaluate("document.cookie") == ""
            await page.wait_for(f"{GRAY} !== {await page.evaluate(GRAY)}")
            await page.call("Page.reload")
            await page.wait_for(LIVE)
            async with browser.page(url) as second:
                await second.wait_for(f"{text('#notice')}.startsWith('All 1 places for viewers are taken')")
            kill()
            await page.wait_for("document.body.dataset.state === 'lost'")
            with WebServer(port=port_of(url), token="another-token"):  # noqa: S106
                await page.wait_for(f"{text('#notice')}.startsWith('This token is not, or no longer, valid')")

    with served_elsewhere(port=0, token="a-token-of-mine", max_clients=1) as (url, kill):  # noqa: S106
        asyncio.run(look(url, kill))

"""Drives a headless Chromium over its DevTools protocol, with nothing but aiohttp."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

PATH = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
START_S = 60.0
FASTER = """{
    const factor = %s, now = performance.now.bind(performance);
    performance.now = () => factor * now();
    for (const name of ["setTimeout", "setInterval"]) {
        const original = window[name];
        window[name] = (call, ms, ...more) => original(call, ms / factor, ...more);
    }
}"""


class PageError(Exception):
    """A command or an expression failed; while a page loads, most do."""


class Page:
    """One tab: answers commands, and keeps what the page complained about."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._last = socket, 0
        self.complaints: list[str] = []

    async def call(self, method: str, **parameters: Any) -> Any:
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=30)
            if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
                self.complaints.append(message["params"]["entry"]["text"])
            elif message.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(message["params"]))
            elif message.get("id") == self._last:
                if "error" in message:
                    raise PageError(message["error"])
                return message["result"]

    async def evaluate(self, expression: str) -> Any:
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise PageError(result["exceptionDetails"])
        return result["result"].get("value")

    async def wait_for(self, expression: str, seconds: float = 30) -> Any:
        end = time.monotonic() + seconds
        seen: Any = None
        while time.monotonic() < end:
            with suppress(PageError):
                if value := await self.evaluate(expression):
                    return value
                seen = await self.evaluate("document.body.innerText")
            await asyncio.sleep(0.1)
        raise AssertionError(f"{expression} did not become true; the page says: {seen}")

    async def show(self, width: int, height: int, scheme: str, scale: int = 1) -> None:
        """Take on a size in CSS pixels and a color scheme; a scale above 1 is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": scale > 1}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    async def screenshot(self, path: Path) -> None:
        picture = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))


class Browser:
    """A running Chromium."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session, self._port = session, port

    @asynccontextmanager
    async def page(self, url: str, faster: float = 1) -> AsyncIterator[Page]:
        """Open a page, whose clock and timers go so many times faster than ours."""
        async with self._session.put(f"http://127.0.0.1:{self._port}/json/new?about:blank") as answer:
            address = (await answer.json())["webSocketDebuggerUrl"]
        async with self._session.ws_connect(address, max_msg_size=0) as socket:
            page = Page(socket)
            for part in ("Page", "Runtime", "Log"):
                await page.call(f"{part}.enable")
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=FASTER % faster)
            await page.call("Page.navigate", url=url)
            yield page
            await page.call("Page.close")


@asynccontextmanager
async def browser(folder: Path, *more: str) -> AsyncIterator[Browser]:
    """Start Chromium with a profile of its own. Its sandbox is off: it needs rights that containers lack."""
    assert PATH
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    process = subprocess.Popen([PATH, *options, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        told, end = folder / "DevToolsActivePort", time.monotonic() + START_S
        while not (told.exists() and "\n" in told.read_text()):
            assert process.poll() is None, "Chromium ended at once"
            assert time.monotonic() < end, "Chromium did not start"
            await asyncio.sleep(0.1)
        async with aiohttp.ClientSession() as session:
            yield Browser(session, int(told.read_text().split()[0]))
    finally:
        process.terminate()
        process.wait()

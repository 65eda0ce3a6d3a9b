"""A viewer of the demo's page in a process of its own: asks for pictures as the page does, until the server goes.

python -m benchmarks.web_viewer URL
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp

MOST_ASKED = 2


async def watch(url: str) -> int:
    """Take pictures until the stream or the connection ends, and count them."""
    pictures = 0
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}live", max_msg_size=0) as live:
        for _ in range(MOST_ASKED):
            await live.send_str("next")
        async for message in live:
            if message.type is aiohttp.WSMsgType.BINARY:
                pictures += 1
                await live.send_str("next")
    return pictures


if __name__ == "__main__":
    try:
        print(asyncio.run(watch(sys.argv[1])))
    except aiohttp.ClientError as error:
        sys.exit(f"the connection was lost: {error}")

"""Receive callbacks in an aiohttp app."""

import asyncio

from aiohttp import web

import mp4gen


async def main() -> None:
    """Convert one track; the API reports its end."""
    receiver = mp4gen.CallbackReceiver("http://127.0.0.1:8799/mp4gen")
    app = web.Application()
    app.add_routes(receiver.routes())
    runner = web.AppRunner(app, access_log=None)  # callback URLs are secret
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 8799).start()
    async with mp4gen.Client(callbacks=receiver) as client:
        video = await client.convert(mp4gen.VideoRequest("taskId_774b", "e233"))
        print(video.url)
    await runner.cleanup()


asyncio.run(main())

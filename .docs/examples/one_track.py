"""Convert one track, and download its video."""

import asyncio

import mp4gen


async def main() -> None:
    """Submit, wait and download."""
    async with mp4gen.Client() as client:  # the key from MP4GEN_API_KEY
        request = mp4gen.VideoRequest("Night Drives", "Slow Harbour", author="You")
        video = await client.convert(request)
        print(await client.download(video, "videos/"))


asyncio.run(main())

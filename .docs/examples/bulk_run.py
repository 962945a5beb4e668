"""Convert many tracks; run it again after a crash, and it resumes."""

import asyncio

import mp4gen


async def main() -> None:
    """Convert all tracks, and print each result as it arrives."""
    requests = [mp4gen.VideoRequest("taskId_774b", f"track-{n}") for n in range(8)]
    async with (
        mp4gen.Client() as client,
        client.convert_many(requests, ledger="run.sqlite", download_to="videos") as run,
    ):
        async for conversion in run:
            print(conversion.request.audio_id, conversion.path or conversion.error)
    print(run.summary)


asyncio.run(main())

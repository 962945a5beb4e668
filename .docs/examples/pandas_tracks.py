"""Convert the tracks of a DataFrame, and return it with the results."""

import asyncio

import pandas as pd

import mp4gen


async def convert_frame(tracks: pd.DataFrame, folder: str) -> pd.DataFrame:
    """Return `tracks` with the columns `path` and `error`; both are empty for what remains.

    Args:
        tracks: The columns `task_id` and `audio_id`, and perhaps `author`.
        folder: The directory for the videos and the ledger, so that a second call resumes.
    """
    rows = tracks.astype(object).where(tracks.notna(), None).to_dict("records")
    requests = [
        mp4gen.VideoRequest(row["task_id"], row["audio_id"], author=row.get("author"))
        for row in rows
    ]
    results = []
    async with (
        mp4gen.Client() as client,
        client.convert_many(requests, ledger=f"{folder}/run.sqlite", download_to=folder) as run,
    ):
        async for done in run:
            key = (done.request.task_id, done.request.audio_id)
            results.append((*key, done.path and str(done.path), done.error and str(done.error)))
    columns = ["task_id", "audio_id", "path", "error"]
    found = pd.DataFrame(results, columns=columns).drop_duplicates(["task_id", "audio_id"])
    return tracks.merge(found, how="left", on=["task_id", "audio_id"])


if __name__ == "__main__":
    table = pd.DataFrame(
        {
            "task_id": ["taskId_774b"] * 3,
            "audio_id": ["e231", "e232", "e233"],
            "author": ["Suno Artist", None, None],
        }
    )
    print(asyncio.run(convert_frame(table, ".")))

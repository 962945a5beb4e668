"""Receive callbacks in an app with several workers: `uvicorn callbacks_workers:app --workers 4`.

Nothing is kept in memory, because another worker may have submitted the track of a callback.
"""

import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from fastapi import FastAPI, HTTPException, Request

import mp4gen

# The path is secret: keep it out of the access log (uvicorn's --no-access-log).
CALLBACK_PATH = f"/mp4gen/{os.environ['CALLBACK_TOKEN']}"
CALLBACK_URL = os.environ["PUBLIC_URL"] + CALLBACK_PATH
DATABASE = os.environ["DATABASE"]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open one client for each worker; the API's rate limit is divided among the four."""
    async with mp4gen.Client(rate_limit=mp4gen.RateLimit(5, per=10.0)) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/videos/{music_task_id}/{audio_id}")
async def create(music_task_id: str, audio_id: str) -> dict[str, str]:
    """Start a video."""
    request = mp4gen.VideoRequest(music_task_id, audio_id, callback_url=CALLBACK_URL)
    return {"task_id": await app.state.client.create_music_video(request)}


@app.post(CALLBACK_PATH)
async def callback(request: Request) -> dict[str, str]:
    """Read a callback, and ask the API, since no host signs the link."""
    try:
        found = mp4gen.parse_callback(await request.body())
    except mp4gen.ValidationError as error:
        raise HTTPException(400, str(error)) from None
    details = await app.state.client.get_music_video_details(found.task_id)
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS videos (task_id TEXT PRIMARY KEY, url TEXT)")
        row = (details.task_id, details.video_url)
        database.execute("INSERT OR REPLACE INTO videos VALUES (?, ?)", row)
    return {"status": "received"}


@app.get("/videos/{task_id}")
def video(task_id: str) -> dict[str, str]:
    """Return the link of a finished video."""
    with closing(sqlite3.connect(DATABASE)) as database:
        rows = database.execute("SELECT url FROM videos WHERE task_id = ?", [task_id])
        return dict(zip(("url",), rows.fetchone() or ("",), strict=True))

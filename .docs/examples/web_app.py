"""Create and poll videos from a web app: `uvicorn web_app:app --timeout-graceful-shutdown 5`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

import mp4gen

# No request waits longer for the API, however busy or broken it is.
SECONDS = 10.0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Share one client, and with it the rate limit of the account, among all requests."""
    async with mp4gen.Client() as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/videos")
async def create(request: Request, task_id: str, audio_id: str) -> dict[str, str]:
    """Submit a track and return at once; rendering takes minutes."""
    client: mp4gen.Client = request.app.state.client
    track = mp4gen.VideoRequest(task_id, audio_id)
    return {"id": await client.create_music_video(track, timeout=SECONDS)}


@app.get("/videos/{video_id}")
async def details(request: Request, video_id: str) -> dict[str, Any]:
    """Return the state of a video, and its URL when it is ready."""
    client: mp4gen.Client = request.app.state.client
    found = await client.get_music_video_details(video_id, timeout=SECONDS)
    return {"ready": found.ready, "failed": found.failed, "video_url": found.video_url}


@app.get("/tracks/{task_id}")
async def tracks(request: Request, task_id: str) -> list[dict[str, Any]]:
    """Return the tracks of a music task."""
    client: mp4gen.Client = request.app.state.client
    return [track.to_dict() for track in await client.get_tracks(task_id, timeout=SECONDS)]


@app.exception_handler(mp4gen.Mp4GenError)
async def report(_: Request, error: mp4gen.Mp4GenError) -> JSONResponse:
    """Answer with a status that says whose fault it was; the text goes to the log, not out."""
    statuses: list[tuple[type[Exception], int]] = [
        (mp4gen.ValidationError, 422),
        (mp4gen.NotFoundError, 404),
        (mp4gen.AlreadyExistsError, 409),
        (mp4gen.RequestTimeoutError, 504),
        (mp4gen.SubmitUncertainError, 504),
    ]
    status = next((status for kind, status in statuses if isinstance(error, kind)), 502)
    return JSONResponse({"error": type(error).__name__}, status)

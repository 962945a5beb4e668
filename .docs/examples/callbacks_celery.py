"""Receive callbacks in Flask, and do the work in Celery: `celery -A callbacks_celery worker`."""

import os
from pathlib import Path

from celery import Celery
from flask import Flask, request

import mp4gen

queue = Celery("videos", broker=os.environ.get("BROKER_URL", "memory://"))
app = Flask(__name__)
# One for each process: it opens nothing until its first call, after Celery's forks.
client = mp4gen.sync.Client()


@app.post(f"/mp4gen/{os.environ['CALLBACK_TOKEN']}")
def callback() -> tuple[str, int]:
    """Answer within the API's 15 seconds: the download is the queue's work."""
    try:
        found = mp4gen.parse_callback(request.get_data(cache=False), headers=request.headers)
    except mp4gen.ValidationError as error:
        return str(error), 400
    download.delay(found.task_id)
    return "received", 200


@queue.task(acks_late=True)
def download(task_id: str) -> str:
    """Download a video; a repeated callback finds the file there."""
    file = Path(os.environ["VIDEOS"], f"{task_id}.mp4")
    if not file.exists():
        client.download(client.wait_for_video(task_id), file)
    return str(file)

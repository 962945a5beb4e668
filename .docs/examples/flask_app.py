"""Make videos in Flask: `gunicorn --workers 1 --threads 8 flask_app:app`."""

from flask import Flask, redirect, render_template_string, request, url_for
from werkzeug.wrappers import Response

import mp4gen

PAGE = """<!doctype html>
<title>Video</title>
{% if error %}<p>No video: {{ error }}</p>
{% elif not details %}<form method="post">
<input name="task_id"><input name="audio_id"><button>Make</button></form>
{% elif details.ready %}<p><a href="{{ details.video_url }}">Your video</a></p>
{% elif details.failed %}<p>No video: {{ details.error_message or details.status }}</p>
{% else %}<meta http-equiv="refresh" content="5"><p>Your video is being made.</p>
{% endif %}"""

app = Flask(__name__)
# One for each process. It opens nothing until its first call, so gunicorn may fork after this line.
client = mp4gen.sync.Client()


@app.get("/")
def form() -> str:
    """Ask for a track."""
    return render_template_string(PAGE)


@app.post("/")
def submit() -> Response:
    """Submit the track, and send the browser to the page of its video."""
    track = mp4gen.VideoRequest(request.form["task_id"], request.form["audio_id"])
    try:
        task_id = client.create_music_video(track, timeout=10)
    except mp4gen.AlreadyExistsError as error:
        if error.existing_task_id is None:
            raise
        task_id = error.existing_task_id
    return redirect(url_for("video", task_id=task_id), 303)


@app.get("/videos/<task_id>")
def video(task_id: str) -> str:
    """Show the video, or a page that reloads after five seconds."""
    details = client.get_music_video_details(task_id, timeout=10)
    return render_template_string(PAGE, details=details)


@app.errorhandler(mp4gen.Mp4GenError)
def failed(error: mp4gen.Mp4GenError) -> tuple[str, int]:
    """Show the text of the error, which contains no secret."""
    code = 400 if isinstance(error, mp4gen.ValidationError) else 502
    return render_template_string(PAGE, error=error), code

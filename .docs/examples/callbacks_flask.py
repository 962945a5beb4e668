"""Receive callbacks in Flask: `gunicorn --workers 1 --threads 8 callbacks_flask:app`."""

from flask import Flask, Response, request

import mp4gen

receiver = mp4gen.CallbackReceiver("https://bot.example.com/mp4gen")
app = Flask(__name__)


@app.post("/mp4gen/<token>")
def callback(token: str) -> Response:
    """Answer one callback; a byte over the limit is enough to reject it."""
    body = request.stream.read(64 * 1024 + 1)
    status, answer = receiver.handle(request.method, request.path, request.headers, body)
    return Response(answer, status, mimetype="application/json")

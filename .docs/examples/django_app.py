"""Make videos in Django, in one file: `python django_app.py runserver`, or `django_app:app`."""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template import engines
from django.urls import path, reverse

import mp4gen

PAGE = """<!doctype html>
<title>Video</title>
{% if error %}<p>No video: {{ error }}</p>
{% elif not details %}<form method="post">{% csrf_token %}
<input name="task_id"><input name="audio_id"><button>Make</button></form>
{% elif details.ready %}<p><a href="{{ details.video_url }}">Your video</a></p>
{% elif details.failed %}<p>No video: {{ details.error_message }}</p>
{% else %}<meta http-equiv="refresh" content="5"><p>Your video is being made.</p>
{% endif %}"""

settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for this machine"),
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
# One for each process. It opens nothing until its first call, so gunicorn may fork after this line.
client = mp4gen.sync.Client()


def show(request: HttpRequest, status: int = 200, **values: object) -> HttpResponse:
    """Return the page with `values`."""
    page = engines["django"].from_string(PAGE)
    return HttpResponse(page.render(values, request), status=status)


def start(request: HttpRequest) -> HttpResponse:
    """Ask for a track; submit it, and send the browser to the page of its video."""
    if request.method != "POST":
        return show(request)
    try:
        track = mp4gen.VideoRequest(request.POST["task_id"], request.POST["audio_id"])
        task_id = client.create_music_video(track, timeout=10)
    except mp4gen.AlreadyExistsError as error:
        if error.existing_task_id is None:
            return show(request, 502, error=error)
        task_id = error.existing_task_id
    except mp4gen.ValidationError as error:
        return show(request, 400, error=error)
    except mp4gen.Mp4GenError as error:
        return show(request, 502, error=error)
    return HttpResponseRedirect(reverse("video", args=[task_id]))


def video(request: HttpRequest, task_id: str) -> HttpResponse:
    """Show the video, or a page that reloads after five seconds."""
    try:
        details = client.get_music_video_details(task_id, timeout=10)
    except mp4gen.Mp4GenError as error:
        return show(request, 502, error=error)
    return show(request, details=details)


urlpatterns = [path("", start), path("videos/<str:task_id>", video, name="video")]
app = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)

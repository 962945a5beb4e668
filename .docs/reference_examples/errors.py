"""Examples of the reference page "Errors".

`service` is a `FakeService`, `client` a client of it, and `request` a request.
"""

import mp4gen

# %% mp4gen.Mp4GenError
service.script("details", "failed")
stored = []  # a database, in an app that is restarted
try:
    video = await client.convert(request, on_submitted=stored.append)
except mp4gen.Mp4GenError as error:  # everything that mp4gen raises
    print(error)
    if error.ended_task_id is not None:
        stored.remove(error.ended_task_id)  # else: wait for the task again later

# %% mp4gen.ConfigurationError
try:
    client = mp4gen.Client(base_url="api.example.com")
except mp4gen.ConfigurationError as error:
    print(error)

# %% mp4gen.ValidationError
try:
    request = mp4gen.VideoRequest("taskId_774b", "", author="A" * 51)
except mp4gen.ValidationError as error:
    for field, problem in error.problems.items():
        print(f"{field}: {problem}")

# %% mp4gen.ApiError
service.script("create", "code_413")
try:
    await client.create_music_video(request)
except mp4gen.ApiError as error:
    print(error.code, error.message, error.hint)

# %% mp4gen.InvalidRequestError
service.script("create", "code_400")
try:
    await client.create_music_video(request)
except mp4gen.InvalidRequestError as error:
    print("Correct the request:", error.message)

# %% mp4gen.AuthenticationError
service.script("credits", "unauthorized")
try:
    await client.get_credits()
except mp4gen.AuthenticationError as error:
    print("Check MP4GEN_API_KEY:", error)

# %% mp4gen.NotFoundError
service.script("tracks", "code_404")
try:
    tracks = await client.get_tracks("taskId_unknown")
except mp4gen.NotFoundError as error:
    print("No such music task:", error.task_id)

# %% mp4gen.InsufficientCreditsError
service.script("create", "no_credits")
try:
    await client.create_music_video(request)
except mp4gen.InsufficientCreditsError:
    print("Add credits, then run this again.")

# %% mp4gen.RateLimitError
service.always("credits", "rate_limited")
try:
    async with service.client(retry=0) as client:  # a client that gives up at once
        await client.get_credits()
except mp4gen.RateLimitError as error:
    print("Try again in ten seconds:", error.code)

# %% mp4gen.AlreadyExistsError
await client.create_music_video(request)
try:
    await client.create_music_video(request)  # `convert` adopts the existing video by itself
except mp4gen.AlreadyExistsError as error:
    if error.existing_task_id is not None:
        video = await client.wait_for_video(error.existing_task_id)
        print(video.url)

# %% mp4gen.MaintenanceError
service.script("credits", "maintenance")
try:
    await client.get_credits()
except mp4gen.MaintenanceError:
    print("The API is down for maintenance. Try again in some minutes.")

# %% mp4gen.ServerError
service.always("credits", "server_error")
try:
    async with service.client(retry=0) as client:  # a client that gives up at once
        await client.get_credits()
except mp4gen.ServerError as error:
    print("Try again later:", error.code)

# %% mp4gen.TransportError
service.always("credits", "reset")
try:
    async with service.client(retry=0) as client:  # a client that gives up at once
        await client.get_credits()
except mp4gen.TransportError as error:
    print("Check the network:", error, error.sent)

# %% mp4gen.RequestTimeoutError
service.script("credits", "hang")
try:
    await client.get_credits(timeout=0.1)
except mp4gen.RequestTimeoutError:
    print("No response in time; nothing was submitted. Call again.")

# %% mp4gen.ProtocolError
service.always("credits", "empty")
try:
    async with service.client(retry=0) as client:  # a client that gives up at once
        await client.get_credits()
except mp4gen.ProtocolError as error:
    print("Not what the vendor documents:", error)

# %% mp4gen.SubmitUncertainError
service.script("create", "reset_after_accept")
try:
    async with service.client(on_uncertain_submit="raise") as client:
        await client.create_music_video(request)
except mp4gen.SubmitUncertainError as error:
    if error.rejects_duplicates:
        print("Submit it again:", error.request.audio_id)
    else:
        print("Look at the account first:", error.request.audio_id)

# %% mp4gen.GenerationFailedError
service.script("details", "failed")
try:
    video = await client.convert(request)
except mp4gen.GenerationFailedError as error:
    print(error.task_id, error.details.error_message)

# %% mp4gen.WaitTimeoutError
from mp4gen.testing import FakeService

async with FakeService(duration=0.5, retry_after=0.1) as service, service.client() as client:
    try:
        video = await client.convert(request, timeout=0.1)
    except mp4gen.WaitTimeoutError as error:
        video = await client.wait_for_video(error.task_id)  # now, or after a restart
        print(video.url)

# %% mp4gen.DownloadError
service.always("file", "html_404")
try:
    async with service.client(retry=0) as client:  # a client that gives up at once
        await client.download(await client.convert(request), "videos/")
except mp4gen.DownloadError as error:
    print("There is no file:", error)

# %% mp4gen.LedgerError
from pathlib import Path

Path("notes.txt").write_text("not a ledger")
try:
    async with client.convert_many([request], ledger="notes.txt") as run:
        results = [conversion async for conversion in run]
except mp4gen.LedgerError as error:
    print("Use another file:", error)


# %% mp4gen.UnexpectedError
def find_name(request):
    raise KeyError(request.audio_id)  # a fault of this program


requests = [mp4gen.VideoRequest("taskId_774b", "e232")]
async with client.convert_many(requests, download_to="videos", name=find_name) as run:
    async for conversion in run:
        if isinstance(conversion.error, mp4gen.UnexpectedError):
            print("A bug:", repr(conversion.error.__cause__))

# %% mp4gen.RenderError
from mp4gen.render import render_video

try:
    render_video("song.opus", "song.mp4", start="2:00:00")
except mp4gen.RenderError as error:
    print(error)

# %% mp4gen.RenderCancelledError
import threading

from mp4gen.render import render_video

cancel = threading.Event()
cancel.set()  # in another thread, when the user presses a button
try:
    render_video("song.opus", "song.mp4", cancel=cancel)
except mp4gen.RenderCancelledError:
    print("Cancelled; there is no file.")

# %% mp4gen.RenderIOError
from mp4gen.render import render_video

try:
    render_video("no-such-song.mp3", "song.mp4")
except mp4gen.RenderIOError as error:
    print("Correct the path or the disk, then render again:", error)

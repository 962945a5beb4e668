"""Examples of the reference page "Test tools"; `service` runs, `client` is a client of it."""

import mp4gen

# %% mp4gen.testing.FakeService
from mp4gen.testing import FakeService

async with FakeService(duration=0.2, retry_after=0.1) as service, service.client() as client:
    video = await client.convert(mp4gen.VideoRequest("taskId_774b", "e231"))
    print(video.url == service.file_url(video.task_id))  # True
    print(service.requests[0].endpoint)  # create

# %% mp4gen.testing.FakeService.requests
await client.get_credits()
print(service.requests[-1].method, service.requests[-1].endpoint)  # GET credits

# %% mp4gen.testing.FakeService.tasks
task_id = await client.create_music_video(request)
print(service.tasks[task_id].request.audio_id)  # e231

# %% mp4gen.testing.FakeService.callbacks
from mp4gen.testing import CallbackBehavior, FakeService

receiver = mp4gen.CallbackReceiver("https://app.example.com/mp4gen")
async with FakeService(duration=0.1) as service, service.client(callbacks=receiver) as client:
    await client.convert(request)
    print([callback.status for callback in service.callbacks])  # [200]

# %% mp4gen.testing.FakeService.client
async with service.client(retry=5.0) as client:
    print(await client.get_credits())  # 1000.0

# %% mp4gen.testing.FakeService.sync_client
with service.sync_client() as client:
    print(client.get_credits())  # 1000.0

# %% mp4gen.testing.FakeService.script
service.script("create", "reset_after_accept", "ok")  # the next two submits
video = await client.convert(request)
print(video.adopted, len(service.tasks))  # True 1

# %% mp4gen.testing.FakeService.always
service.always("credits", "unauthorized")
try:
    await client.get_credits()
except mp4gen.AuthenticationError as error:
    print(error.code)  # 401

# %% mp4gen.testing.FakeService.clear
service.always("credits", "unauthorized")
service.clear()
print(await client.get_credits())  # 1000.0

# %% mp4gen.testing.FakeService.count
await client.convert(request)
print(service.count("create"), service.count("details"))  # 1 1

# %% mp4gen.testing.FakeService.peak_requests
await client.convert(request)
print(service.peak_requests(10.0) <= 20)  # True

# %% mp4gen.testing.FakeService.file_url
video = await client.convert(request)
print(video.url == service.file_url(video.task_id))  # True

# %% mp4gen.testing.lognormal
from mp4gen.testing import FakeService, lognormal

# Half of the tasks take less than 0.1 seconds, one in twenty more than 0.2.
async with FakeService(duration=lognormal(0.1, 0.2), retry_after=0.1, seed=7) as service:
    async with service.client() as client:
        print((await client.convert(request)).adopted)  # False

# %% mp4gen.testing.ScriptedResponse
from mp4gen.testing import ScriptedResponse

busy = ScriptedResponse(status=503, body=b"busy", headers={"Retry-After": "0"})
service.script("credits", busy)
print(await client.get_credits())  # 1000.0
print(busy.is_default)  # False

# %% mp4gen.testing.CallbackBehavior
from mp4gen.testing import CallbackBehavior, FakeService

# Three identical callbacks for each task, and a forgery before them.
behavior = CallbackBehavior(copies=3, forged=1, secret="webhook-key")
receiver = mp4gen.CallbackReceiver("https://app.example.com/mp4gen", secret="webhook-key")
async with FakeService(callbacks=behavior) as service:
    async with service.client(callbacks=receiver) as client:
        print((await client.convert(request)).adopted)  # False

# %% mp4gen.testing.RecordedRequest
import json

await client.create_music_video(request)
recorded = service.requests[-1]
print(recorded.path, json.loads(recorded.body)["audioId"])  # /api/v1/mp4/generate e231

# %% mp4gen.testing.FakeTask
task_id = await client.create_music_video(request)
task = service.tasks[task_id]
print(task.poll_count, task.request.author)  # 0 Suno Artist

# %% mp4gen.testing.FakeTask.fail
task_id = await client.create_music_video(request)
service.tasks[task_id].fail("The audio is damaged.")
details = await client.get_music_video_details(task_id)
print(details.failed, details.error_message)  # True The audio is damaged.

# %% mp4gen.testing.FakeTask.finish
from mp4gen.testing import FakeService

async with FakeService(duration=3600.0) as service, service.client() as client:
    task_id = await client.create_music_video(request)
    service.tasks[task_id].finish()  # an hour early
    print((await client.get_music_video_details(task_id)).ready)  # True

# %% mp4gen.testing.SentCallback
from mp4gen.testing import FakeService

receiver = mp4gen.CallbackReceiver("https://app.example.com/mp4gen")
async with FakeService(duration=0.1) as service, service.client(callbacks=receiver) as client:
    await client.convert(request)
    sent = service.callbacks[0]
    print(sent.task_id in service.tasks, sent.forged, sent.status)  # True False 200

# %% mp4gen.testing.FAULTS
from mp4gen.testing import FAULTS

for name in FAULTS:  # a test of your app for each fault of the API
    service.script("credits", name)
service.clear()

# %% mp4gen.testing.FAULT_MEANINGS
from mp4gen.testing import FAULT_MEANINGS

print(FAULT_MEANINGS["reset"])  # The connection is reset before the response.

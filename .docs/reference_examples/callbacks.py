"""Examples of the reference page "Callbacks"; `request` is a request, `service` a `FakeService`."""

import mp4gen

# %% mp4gen.CallbackReceiver
receiver = mp4gen.CallbackReceiver("https://app.example.com/mp4gen")
async with service.client(callbacks=receiver) as client:  # or mp4gen.Client(callbacks=receiver)
    video = await client.convert(request)
    print(video.url)

# %% mp4gen.CallbackReceiver.handle
receiver = mp4gen.CallbackReceiver("https://app.example.com/mp4gen")
# In a view of any framework: its request's method, path, headers and raw body.
status, body = receiver.handle("POST", "/mp4gen/unknown-token", {}, b"{}")
print(status)  # 404

# %% mp4gen.CallbackReceiver.routes
from aiohttp import web

receiver = mp4gen.CallbackReceiver("https://app.example.com/mp4gen")
app = web.Application()
app.add_routes(receiver.routes())

# %% mp4gen.parse_callback
body = b'{"code": 200, "msg": "success", "data": {"task_id": "5f1c", "video_url": null}}'
callback = mp4gen.parse_callback(body)
print(callback.task_id)  # 5f1c

# %% mp4gen.VideoCallback
callback = mp4gen.parse_callback({"code": 501, "msg": "failed", "data": {"task_id": "5f1c"}})
if callback.failed:
    print(callback.task_id, callback.message)  # 5f1c failed
print(callback.to_dict())

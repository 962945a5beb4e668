"""Examples of the reference page "Events"; `request` is a request, `service` a `FakeService`."""

import mp4gen

# %% mp4gen.Event
events = []
async with mp4gen.Client(on_event=events.append) as client:
    await client.convert(request)
for event in events:
    print(type(event).__name__, event)


# %% mp4gen.SubmittedEvent
def on_event(event):
    if isinstance(event, mp4gen.SubmittedEvent):
        print("Submitted:", event.audio_id, event.task_id, event.adopted)


async with mp4gen.Client(on_event=on_event) as client:
    await client.convert(request)


# %% mp4gen.PollEvent
def on_event(event):
    if isinstance(event, mp4gen.PollEvent):
        print(f"{event.task_id} is {event.status} after {event.elapsed:.0f} s")


async with mp4gen.Client(on_event=on_event) as client:
    await client.convert(request)


# %% mp4gen.CompletedEvent
async def on_event(event):
    if isinstance(event, mp4gen.CompletedEvent):
        print("Finished:", event.video.url, event.elapsed)


async with mp4gen.Client(on_event=on_event) as client:
    await client.convert(request)


# %% mp4gen.FailedEvent
def on_event(event):
    if isinstance(event, mp4gen.FailedEvent):
        print("Failed:", event.task_id, event.error)


service.script("details", "failed")
async with mp4gen.Client(on_event=on_event) as client, client.convert_many([request]) as run:
    async for conversion in run:
        print(type(conversion.error).__name__)  # GenerationFailedError


# %% mp4gen.RetryEvent
def on_event(event):
    if isinstance(event, mp4gen.RetryEvent):
        print(f"{event.path} again in {event.delay:.1f} s: {event.error}")


service.script("credits", "html_502")
async with mp4gen.Client(on_event=on_event) as client:
    await client.get_credits()


# %% mp4gen.PausedEvent
def on_event(event):
    if isinstance(event, mp4gen.PausedEvent):
        print(f"The account is over its limit; all calls wait for {event.delay:.0f} s.")


service.script("credits", "rate_limited")
limit = mp4gen.RateLimit(20, per=0.1)
async with mp4gen.Client(on_event=on_event, rate_limit=limit) as client:
    await client.get_credits()


# %% mp4gen.MaintenanceEvent
def on_event(event):
    if isinstance(event, mp4gen.MaintenanceEvent):
        print(f"Maintenance: the next probe is in {event.delay:.0f} s.")


service.script("credits", "maintenance")
retry = mp4gen.Retry(maintenance_timeout=3600.0, maintenance_poll_interval=0.1)
async with mp4gen.Client(on_event=on_event, retry=retry) as client:
    await client.get_credits()


# %% mp4gen.DownloadProgressEvent
def on_event(event):
    if isinstance(event, mp4gen.DownloadProgressEvent) and event.total:
        print(f"{event.path}: {event.received / event.total:.0%}")


async with mp4gen.Client(on_event=on_event) as client:
    await client.download(await client.convert(request), "videos/")

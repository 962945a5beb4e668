"""Examples of the reference page "Server"; `data` and `music` are folders of the test."""

# %% mp4gen.server.ServerConfig
from mp4gen.render import RenderStyle
from mp4gen.server import ServerConfig

config = ServerConfig(
    music="~/Music",
    data="/srv/mp4gen",
    style=RenderStyle(look="ring", background="blur"),
    workers=2,
    retention_days=30,
)
print(config.port, config.queue_limit)  # 8787 10000

# %% mp4gen.server.Server
import mp4gen
from mp4gen.server import Server, ServerConfig

async with Server(ServerConfig(music="Music", data="data", port=0)) as server:
    async with mp4gen.Client(base_url=server.url) as client:
        for track in await client.get_tracks("Harbour"):
            print(track.title, server.worker_pids)

# %% mp4gen.server.Server.url
from mp4gen.server import Server, ServerConfig

async with Server(ServerConfig(music="Music", data="data", port=0)) as server:
    print("Open this address in a browser:", server.url)

# %% mp4gen.server.Server.progress
import mp4gen
from mp4gen.server import Server, ServerConfig

async with Server(ServerConfig(music="Music", data="data", port=0)) as server:
    async with mp4gen.Client(base_url=server.url) as client:
        request = mp4gen.VideoRequest("Harbour", "song", extra={"length": "0:02"})
        task_id = await client.create_music_video(request)
        if progress := server.progress(task_id):
            print("{:.0f} of {:.0f} s".format(*progress))

# %% mp4gen.server.Server.replace_keys
import secrets

from mp4gen.server import Server, ServerConfig

config = ServerConfig(music="Music", data="data", port=0, key=secrets.token_hex(24))
async with Server(config) as server:
    server.replace_keys(secrets.token_hex(24), {"label": secrets.token_hex(24)})

# %% mp4gen.server.Server.delete_expired
from mp4gen.server import Server, ServerConfig

async with Server(ServerConfig(music="Music", data="data", port=0)) as server:
    print(await server.delete_expired(), "tasks deleted")  # 0 tasks deleted

# %% mp4gen.server.serve
import os
import signal

from mp4gen.server import ServerConfig, serve


def on_ready(url):
    print(url)
    os.kill(os.getpid(), signal.SIGTERM)  # a real program leaves this to systemd or to Ctrl-C


serve(ServerConfig(music="Music", data="data", port=0), on_ready)

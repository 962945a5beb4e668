"""Convert one track, and download its video."""

import mp4gen

with mp4gen.sync.Client() as client:  # the key from MP4GEN_API_KEY
    request = mp4gen.VideoRequest("Night Drives", "Slow Harbour", author="You")
    video = client.convert(request)
    print(client.download(video, "videos/"))

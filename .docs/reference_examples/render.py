"""Examples of the reference page "Renderer"; the current folder has the file song.opus."""

# %% mp4gen.render.render_video
from mp4gen.render import RenderStyle, render_video

result = render_video(
    "song.opus",
    "song.mp4",
    author="Suno Artist",
    start="0:02",
    length=2,
    style=RenderStyle(look="ring", width=320, height=320),
    on_progress=lambda done, total: print(f"{done / total:.0%}"),
)
print(result.duration, result.size_bytes)

# %% mp4gen.render.RenderStyle
from mp4gen.render import RenderStyle

style = RenderStyle(look="wave", background="#1d2b53", accent="#ff8800", width=1080, height=1350)
print(style.fps, style.font_files)  # 30 ()

# %% mp4gen.render.RenderStyle.preset
from mp4gen.render import RenderStyle

style = RenderStyle.preset("reel", look="pulse")
print(style.width, style.height, style.platform)  # 1080 1920 reel

# %% mp4gen.render.RenderResult
from mp4gen.render import RenderStyle, render_video

small = RenderStyle(width=320, height=180)
result = render_video("song.opus", "song.mp4", length=2, style=small)
print(result.path, result.frames, result.audio_codec)  # song.mp4 60 aac
for warning in result.warnings:
    print(warning)

# %% mp4gen.render.SongCache
from mp4gen.render import RenderStyle, SongCache, render_video

cache = SongCache()  # the analysis and the encoded audio are made once
for name, width, height in (("wide", 320, 180), ("tall", 180, 320)):
    style = RenderStyle(width=width, height=height)
    render_video("song.opus", f"{name}.mp4", length=2, style=style, cache=cache)

# %% mp4gen.render.render_frame
from mp4gen.render import RenderStyle, render_frame

image = render_frame("song.opus", time=1.5, style=RenderStyle(look="ring", width=320, height=180))
image.save("preview.png")  # a PIL image
print(image.size)  # (320, 180)

# %% mp4gen.render.render_cover
from pathlib import Path

from mp4gen.render import render_cover

Path("cover.jpg").write_bytes(render_cover("song.opus", side=300))

# %% mp4gen.render.probe
from mp4gen.render import probe

info = probe("song.opus")
print(info.title, info.codec, info.channels)

# %% mp4gen.render.AudioInfo
from pathlib import Path

from mp4gen.render import probe

for path in sorted(Path().glob("*.opus")):
    info = probe(path)
    print(f"{path.name}: {info.duration:.0f} s, {info.sample_rate} Hz, cover: {info.has_cover}")

"""Make a video of each song here for each of three platforms."""

from pathlib import Path

from mp4gen.render import RenderStyle, SongCache, render_video

cache = SongCache()
for song in Path().glob("*.mp3"):
    for name in ("youtube", "reel", "square"):
        style = RenderStyle.preset(name, look="ring")
        result = render_video(song, f"{song.stem}.{name}.mp4", style=style, cache=cache)
        print(result.path, *result.warnings)

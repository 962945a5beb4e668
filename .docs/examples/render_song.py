"""Render one audio file as an upright video."""

from pathlib import Path

from mp4gen.render import RenderStyle, render_video

if (song := Path("song.mp3")).exists():
    result = render_video(song, "song.mp4", author="You", style=RenderStyle(width=720, height=1280))
    print(result.duration, result.audio_codec)

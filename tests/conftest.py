"""What the tests share; kept small."""

from mp4gen.testing.plugin import mp4gen_service

__all__ = ["mp4gen_service"]

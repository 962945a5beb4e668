"""Describes the choices of the page's form: the looks and the presets; no HTTP."""

import math
from typing import Any

from mp4gen.render.looks import look_names
from mp4gen.render.presets import PRESETS, Preset
from mp4gen.server.config import ServerConfig
from mp4gen.server.rendering.video_options import DEFAULT_OPTIONS, VideoOptions, style_for

_TITLES = {"youtube": "YouTube", "tiktok": "TikTok", "whatsapp": "WhatsApp"}


def settings(config: ServerConfig) -> dict[str, Any]:
    """Return the looks, the presets, and the size of a video without a preset."""
    return {
        "looks": look_names(),
        "presets": [_preset(config, name, preset) for name, preset in PRESETS.items()],
        "size": _size(config, DEFAULT_OPTIONS),
    }


def _preset(config: ServerConfig, name: str, preset: Preset) -> dict[str, Any]:
    size = _size(config, VideoOptions(preset=name))
    return {
        "name": name,
        "title": _TITLES.get(name, name.capitalize()),
        "note": _aspect_ratio(size) if preset.style else f"{(preset.max_size or 0) // 10**6} MB",
        "max_size": preset.max_size,
        "max_length": preset.max_length,
        **size,
    }


def _size(config: ServerConfig, options: VideoOptions) -> dict[str, int]:
    style = style_for(config.style, None, options)
    return {"width": style["width"], "height": style["height"]}


def _aspect_ratio(size: dict[str, int]) -> str:
    divisor = math.gcd(size["width"], size["height"])
    return f"{size['width'] // divisor}:{size['height'] // divisor}"

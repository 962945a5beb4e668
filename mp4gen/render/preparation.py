"""Find out everything that a render needs before its first frame. Encodes nothing."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from attrs import evolve, frozen

from mp4gen.errors import RenderError
from mp4gen.lyrics.values import Lyrics

from . import analysis, cover, damage, decode, fonts, tags
from .background_source import choose_accent, read_background
from .characters import sanitize
from .clip import WHOLE, Clip
from .colour import Bytes
from .cover import cover_jpeg
from .fonts import Weight
from .logo import read_logo
from .looks import find_look
from .looks.look import Content, Direction, Layout, SceneSpec
from .looks.lyric_bars import lyrics_layout
from .lyrics.plan import is_rtl, plan_lyrics
from .lyrics.source import LyricsChoice, check_lyrics, find_lyrics
from .options import MIN_SIDE, PathLike, RenderStyle
from .text import Typesetter

# Largest side in pixels of the cover among the MP4's tags.
TAG_SIDE = 640
# Of title, author and watermark.
_WEIGHTS: tuple[Weight, Weight, Weight] = "semibold", "regular", "medium"


@frozen
class RenderRequest:
    """The arguments that a video and a single frame share."""

    author: str | None
    domain_name: str | None
    title: str | None
    cover: PathLike | None
    style: RenderStyle
    max_duration: float
    clip: Clip = WHOLE
    lyrics: LyricsChoice = "auto"


@frozen(eq=False)
class Prepared:
    """Everything that is known before the first frame.

    The texts of `spec` have only letters that a font has; `title` and `author` have all.
    """

    style: RenderStyle
    features: analysis.Features
    spec: SceneSpec
    cover_image: Bytes | None
    typesetter: Typesetter
    warnings: tuple[str, ...]
    title: str
    author: str


def prepare(
    audio: PathLike, request: RenderRequest, analyse: Callable[..., analysis.Features]
) -> Prepared:
    """Check the options, analyse the audio and choose texts and cover.

    Raises:
        RenderError: an option or the audio cannot be used.
        RenderIOError: the audio cannot be read.
    """
    style = request.style
    _check_values(request)
    file_tags = tags.read_tags(audio)
    texts = _texts(audio, request, file_tags)
    typesetter = Typesetter(style.fonts, style.font)
    # A letter that no font has would leave its spaces behind.
    title, author, domain_name = (
        sanitize(typesetter.shown(sanitize(text), weight))
        for text, weight in zip((*texts, request.domain_name), _WEIGHTS, strict=True)
    )
    lyrics, warnings = find_lyrics(audio, request.lyrics, file_tags)
    lyrics = lyrics.clipped(request.clip.start, request.clip.stop)
    layout, own_layout = _layouts(style, lyrics, has_words=bool(title or author))
    side = own_layout.cover.width
    # Options are checked before minutes are spent on the audio.
    override = None if request.cover is None else cover.read_cover(request.cover, side, TAG_SIDE)
    background, logo = read_background(style), _read_logo(style)
    features = analyse(
        audio,
        fps=style.fps,
        bands=max(layout.bands, own_layout.bands),
        max_duration=request.max_duration,
        clip=request.clip,
    )
    cover_image, cover_warnings = choose_cover(override, file_tags.covers, side)
    cover_pixels = cover.resize_or_generate(cover_image, features.digest, side)
    warnings += cover_warnings + _tag_warnings(request, file_tags)
    warnings += damage.warnings_of(decode.display_name(audio), features)
    hue = cover.generated_hue(features.digest)
    spec = SceneSpec(
        layout=own_layout,
        cover=cover_pixels,
        accent=choose_accent(style, background, cover_pixels, hue),
        title=title,
        author=author,
        domain_name=domain_name,
        fps=style.fps,
        frame_count=features.levels.shape[0],
        background=background,
        logo=logo,
    )
    if layout is not own_layout:
        spec = _with_lyrics(spec, layout, lyrics, typesetter)
    return Prepared(style, features, spec, cover_image, typesetter, tuple(warnings), *texts)


def _layouts(style: RenderStyle, lyrics: Lyrics, *, has_words: bool) -> tuple[Layout, Layout]:
    """Return the layouts of the look with the lyrics, if there are any, and without."""
    look, size = find_look(style.look), (style.width, style.height)
    own = look(*size, Content(has_words))
    if not lyrics.lines:
        return own, own
    direction: Direction = "rtl" if is_rtl(lyrics) else "ltr"
    return lyrics_layout(look, *size, Content(has_words, direction)), own


def _with_lyrics(
    spec: SceneSpec, layout: Layout, lyrics: Lyrics, typesetter: Typesetter
) -> SceneSpec:
    """Return the content of a video with lyrics, which its own layout follows in long gaps."""
    duration = float(spec.frame_count / spec.fps)
    places, sung = layout.lyrics, lyrics.clipped(0.0, duration)
    plan = None if places is None else plan_lyrics(sung, places, typesetter, duration)
    if plan is None:
        return spec
    return evolve(
        spec,
        layout=layout,
        cover=cover.resize(np.rint(spec.cover * 255).astype(np.uint8), layout.cover.width),
        lyrics=plan,
        between=spec if plan.schedule.interludes else None,
    )


def check_request(request: RenderRequest) -> None:
    """Check all that does not depend on the audio, for a run over many files.

    Raises:
        RenderError: an option cannot be used.
    """
    _check_values(request)
    if request.cover is not None:
        cover.read_cover(request.cover, MIN_SIDE)
    check_lyrics(request.lyrics)
    check_pictures(request.style)


def check_pictures(style: RenderStyle) -> None:
    """Check the pictures that a style names.

    Raises:
        RenderError: one cannot be read.
    """
    read_background(style)
    _read_logo(style)


def _read_logo(style: RenderStyle) -> Bytes | None:
    return None if style.logo is None else read_logo(style.logo, style.width, style.height)


def _check_values(request: RenderRequest) -> None:
    max_duration = request.max_duration
    if not 0 < max_duration < math.inf:
        raise RenderError(f"Invalid max_duration: {max_duration!r}. Use a number above 0.")
    for path in request.style.font_files:
        if not fonts.is_loadable(path):
            font = decode.display_name(path)
            raise RenderError(
                f"Cannot read the font file: {font}. Use a TrueType or OpenType file."
            )


def _texts(audio: PathLike, request: RenderRequest, file_tags: tags.Tags) -> tuple[str, str]:
    """Return (title, author): the caller's, else those of the file."""
    own_title = file_tags.title or Path(os.fspath(audio)).stem
    title = sanitize(own_title if request.title is None else request.title)
    return title, sanitize(file_tags.artist if request.author is None else request.author)


def _tag_warnings(request: RenderRequest, file_tags: tags.Tags) -> list[str]:
    return tags.unreadable_warnings(
        title=file_tags.title if request.title is None else "",
        author=file_tags.artist if request.author is None else "",
    )


def choose_cover(
    override: Bytes | None, attached: Sequence[bytes], side: int
) -> tuple[Bytes | None, list[str]]:
    """Return (the caller's cover or the first that can be read, warnings)."""
    if override is not None:
        return override, []
    try:
        return cover.first_readable(attached, side, TAG_SIDE), []
    except RenderError as error:
        # A broken cover does not make the audio unusable.
        return None, [f"{error} A cover generated from the audio is shown."]


def tag_cover(prepared: Prepared) -> bytes:
    """Return the cover for the MP4's tags, which may be larger than the one in the video."""
    image = prepared.cover_image
    side = TAG_SIDE if image is None else image.shape[0]
    return cover_jpeg(cover.resize_or_generate(image, prepared.features.digest, side))

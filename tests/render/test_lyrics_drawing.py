"""Lyrics as they are drawn: sweep, fades, scripts, contrast, and frames that depend on nothing."""

from __future__ import annotations

import itertools
from fractions import Fraction

import attrs
import numpy as np
import pytest

from mp4gen.lyrics.values import LyricLine, Lyrics, LyricWord
from mp4gen.render import background
from mp4gen.render.alternating_scene import new_scene
from mp4gen.render.analysis import Features
from mp4gen.render.background_source import Background
from mp4gen.render.canvas import Canvas
from mp4gen.render.colour import dominant_accent, oklch_to_rgb, relative_luminance, rgb_to_yuv420
from mp4gen.render.cover import generate_cover
from mp4gen.render.looks import OWN_LOOKS, find_look
from mp4gen.render.looks.look import Content, SceneSpec
from mp4gen.render.looks.lyric_bars import lyrics_layout
from mp4gen.render.loudness import Loudness
from mp4gen.render.lyrics.places import lyric_frame
from mp4gen.render.lyrics.plan import is_rtl, plan_lyrics
from mp4gen.render.lyrics.steps import (
    CURRENT_OPACITY,
    SUNG_CHROMA,
    SUNG_HUES,
    SUNG_LIGHTNESS,
    quiet_opacity,
)
from mp4gen.render.motion import Run
from mp4gen.render.parts.words import text_places
from mp4gen.render.scrim import contrast_of
from mp4gen.render.text import Typesetter

SIZE = 640, 360


def a_line(start: float, text: str, *, step: float | None = 0.5) -> LyricLine:
    """Return a line whose words begin every `step` seconds, or have no times."""
    if step is None:
        return LyricLine(start, None, text)
    texts = text.split(" ")
    pieces = [f"{word} " for word in texts[:-1]] + texts[-1:]
    words = tuple(LyricWord(start + index * step, word) for index, word in enumerate(pieces))
    return LyricLine(start, None, text, words)


LINES = (
    a_line(1.0, "I left my name"),
    a_line(4.0, "The harbour keeps the lights for me"),
    a_line(8.0, "and every boat comes home by sound", step=None),
    a_line(20.0, "After the dots"),
    a_line(40.0, "After the break"),
)


class AVideo:
    """A silent video with lyrics, of which any frame can be drawn."""

    def __init__(self, lines, size=SIZE, *, look="bars", fps=30, seconds=60, background=None):
        lyrics, typesetter = Lyrics(tuple(lines)), Typesetter()
        direction = "rtl" if is_rtl(lyrics) else "ltr"
        own = find_look(look)(*size, Content())
        layout = lyrics_layout(find_look(look), *size, Content(lyrics=direction))
        cover = generate_cover(b"golden--", own.cover.width)
        texts = {"title": "Harbour Lights", "author": "Field and Ferry", "domain_name": "a.example"}
        accent, count = dominant_accent(cover, 0.0), int(seconds * fps)
        common = {"accent": accent, "fps": fps, "frame_count": count}
        if background is not None:
            common["background"] = background
        self.fps, self.size, self.layout = fps, size, layout
        self.plan = plan_lyrics(lyrics, layout.lyrics, typesetter, seconds)
        small = cover[: layout.cover.width, : layout.cover.width]
        between = SceneSpec(layout=own, cover=cover, **texts, **common)
        self.spec = SceneSpec(
            layout=layout,
            cover=small,
            lyrics=self.plan,
            between=between if self.plan.schedule.interludes else None,
            **texts,
            **common,
        )
        self.canvas = Canvas(*size)
        bands = max(own.bands, layout.bands)
        rms = np.linspace(0.1, 0.5, count, dtype=np.float32)
        features = Features(
            np.zeros((10, bands), np.uint8), float(seconds), loudness=Loudness(rms, rms)
        )
        self.scene = new_scene(self.spec, features, self.canvas, typesetter)
        self._bands = bands

    def draw(self, *frames):
        """Draw some frames in a row, and return the planes of the last one."""
        for frame in frames:
            heights = np.full((1, self._bands), frame % 7 / 7, np.float32)
            run = Run(frame, heights, np.zeros(1, np.float32), heights)
            next(self.scene.draw_frames(run))
        return [plane.copy() for plane in self.canvas.planes]

    def draw_run(self, first, end):
        """Draw the frames from `first` up to `end` in one run, and return the last one's planes."""
        heights = np.array(
            [[frame % 7 / 7] * self._bands for frame in range(first, end)], np.float32
        )
        run = Run(first, heights, np.zeros(end - first, np.float32), heights[:1])
        assert list(self.scene.draw_frames(run)) == [*range(first, end)]
        return [plane.copy() for plane in self.canvas.planes]

    def block(self, seconds):
        """Return the luma and the blue of the box of the lyrics at a time."""
        luma, blue, _ = self.draw(round(seconds * self.fps))
        box = self.layout.lyrics.box
        half = slice(box.top // 2, box.bottom // 2), slice(box.left // 2, box.right // 2)
        return luma[box.slices].astype(float), blue[half].astype(float)


def lit_share(video, seconds):
    """Return how far the colour of what has been sung reaches, as a share of the whole line."""
    number = video.plan.schedule.steps[video.plan.schedule.step_at(seconds)].current
    end = video.plan.schedule.sweeps[number][-1]
    _, before = video.block(video.plan.schedule.sweeps[number][0] - 0.02)
    _, full = video.block(end + 0.01)
    _, now = video.block(seconds)
    columns = np.abs(full - before).sum(axis=0)
    return float(np.abs(now - before).sum(axis=0).sum() / columns.sum())


def test_words_are_lit_from_left_to_right_in_time():
    """Nothing before the first word, all after the last, in proportion between."""
    video = AVideo(LINES)
    shares = [lit_share(video, 4.0 + part) for part in (-0.1, 0.5, 1.0, 2.0, 3.0, 3.49)]

    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[-1] > 0.95
    assert 0.05 < shares[1] < 0.25
    assert 0.3 < shares[2] < 0.6


@pytest.mark.parametrize("fps", [24, Fraction(30000, 1001), 60])
def test_light_begins_with_the_word_within_one_frame(fps):
    """The first frame at or after the start of a word shows it, and none before."""
    video = AVideo((a_line(2.2, "Stay here"),), fps=fps, seconds=5)
    first = next(n for n in range(1000) if n / fps >= 2.2)
    before, after = video.draw(first - 1), video.draw(first + 1)
    box = video.layout.lyrics.box

    np.testing.assert_array_equal(before[0][box.slices], video.draw(first - 2)[0][box.slices])
    assert (after[1] != before[1])[box.top // 2 : box.bottom // 2].any()


def test_line_without_word_times_is_lit_as_a_whole():
    """All of it at once, in a quarter of a second."""
    video = AVideo(LINES)
    shares = [lit_share(video, 8.0 + part) for part in (0.0, 0.125, 0.25, 1.0)]

    assert shares[0] == 0
    assert 0.3 < shares[1] < 0.7
    assert shares[2:] == pytest.approx([1, 1], abs=0.02)


def test_letters_fade_in_place():
    """Between two lines no pixel is brighter than in both."""
    video = AVideo(LINES)
    (old, _), (new, _) = video.block(3.6), video.block(3.95)
    middle, _ = video.block(3.7)

    assert (middle <= np.maximum(old, new) + 1).all()
    assert (middle >= np.minimum(old, new) - 1).all()
    assert 0.2 < np.abs(middle - old).sum() / np.abs(new - old).sum() < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("size", [(320, 180), (180, 320), (240, 240), (240, 300), (250, 146)])
def test_frame_does_not_depend_on_the_frames_before(size):
    """Drawing only what changed gives the same as drawing a frame alone."""
    moments = [0, 45, 108, 111, 135, 150, 171, 231, 240, 249, 402, 540, 588, 699, 774, 1101, 1215]
    for there, back in itertools.pairwise(moments):
        for one, other in zip(
            AVideo(LINES, size).draw(back, there, back), AVideo(LINES, size).draw(back), strict=True
        ):
            np.testing.assert_array_equal(one, other)


def test_runs_and_single_frames_are_the_same():
    """Also over the fades to the look without lyrics and back."""
    whole, alone = AVideo(LINES), AVideo(LINES)
    start = 630
    whole.draw(start)

    for end in (start + 20, start + 90, start + 400, start + 480, start + 620):
        first = alone.scene.independent_frame(end - 1)
        drawn = AVideo(LINES).draw_run(first, end)
        for one, other in zip(whole.draw_run(start, end), drawn, strict=True):
            np.testing.assert_array_equal(one, other)
        start = end


def test_look_returns_in_a_long_gap():
    """Its own layout, complete; and the lyrics after it."""
    video = AVideo(LINES)
    look = new_scene(
        video.spec.between,
        Features(np.zeros((10, 64), np.uint8), 60.0),
        Canvas(*SIZE),
        Typesetter(),
    )
    heights = np.full((1, 64), 900 % 7 / 7, np.float32)
    next(look.draw_frames(Run(900, heights, np.zeros(1, np.float32), heights)))

    for one, other in zip(video.draw(900), look._parts[0]._canvas.planes, strict=True):
        np.testing.assert_array_equal(one, other)


SCRIPTS = {
    "Latin": "Every window is a slow goodbye",
    "Cyrillic": "Каждое окно прощается",
    "Greek": "Κάθε παράθυρο αργό αντίο",
    "Arabic": "كل نافذة وداع بطيء",
    "Hebrew": "כל חלון הוא פרידה איטית",
    "Devanagari": "हर खिड़की धीमी विदाई है",
    "Thai": "ทุกหน้าต่าง คือคำลา",
    "Japanese": "夜の港に灯りが残る",
    "Chinese": "每扇窗都是慢慢的告别",
    "Korean": "모든 창은 느린 작별이다",
}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("size", [(640, 360), (360, 640)])
def test_lines_of_every_script_stay_in_their_place(script, size):
    """Letters without a font are left out with a warning; all others are drawn and swept."""
    typesetter = Typesetter()
    text = SCRIPTS[script]
    if not typesetter.shown(text, "semibold").strip():
        assert typesetter.warnings
        pytest.skip(f"no font for {script}")
    video = AVideo((a_line(1.0, text), a_line(5.0, text)), size, seconds=8)
    ground = AVideo((a_line(100.0, "x"), a_line(101.0, "x")), size, seconds=8)
    places = video.layout.lyrics
    for seconds in (0.9, 2.0, 3.4):
        drawn, _ = video.block(seconds)
        plain, _ = ground.block(0.0)
        columns = np.flatnonzero((np.abs(drawn - plain) > 60).any(axis=0)) + places.box.left
        assert places.left - 4 <= columns.min()
        assert columns.max() <= places.right + 4
        is_right = columns.max() > places.right - 12
        assert is_right if script in ("Arabic", "Hebrew") else columns.min() < places.left + 12
    shares = [lit_share(video, 1.0 + part) for part in (0.0, 0.7, 1.4)]
    assert shares == sorted(set(shares))


def test_words_from_right_to_left_are_lit_from_the_right():
    """Also in a line that has words of both directions, in reading order."""
    video = AVideo((a_line(1.0, "כל חלון Lisbon פרידה"), a_line(5.0, "כל")), seconds=8)
    _, before = video.block(0.95)
    centres = []
    for seconds in (1.5, 2.0, 2.5, 3.5):
        _, now = video.block(seconds)
        change = np.abs(now - before).sum(axis=0)
        centres.append(float((change * np.arange(change.size)).sum() / change.sum()))
        before = now

    assert centres[0] > centres[1] > centres[2] > centres[3]


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (360, 360), (360, 450)])
def test_words_are_inside_the_safe_zone(size):
    """In 9:16 the platforms cover the edges, and all below 65 % of the height."""
    places = lyric_frame(*size, is_rtl=False)
    box = places.lyrics.text_box
    width, height = size

    assert box.left >= 0.07 * width
    assert box.right <= 0.93 * width
    if width < 0.7 * height:
        assert box.left >= 0.1 * width
        assert box.right <= 0.88 * width + 1
        assert 0.14 * height <= places.cover.top
        assert box.bottom <= 0.65 * height
        assert places.watermark.base < places.cover.top


def a_picture() -> Background:
    """Return a bright and colourful picture as background."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] / 40
    colours = 190 + 60 * np.stack([np.sin(x), np.cos(y), np.sin(x + y)], axis=-1)
    return Background(picture=np.clip(colours, 0, 255).astype(np.uint8))


BACKGROUNDS = {
    "auto": Background(),
    "blur": Background(is_blur=True),
    "colour": Background(colour=np.array([0.9, 0.8, 0.2], np.float32)),
    "picture": a_picture(),
}


@pytest.mark.parametrize("name", BACKGROUNDS)
@pytest.mark.parametrize("seed", [b"golden--", b"light---", b"12345678", b"sunrise!"])
def test_contrast_of_lyrics(seed, name):
    """4.5 to 1 for the line being sung, before and after, and 3 to 1 for the others."""
    video = AVideo(LINES)
    cover = generate_cover(seed, video.layout.cover.width)
    accent = dominant_accent(cover, 0.0)
    spec = attrs.evolve(video.spec, cover=cover, accent=accent, background=BACKGROUNDS[name])
    ground = background.draw_background(spec, text_places(spec, Typesetter()))
    ground = ground[video.layout.lyrics.text_box.slices]
    hues = accent.hue + np.linspace(*SUNG_HUES, 9)
    sung = relative_luminance(oklch_to_rgb(SUNG_LIGHTNESS, SUNG_CHROMA * accent.strength, hues))
    behind = np.percentile(relative_luminance(ground), 95)

    assert contrast_of(ground, quiet_opacity(ground)) >= 3.0
    assert contrast_of(ground, CURRENT_OPACITY) >= 4.5
    assert (sung.min() + 0.05) / (behind + 0.05) >= 4.5


def test_letters_have_a_shadow_over_a_picture():
    """Beside the letters it is darker than without them."""
    video = AVideo(LINES, background=a_picture())
    (drawn, _), box = video.block(2.0), video.layout.lyrics.box
    spec = video.spec
    ground = background.draw_background(spec, text_places(spec, Typesetter()))[box.slices]
    plain = rgb_to_yuv420(ground)[0].astype(float)

    assert (drawn - plain).min() < -6


@pytest.mark.parametrize("look", OWN_LOOKS)
@pytest.mark.parametrize("size", [(320, 180), (180, 320), (240, 240), (256, 320), (640, 146)])
def test_every_look_leaves_room_for_lyrics(look, size):
    """Its parts and the lyrics have their own pixels, in frames of any shape and direction."""
    for text in ("Every window is a slow goodbye", "כל חלון הוא פרידה איטית"):
        video = AVideo((a_line(1.0, text), a_line(5.0, text)), size, look=look, seconds=8)
        places = video.layout.lyrics
        before, _ = video.block(0.9)
        after, _ = video.block(4.0)

        assert places.is_rtl == (text[0] == "כ")
        assert video.layout.cover.bottom <= places.box.top + places.quiet_size
        assert np.abs(after - before).max() > 10


def test_only_lines_near_the_video_are_set():
    """Thousands of others cost nothing, and change no picture."""
    lines = [a_line(float(start), f"Line {start}", step=None) for start in range(-3000, 3000)]
    whole, near = AVideo(lines, seconds=4), AVideo(lines[2996:3008], seconds=4)

    assert len(whole.plan.cues) < 30
    for frame in (0, 50, 119):
        np.testing.assert_equal(whole.draw(frame), near.draw(frame))


@pytest.mark.parametrize("step", [0.5, None])
def test_letters_without_a_font_leave_no_spaces(step):
    """The line begins at the margin, and words stay apart."""
    letter = "\N{LINEAR A SIGN AB001}"
    first, second = (
        a_line(1.0, text, step=step)
        for text in (f"{letter} Stay {letter} here {letter}", f"{letter} {letter}")
    )
    cues = AVideo([first, second]).plan.cues

    assert [cue.rows for cue in cues] == [("Stay here",)]
    assert [word.start for word in cues[0].line.words] == ([1.5, 2.5] if step else [])

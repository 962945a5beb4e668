"""The links to music and covers in "Get Music Generation Details"."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from yarl import URL

import mp4gen
from mp4gen.server.web.accounts import Accounts
from mp4gen.server.web.music_links import MusicLinks

from .conftest import NOW, Caller, Serve

KEY = "the-key-of-this-server"
ANN = "the-key-of-the-account-ann"
IDS = ("Artist/Nachtmusik", "夜の窓")
DAY = 86400


async def fetch(url: str, **headers: str) -> tuple[int, Any, bytes]:
    """Return the response to a client without a key."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(url, encoded=True), headers=headers) as answer,
    ):
        return answer.status, answer.headers, await answer.read()


async def links_of(caller: Caller, task_id: str) -> tuple[str, str]:
    """Return `audioUrl` and `imageUrl` of the only or first track of a folder."""
    data = (await caller.get("/api/v1/generate/record-info", taskId=task_id))["data"]
    track = data["response"]["sunoData"][0]
    return track["audioUrl"], track["imageUrl"]


async def test_links_need_no_key(serve: Serve, music: Path) -> None:
    """A player gets the music, also in parts, and a JPEG of the cover."""
    caller = await serve(key=KEY)
    content = (music / "Artist" / "Nachtmusik" / "夜の窓.wav").read_bytes()

    audio_url, image_url = await links_of(caller, IDS[0])
    whole = await fetch(audio_url)
    part = await fetch(audio_url, Range="bytes=100-199")
    beyond = await fetch(audio_url, Range="bytes=99999999-")
    cover = await fetch(image_url)

    assert (whole[0], whole[2]) == (200, content)
    assert (part[0], part[2]) == (206, content[100:200])
    assert part[1]["Content-Range"] == f"bytes 100-199/{len(content)}"
    assert beyond[0] == 416
    assert whole[1]["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert (cover[0], cover[1]["Content-Type"], cover[2][:2]) == (200, "image/jpeg", b"\xff\xd8")
    assert KEY not in audio_url + image_url


async def test_client_gets_usable_links(serve: Serve) -> None:
    """`Track.audio_url` and `Track.image_url` can be opened as they are."""
    caller = await serve(key=KEY)

    async with mp4gen.Client(KEY, base_url=caller.url) as client:
        tracks = await client.get_tracks("album")
    answers = [await fetch(url) for one in tracks for url in (one.audio_url, one.image_url) if url]

    assert [status for status, _, _ in answers] == [200] * 4


async def test_link_without_its_signature_is_refused(serve: Serve) -> None:
    """Nothing of a link can be changed: not the track, the time or the kind."""
    caller = await serve(key=KEY)
    audio_url, image_url = await links_of(caller, "album")
    url = URL(audio_url)
    changed = [
        url.update_query(audioId="two"),
        url.update_query(taskId="."),
        url.update_query(expires="9999999999"),
        url.update_query(expires="²"),
        url.update_query(signature="é"),
        url.with_query(None),
        URL(image_url).with_path("/music/one.wav", keep_query=True),
    ]

    answers = [await fetch(str(one)) for one in changed]

    assert [status for status, _, _ in answers] == [404] * len(changed)
    assert (await fetch(audio_url))[0] == 200


async def test_link_ends_with_the_key_that_got_it(serve: Serve) -> None:
    """A new key of the account ends its links, and not those of other accounts."""
    caller = await serve(key=KEY, account_keys={"ann": ANN})
    ann = Caller(caller.session, caller.url, ANN)
    own, anns = await links_of(caller, "album"), await links_of(ann, "album")
    before = [(await fetch(url))[0] for url in (*own, *anns)]

    caller.server.replace_keys(KEY, {"ann": "another-key-of-the-account"})
    after = [(await fetch(url))[0] for url in (*own, *anns)]

    assert before == [200] * 4
    assert after == [200, 200, 404, 404]


async def test_link_to_a_deleted_file_is_404(serve: Serve, music: Path) -> None:
    """The link is still valid, but the track is gone."""
    caller = await serve()
    audio_url, image_url = await links_of(caller, "album")
    (music / "album" / "one.wav").unlink()

    assert [(await fetch(url))[0] for url in (audio_url, image_url)] == [404, 404]


async def test_link_is_503_while_the_music_is_away(serve: Serve, music: Path) -> None:
    """A disk that is not mounted is no reason to forget the link."""
    caller = await serve()
    audio_url, _ = await links_of(caller, "album")
    os.rename(music, f"{music}-away")  # noqa: PTH104 - a rename takes no time

    assert (await fetch(audio_url))[0] == 503


def test_link_is_the_same_for_a_day_and_lasts_15() -> None:
    """Clients can cache what it leads to."""
    links = MusicLinks(Accounts({"": KEY}), b"s" * 32)
    noon = NOW // DAY * DAY + DAY / 2

    made = [links.path("music", "x.wav", "", IDS, noon + hours * 3600) for hours in (0, 11, 13)]
    query = dict(parse_qsl(made[0].partition("?")[2]))

    assert made[0] == made[1] != made[2]
    assert links.verify("music", query, noon + 15 * DAY) == IDS
    assert links.verify("music", query, noon + 16 * DAY) is None
    assert links.verify("covers", query, noon) is None


@pytest.mark.parametrize("path", ["/api/v1/generate/credit", "/api/v1/chat/credit"])
async def test_credits_have_the_paths_of_both_vendors(serve: Serve, path: str) -> None:
    """A client of kie.ai's dialect finds them, too."""
    caller = await serve(queue_limit=7)

    assert await caller.get(path) == {"code": 200, "msg": "success", "data": 7}


async def test_unknown_records_are_answered_as_by_the_vendor(serve: Serve) -> None:
    """The recordings of api.kie.ai: 422 for a submit, and no data for a task that is unknown."""
    caller = await serve()
    nothing = {"code": 200, "msg": "success", "data": None}

    assert await caller.generate("no", "such") == {
        "code": 422,
        "msg": "Record does not exist",
        "data": None,
    }
    assert await caller.get("/api/v1/generate/record-info", taskId="no") == nothing
    assert await caller.get("/api/v1/mp4/record-info", taskId="no") == nothing

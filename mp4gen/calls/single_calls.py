"""The calls of a client that send one request and return what its response means."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mp4gen.api import protocol
from mp4gen.api.dialects import Dialect
from mp4gen.conversion.service import ConversionService
from mp4gen.models import Track, VideoDetails, VideoRequest
from mp4gen.settings.arguments import checked
from mp4gen.transport.caller import ApiCaller, CallOptions

if TYPE_CHECKING:
    from mp4gen.api.timestamped_lyrics import TimestampedLyrics

T = TypeVar("T")


class SingleCalls:
    """The single calls of a `Client`, which makes their parts."""

    dialect: Dialect
    _caller: ApiCaller
    _call_options: CallOptions
    _conversions: ConversionService

    async def create_music_video(
        self, request: VideoRequest | Track, *, timeout: float | None = None
    ) -> str:
        """Submit one track ("Create Music Video") and return the id of the new video task.

        Args:
            request: The track, and the text on its video; a `Track` for a video without text.
            timeout: Maximum seconds for the whole call, with its retries and its wait for the rate
                limit; None lets `retry` decide.

        Raises:
            AlreadyExistsError: The track has a video; `.existing_task_id` names its task.
            SubmitUncertainError: The response was lost, or did not arrive before the timeout; the
                submit may have been accepted.
            RequestTimeoutError: The timeout passed before the submit was accepted.
            Mp4GenError: The submit was not accepted.
        """
        video_request = checked("request", request)
        _check_timeout(timeout)
        submission = await self._conversions.submit(
            video_request, self._call_options, adopt=False, timeout=timeout
        )
        return submission.task_id

    async def get_music_video_details(
        self, task_id: str, *, timeout: float | None = None
    ) -> VideoDetails:
        """Poll a video task once ("Get Music Video Details").

        Args:
            task_id: Id of the video task.
            timeout: Maximum seconds for the whole call, as in `create_music_video`.

        Raises:
            RequestTimeoutError: The timeout passed.
            Mp4GenError: No usable response; no record of the task (yet) is a `NotFoundError`.
        """
        task_id = checked("task_id", task_id)
        api_request = protocol.build_details_request(task_id, self.dialect)
        return await self._fetch(api_request, protocol.parse_details, timeout, task_id=task_id)

    async def get_tracks(self, task_id: str, *, timeout: float | None = None) -> list[Track]:
        """Return the tracks of a music task that exist so far ("Get Music Generation Details").

        Args:
            task_id: Id of the music task.
            timeout: Maximum seconds for the whole call, as in `create_music_video`.

        Raises:
            RequestTimeoutError: The timeout passed.
            Mp4GenError: No usable response; an unknown music task is a `NotFoundError`.
        """
        task_id = checked("task_id", task_id)
        api_request = protocol.build_tracks_request(task_id, self.dialect)
        return await self._fetch(api_request, protocol.parse_tracks, timeout, task_id=task_id)

    async def get_timestamped_lyrics(
        self, task_id: str, audio_id: str, *, timeout: float | None = None
    ) -> TimestampedLyrics:
        """Return a track's lyrics with the times of its words ("Get Timestamped Lyrics").

        Args:
            task_id: Id of the music task.
            audio_id: Id of the track in its music task.
            timeout: Maximum seconds for the whole call, as in `create_music_video`.

        Returns:
            The lyrics; `write_lrc` writes them as an LRC file. Instrumental music has no lines.

        Raises:
            RequestTimeoutError: The timeout passed.
            Mp4GenError: No usable response; an unknown track is a `NotFoundError`.
        """
        task_id, audio_id = checked("task_id", task_id), checked("audio_id", audio_id)
        from mp4gen.api.timestamped_lyrics import build_lyrics_request, parse_lyrics

        api_request = build_lyrics_request(task_id, audio_id)
        return await self._fetch(
            api_request, parse_lyrics, timeout, task_id=task_id, audio_id=audio_id
        )

    async def get_credits(self, *, timeout: float | None = None) -> float:
        """Return the credits of the account ("Get Remaining Credits").

        Args:
            timeout: Maximum seconds for the whole call, as in `create_music_video`.

        Raises:
            RequestTimeoutError: The timeout passed.
            Mp4GenError: No usable response.
        """
        api_request = protocol.build_credits_request(self.dialect)
        return await self._fetch(api_request, protocol.parse_credits, timeout)

    def _fetch(
        self,
        api_request: protocol.ApiRequest,
        parse: Callable[..., T],
        timeout: float | None,
        **ids: str,
    ) -> Coroutine[Any, Any, T]:
        # Returned and not awaited: 10,000 may wait for their slots, and a frame costs memory.
        _check_timeout(timeout)
        parse_response = partial(parse, dialect=self.dialect, **ids)
        return self._caller.send_with_retries(
            api_request, parse_response, self._call_options, timeout
        )


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None:
        checked("timeout", timeout)

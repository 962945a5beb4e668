"""One track of a bulk run, from whatever its ledger says of it to its video and file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from mp4gen.conversion.callbacks import CallbackSubscription
from mp4gen.conversion.service import ConversionService
from mp4gen.conversion.submission import Accepted, Submitted
from mp4gen.downloads.filenames import safe_stem
from mp4gen.errors import DownloadError
from mp4gen.models import Conversion, Video, VideoRequest
from mp4gen.task_errors import SubmitUncertainError
from mp4gen.transport.caller import CallOptions

from .ledger_entry import Entry, State

if TYPE_CHECKING:
    from .ledger import Ledger

Requests = Iterable[VideoRequest] | AsyncIterable[VideoRequest]


@attrs.frozen
class Host:
    """What a run needs of a client.

    Attributes:
        base_url: the API's address, which a ledger belongs to.
        conversions: makes its submits and waits.
        patience: how a run waits.
        places: one for each conversion between its submit and its end.
        concurrency: how many places there are.
        download: fetches a video into a file.
    """

    base_url: str
    conversions: ConversionService
    patience: CallOptions
    places: asyncio.Semaphore
    concurrency: int
    download: Callable[[Video, Path], Awaitable[Path]]


@attrs.frozen
class Plan:
    """What a run was asked to do.

    Attributes:
        requests: the tracks.
        ledger: the ledger's path, or None.
        download_to: the folder for the files, or None.
        retry_failed: whether what failed in earlier runs is tried again.
        timeout: seconds to wait for each task.
        name: gives a file's name without its ending.
    """

    requests: Requests
    ledger: Path | None = None
    download_to: Path | None = None
    retry_failed: bool = False
    timeout: float = 1800.0
    name: Callable[[VideoRequest], str] | None = None


def told_by(entry: Entry, folder: Path | None) -> Conversion | None:
    """What became of a track for which nothing is left to do; None for any other."""
    if entry.state is State.FAILED:
        return Conversion(entry.request, entry.task_id, error=entry.error)
    if entry.video is None:
        return None
    if folder is None:
        return Conversion(entry.request, entry.task_id, entry.video)
    path = folder / entry.path.name if entry.path is not None else None
    if path is None or not path.is_file():
        return None
    return Conversion(entry.request, entry.task_id, entry.video, path)


@attrs.define(eq=False)
class TrackWork:
    """The work on one track; also the journal of its submit.

    Attributes:
        host: what is needed of a client.
        plan: what the run was asked to do.
        ledger: the run's record.
        entry: what the record says of the track.
        sent: whether a submit of it may be on its way.
    """

    host: Host
    plan: Plan
    ledger: Ledger
    entry: Entry
    sent: bool = False

    async def sending(self, tokens: Sequence[str]) -> None:
        """Record that a submit is about to leave."""
        earlier = self.sent or self.entry.state in (State.INTENT, State.UNCERTAIN)
        # Before the commit: from here on, a stop of the run has to let this one finish.
        self.sent = True
        known = dict.fromkeys((*self.entry.tokens, *tokens))
        try:
            await self.ledger.sending(self.entry.id, tuple(known))
        except asyncio.CancelledError:
            # Not a byte of it has left, and it must not look as if one had.
            if not earlier:
                await self.ledger.refused(self.entry.id)
            raise

    async def refused(self) -> None:
        """Record that it was certainly not accepted."""
        await self.ledger.refused(self.entry.id)
        self.sent = False

    @property
    def unsent(self) -> bool:
        """Whether stopping now would leave nothing half done."""
        return not self.sent and self.entry.state in (State.NEW, State.INTENT, State.UNCERTAIN)

    async def convert(self) -> Conversion:
        """Bring the track as far as it goes.

        Raises:
            Mp4GenError: it has no video, at least not yet.
        """
        entry = self.entry
        if finished := told_by(entry, self.plan.download_to):
            return finished
        video = entry.video or await self._video()
        return await self._with_file(entry, video)

    async def _video(self) -> Video:
        host, entry = self.host, self.entry
        ticket = host.conversions.subscribe(entry.request, *entry.tokens)
        try:
            async with host.places:
                accepted = await self._accepted(ticket)
                task_id = accepted.submitted.task_id
                video = await host.conversions.wait(
                    task_id, host.patience, self.plan.timeout, accepted
                )
            await self.ledger.done(entry.id, video)
        finally:
            if ticket is not None:
                ticket.close()
        return video

    async def _accepted(self, ticket: CallbackSubscription | None) -> Accepted:
        """The submit that was accepted in an earlier run, or is now."""
        entry = self.entry
        if entry.state is State.SUBMITTED and entry.task_id is not None:
            if ticket is not None:
                ticket.task_id = entry.task_id
            known = Submitted(entry.task_id, adopted=entry.adopted, told=True)
            return Accepted(known, asyncio.get_running_loop().time(), ticket)
        if entry.state is State.UNCERTAIN and not self.host.conversions.resubmit:
            # Its callback was awaited in vain for a whole timeout already.
            raise SubmitUncertainError(entry.request)
        accepted = await self.host.conversions.submit(
            entry.request,
            self.host.patience,
            adopt=True,
            timeout=self.plan.timeout,
            subscription=ticket,
            journal=self,
            response_lost=entry.state in (State.INTENT, State.UNCERTAIN),
        )
        submitted = accepted.submitted
        await self.ledger.submitted(entry.id, submitted.task_id, adopted=submitted.adopted)
        return accepted

    async def _with_file(self, entry: Entry, video: Video) -> Conversion:
        conversion = Conversion(entry.request, video.task_id, video)
        folder = self.plan.download_to
        if folder is None:
            return conversion
        try:
            path = await self.host.download(video, folder / await self._file_name(entry))
        except DownloadError as error:
            # The video stays known, and the next run fetches it.
            return attrs.evolve(conversion, error=error)
        await self.ledger.downloaded(entry.id, path)
        return attrs.evolve(conversion, path=path)

    async def _file_name(self, entry: Entry) -> str:
        """A name that no other track of the ledger has."""
        request = entry.request
        stem = safe_stem(self.plan.name(request) if self.plan.name else request.audio_id)
        return f"{await self.ledger.name(entry.id, stem)}.mp4"

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

from .ledger_entry import LedgerEntry, LedgerState

if TYPE_CHECKING:
    from .ledger import Ledger

VideoRequests = Iterable[VideoRequest] | AsyncIterable[VideoRequest]


@attrs.frozen
class Host:
    """What a run needs of a client.

    Attributes:
        base_url: the API's address, which a ledger belongs to.
        conversions: makes its submits and waits.
        call_options: how a run waits.
        slots: one for each conversion between its submit and its end.
        concurrency: how many places there are.
        download: fetches a video into a file.
    """

    base_url: str
    conversions: ConversionService
    call_options: CallOptions
    slots: asyncio.Semaphore
    concurrency: int
    download: Callable[[Video, Path], Awaitable[Path]]


@attrs.frozen
class BulkOptions:
    """What a run was asked to do.

    Attributes:
        requests: the tracks.
        ledger: the ledger's path, or None.
        download_to: the folder for the files, or None.
        retry_failed: whether what failed in earlier runs is tried again.
        timeout: seconds to wait for each task.
        name: gives a file's name without its ending.
    """

    requests: VideoRequests
    ledger: Path | None = None
    download_to: Path | None = None
    retry_failed: bool = False
    timeout: float = 1800.0
    name: Callable[[VideoRequest], str] | None = None


def finished_conversion(entry: LedgerEntry, folder: Path | None) -> Conversion | None:
    """What became of a track for which nothing is left to do; None for any other."""
    if entry.state is LedgerState.FAILED:
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
class TrackJob:
    """The work on one track; also the journal of its submit.

    Attributes:
        host: what is needed of a client.
        options: what the run was asked to do.
        ledger: the run's record.
        entry: what the record says of the track.
        may_be_sent: whether a submit of it may be on its way.
    """

    host: Host
    options: BulkOptions
    ledger: Ledger
    entry: LedgerEntry
    may_be_sent: bool = False

    async def sending(self, tokens: Sequence[str]) -> None:
        """Record that a submit is about to leave."""
        sent_before = self.may_be_sent or self.entry.state in (
            LedgerState.INTENT,
            LedgerState.UNCERTAIN,
        )
        # Before the commit: from here on, a stop of the run has to let this one finish.
        self.may_be_sent = True
        all_tokens = dict.fromkeys((*self.entry.tokens, *tokens))
        try:
            await self.ledger.mark_submitting(self.entry.id, tuple(all_tokens))
        except asyncio.CancelledError:
            # Not a byte of it has left, and it must not look as if one had.
            if not sent_before:
                await self.ledger.mark_not_submitted(self.entry.id)
            raise

    async def refused(self) -> None:
        """Record that it was certainly not accepted."""
        await self.ledger.mark_not_submitted(self.entry.id)
        self.may_be_sent = False

    @property
    def can_cancel(self) -> bool:
        """Whether stopping now would leave nothing half done."""
        return not self.may_be_sent and self.entry.state in (
            LedgerState.NEW,
            LedgerState.INTENT,
            LedgerState.UNCERTAIN,
        )

    async def convert(self) -> Conversion:
        """Bring the track as far as it goes.

        Raises:
            Mp4GenError: it has no video, at least not yet.
        """
        entry = self.entry
        if finished := finished_conversion(entry, self.options.download_to):
            return finished
        video = entry.video or await self._submit_and_wait()
        return await self._download(entry, video)

    async def _submit_and_wait(self) -> Video:
        host, entry = self.host, self.entry
        subscription = host.conversions.subscribe(entry.request, *entry.tokens)
        try:
            async with host.slots:
                submission = await self._submit_or_resume(subscription)
                task_id = submission.submitted.task_id
                video = await host.conversions.wait(
                    task_id, host.call_options, self.options.timeout, submission
                )
            await self.ledger.mark_done(entry.id, video)
        finally:
            if subscription is not None:
                subscription.close()
        return video

    async def _submit_or_resume(self, subscription: CallbackSubscription | None) -> Accepted:
        """The submit that was accepted in an earlier run, or is now."""
        entry = self.entry
        if entry.state is LedgerState.SUBMITTED and entry.task_id is not None:
            if subscription is not None:
                subscription.task_id = entry.task_id
            known = Submitted(entry.task_id, adopted=entry.adopted, told=True)
            return Accepted(known, asyncio.get_running_loop().time(), subscription)
        if entry.state is LedgerState.UNCERTAIN and not self.host.conversions.resubmit:
            # Its callback was awaited in vain for a whole timeout already.
            raise SubmitUncertainError(entry.request)
        submission = await self.host.conversions.submit(
            entry.request,
            self.host.call_options,
            adopt=True,
            timeout=self.options.timeout,
            subscription=subscription,
            journal=self,
            response_lost=entry.state in (LedgerState.INTENT, LedgerState.UNCERTAIN),
        )
        submitted = submission.submitted
        await self.ledger.mark_submitted(entry.id, submitted.task_id, adopted=submitted.adopted)
        return submission

    async def _download(self, entry: LedgerEntry, video: Video) -> Conversion:
        conversion = Conversion(entry.request, video.task_id, video)
        folder = self.options.download_to
        if folder is None:
            return conversion
        try:
            path = await self.host.download(video, folder / await self._reserve_filename(entry))
        except DownloadError as error:
            # The video stays known, and the next run fetches it.
            return attrs.evolve(conversion, error=error)
        await self.ledger.mark_downloaded(entry.id, path)
        return attrs.evolve(conversion, path=path)

    async def _reserve_filename(self, entry: LedgerEntry) -> str:
        """A name that no other track of the ledger has."""
        request = entry.request
        stem = safe_stem(self.options.name(request) if self.options.name else request.audio_id)
        return f"{await self.ledger.reserve_filename(entry.id, stem)}.mp4"

"""Convert one track of a bulk run: from its ledger entry to its video and file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from mp4gen.conversion.callbacks import CallbackSubscription
from mp4gen.conversion.service import ConversionService
from mp4gen.conversion.submission import SubmitOperation
from mp4gen.conversion.submission_cache import Submission
from mp4gen.downloads.filenames import safe_stem
from mp4gen.downloads.partial_file import TargetTakenError
from mp4gen.errors import ConfigurationError, DownloadError, Mp4GenError
from mp4gen.models import Video, VideoRequest
from mp4gen.task_errors import SubmitUncertainError
from mp4gen.transport.unexpected import unexpected_error

from .ledger_entry import LedgerEntry, LedgerState
from .results import Conversion
from .track_slots import TrackSlots

if TYPE_CHECKING:
    from mp4gen.downloads.downloader import Downloader

    from .ledger import Ledger

_MAYBE_SENT = (LedgerState.INTENT, LedgerState.UNCERTAIN)


@attrs.frozen
class BulkOptions:
    """The options of `Client.convert_many`.

    Attributes:
        ledger: The ledger's path, or None.
        download_to: The folder for the files, or None.
        retry_failed: Whether to submit tracks again that failed in an earlier run.
        timeout: Seconds to wait for each task.
        name: Returns a file's name without its extension.
    """

    ledger: Path | None = None
    download_to: Path | None = None
    retry_failed: bool = False
    timeout: float = 1800.0
    name: Callable[[VideoRequest], str] | None = None


def finished_conversion(entry: LedgerEntry, folder: Path | None) -> Conversion | None:
    """Return the result of a track that needs no more work, or None."""
    if entry.state is LedgerState.FAILED:
        return Conversion(entry.request, entry.task_id, error=entry.error)
    if entry.video is None:
        return None
    path = entry.file_in(folder) if folder is not None else None
    if folder is not None and path is None:
        return None
    return Conversion(entry.request, entry.task_id, entry.video, path)


@attrs.define(eq=False)
class TrackJob:
    """The work on one track.

    Attributes:
        service: Submits requests and waits for videos.
        downloader: Fetches videos; None without a download folder.
        options: The options of the run.
        ledger: The ledger of the run.
        entry: The track's entry when the job was created.
        track_slots: The slots of the run.
        is_stopping: Returns whether the run submits nothing more.
    """

    service: ConversionService
    downloader: Downloader | None
    options: BulkOptions
    ledger: Ledger
    entry: LedgerEntry
    track_slots: TrackSlots
    is_stopping: Callable[[], bool]
    _operation: SubmitOperation | None = attrs.field(default=None, init=False)

    @property
    def can_cancel(self) -> bool:
        """Whether a cancel would interrupt neither a submit nor a wait."""
        if self.entry.state not in (LedgerState.NEW, *_MAYBE_SENT):
            return False
        return self._operation is None or self._operation.can_cancel

    @property
    def uncertain_error(self) -> SubmitUncertainError | None:
        """The error of a track whose submit may or may not have been accepted, else None."""
        if self._operation is None and self.entry.state not in _MAYBE_SENT:
            return None
        if self._operation is not None and not self._operation.may_be_accepted:
            return None
        known = self.service.resubmit_policy.rejects_duplicates
        return SubmitUncertainError(self.entry.request, rejects_duplicates=known)

    async def convert(self) -> Conversion:
        """Convert the track and download its video.

        Raises:
            Mp4GenError: It has no video, or not yet.
        """
        video = self.entry.video or await self._submit_and_wait()
        try:
            return await self._download(video)
        except Mp4GenError:
            raise
        except Exception as error:  # noqa: BLE001 - the result keeps the video
            failure = unexpected_error(error)
            return Conversion(self.entry.request, video.task_id, video, error=failure)

    async def _submit_and_wait(self) -> Video:
        service, entry = self.service, self.entry
        subscription = service.subscribe(entry.request, *entry.tokens)
        try:
            async with service.bulk_slots:
                submission = await self._submit_or_resume(subscription)
                video = await service.wait(
                    submission.task_id, service.bulk_options, self.options.timeout, submission
                )
            await self.ledger.mark_done(entry.id, video)
        finally:
            if subscription is not None:
                subscription.close()
        return video

    async def _submit_or_resume(self, subscription: CallbackSubscription | None) -> Submission:
        """Return the submission of an earlier run, or submit now."""
        service, entry = self.service, self.entry
        if entry.task_id is not None:
            if subscription is not None:
                subscription.task_id = entry.task_id
            return Submission(
                entry.task_id, entry.adopted, via_callback=True, subscription=subscription
            )
        policy = service.resubmit_policy
        if entry.state is LedgerState.UNCERTAIN and not await policy.allows_resubmit(
            service.bulk_options
        ):
            # An earlier run waited for its callback until the timeout.
            raise SubmitUncertainError(entry.request, rejects_duplicates=policy.rejects_duplicates)
        self._operation = service.prepare_submit(
            entry.request,
            service.bulk_options,
            adopt=True,
            timeout=self.options.timeout,
            subscription=subscription,
            on_sending=self._record_intent,
            on_not_sent=partial(self.ledger.mark_not_submitted, entry.id),
            response_lost=entry.state in _MAYBE_SENT,
            is_stopping=self.is_stopping,
        )
        submission = await self._operation.run()
        await self.ledger.mark_submitted(entry.id, submission.task_id, adopted=submission.adopted)
        return submission

    async def _record_intent(self, tokens: Sequence[str]) -> None:
        all_tokens = dict.fromkeys((*self.entry.tokens, *tokens))
        await self.ledger.mark_submitting(self.entry.id, tuple(all_tokens))

    async def _download(self, video: Video) -> Conversion:
        entry, folder = self.entry, self.options.download_to
        conversion = Conversion(entry.request, video.task_id, video)
        if self.downloader is None or folder is None:
            return conversion
        try:
            path = await self._fetch(self.downloader, video, folder)
        except (ConfigurationError, DownloadError) as error:
            # The ledger keeps the video: the next run fetches it.
            return attrs.evolve(conversion, error=error)
        await self.ledger.mark_downloaded(entry.id, path)
        return attrs.evolve(conversion, path=path)

    async def _fetch(self, downloader: Downloader, video: Video, folder: Path) -> Path:
        """Download the video to a name that no other file has, and return its path."""
        request, options = self.entry.request, self.service.bulk_options
        stem = safe_stem(self.options.name(request) if self.options.name else request.audio_id)
        taken = 0
        while True:
            name, is_own = await self.ledger.reserve_filename(
                self.entry.id, stem, folder, taken=taken
            )
            try:
                async with self.track_slots.released_for_download():
                    return await downloader.download(
                        video, folder / f"{name}.mp4", call_options=options, replace=is_own
                    )
            except TargetTakenError:
                # Another run with the same folder was faster.
                if is_own:
                    raise
            taken += 1

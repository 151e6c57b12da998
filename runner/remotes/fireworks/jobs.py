"""Batch inference jobs as they are: looked at, listed, followed back along their chain, stopped.

Source: contract sections 2, 5, 6 and 8, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec.structs import replace

from runner.clock import Clock, slept
from runner.errors import NotFound, OutcomeUnknown, Refused
from runner.job.observed import Observed, Phase, ResultFile
from runner.remotes.fireworks import pages
from runner.remotes.fireworks.account import Account
from runner.remotes.fireworks.datasets import conflict
from runner.remotes.fireworks.files import OUTPUT, Files
from runner.remotes.fireworks.names import input_of, is_legal, job_of, last, output_of, read
from runner.remotes.fireworks.profile import CHAT
from runner.remotes.fireworks.stalls import stall_of
from runner.remotes.fireworks.wire import observed_of
from runner.remotes.reading.values import time_of
from runner.remotes.transport.replies import plain, text_in

LATE_RESULTS = timedelta(minutes=10)  # after its end, a job that offers no output has none
LONGEST_CHAIN = 100
DELETE_SECONDS = 20.0  # a deleted job is gone by then, or reads as being deleted
_DELETE_POLL = 2.0


class ChainLink(NamedTuple):
    """One job of a chain: where its answers are, and the job it continued."""

    job: str
    dataset: str
    parent: str


def _link(raw: Mapping[str, Any]) -> ChainLink:
    names = ("name", "outputDatasetId", "continuedFromJobName")
    return ChainLink(*(last(text_in(raw, name)) for name in names))


class Jobs:
    """The batch inference jobs of one account."""

    def __init__(self, account: Account, files: Files, clock: Clock) -> None:
        self._account = account
        self._http = account.http
        self._files = files
        self._clock = clock
        self._known_files: dict[str, tuple[ResultFile, ...]] = {}  # by output dataset, once they are final

    # -- look

    def look(self, job_id: str) -> Observed:
        """One job, with its files once it ended. Raises NotFound when it is gone and left nothing.

        A deleted job leaves its output dataset: it then reads as cancelled, with what it had finished.
        """
        try:
            raw = self._account.shown_job(job_id)
        except NotFound:
            remains = self.remains(job_id)
            if remains is None:
                raise
            return remains
        seen = self.observed(raw)
        if self._has_lost_results(seen):
            raise NotFound(f"job `{job_id}` has ended, but its output is not there any more")
        return seen

    def listed(self, since: datetime | None) -> Iterator[Observed]:
        """All jobs of the account since then, in the order the remote has; with no `since`, what deleted ones left too.

        Ended jobs of ours come with their files. One whose output is gone is left out: only a look can say so.
        """
        met = set()
        for raw in pages.walk(self._http, self._account.jobs, "batchInferenceJobs", since):
            seen = self.observed(raw)
            met.add(seen.remote_id)
            if not self._has_lost_results(seen):
                yield seen
        if since is None:
            yield from self._left_behind(met)

    def _left_behind(self, met: set[str]) -> Iterator[Observed]:
        """Deleted jobs of ours whose output datasets are still there."""
        for raw in pages.walk(self._http, self._account.datasets, "datasets", None):
            job_id = job_of(last(text_in(raw, "name")))
            remains = self.remains(job_id) if job_id and job_id not in met else None
            if remains is not None:
                yield remains

    def root_input(self, job_id: str) -> str:
        """The dataset that the first job of a chain was made from. Raises NotFound."""
        *_, root = self._back(job_id)
        return last(text_in(root, "inputDatasetId"))

    def links(self, job_id: str) -> list[ChainLink]:
        """A job and all it continued, oldest first, as far back as its jobs are there. Raises NotFound without any."""
        found: list[ChainLink] = []
        try:
            found.extend(_link(raw) for raw in self._back(job_id))
        except NotFound:
            if not found:
                raise
        return [link for link in reversed(found) if link.dataset]

    def _back(self, job_id: str) -> Iterator[Mapping[str, Any]]:
        seen: set[str] = set()
        while job_id:
            if job_id in seen or len(seen) >= LONGEST_CHAIN:
                raise OutcomeUnknown(f"the chain of job `{plain(job_id)}` does not end")
            seen.add(job_id)
            raw = self._account.shown_job(job_id)
            yield raw
            job_id = last(text_in(raw, "continuedFromJobName"))

    def observed(self, raw: Mapping[str, Any]) -> Observed:
        """The job with its files: asked for once it ended, and only for jobs of ours."""
        seen = observed_of(raw)
        seen = replace(seen, stall=stall_of(seen, self._http.now()))
        dataset_id = last(text_in(raw, "outputDatasetId"))
        if not seen.phase.has_ended or not seen.label or not dataset_id:
            return seen
        files = self._files_of(dataset_id)
        is_final = not seen.counts.completed or any(file.kind == OUTPUT for file in files)
        if is_final and (files or self._ended_long_ago(seen)):
            self._known_files[dataset_id] = files
        return replace(seen, result_files=files, results_are_final=is_final)

    def _ended_long_ago(self, seen: Observed) -> bool:
        return seen.ended_at is not None and self._http.now() - seen.ended_at > LATE_RESULTS

    def _has_lost_results(self, seen: Observed) -> bool:
        """Rows finished, the end is long past, and no file holds them: somebody deleted it. Nobody should ask these
        rows again without being told."""
        return not seen.results_are_final and self._ended_long_ago(seen)

    def _files_of(self, dataset_id: str) -> tuple[ResultFile, ...]:
        if dataset_id in self._known_files:
            return self._known_files[dataset_id]
        try:
            return self._files.results(dataset_id)
        except NotFound:
            return ()  # never made, as for a job that failed in validation
        except Refused as refused:
            if refused.status != 400:
                raise
            return ()  # not READY yet

    # -- stop

    def cancel(self, job_id: str) -> Observed:
        """Stop a job that runs. There is no verb for it but DELETE, which a job that ended is never sent.

        The job's own record goes (state, counts, window, its place in a chain); its datasets stay, and with them
        every finished row that was already written. Rows finished but not yet written are lost, and were billed.
        """
        try:
            seen = self.look(job_id)
        except NotFound:
            return Observed(job_id, Phase.CANCELLED, "gone", ended_at=self._http.now())
        if seen.phase.has_ended:
            return seen
        if seen.phase is not Phase.CANCELLING:
            with suppress(NotFound):  # the first of two tries had its effect
                self._http.delete(self._account.job(job_id))
        return self._deleted(seen)

    def _deleted(self, before: Observed) -> Observed:
        until = self._clock.monotonic() + DELETE_SECONDS
        while True:
            try:
                seen = self.look(before.remote_id)
            except NotFound:
                return replace(before, phase=Phase.CANCELLED, raw_status="gone", ended_at=self._http.now())
            if seen.phase.has_ended:
                return replace(
                    before,
                    phase=seen.phase,
                    raw_status=seen.raw_status,
                    ended_at=seen.ended_at,
                    result_files=seen.result_files,
                    results_are_final=seen.results_are_final,
                )
            if self._clock.monotonic() + _DELETE_POLL > until:
                if seen.phase is Phase.CANCELLING:
                    return seen
                raise OutcomeUnknown(
                    f"job `{plain(before.remote_id)}` was deleted, and its state is still `{seen.raw_status}`",
                    hint="cancel it again",
                )
            if not slept(self._clock, _DELETE_POLL):
                return seen

    def all_raw(self) -> Iterator[Mapping[str, Any]]:
        """Every job of the account as the list shows it."""
        return pages.walk(self._http, self._account.jobs, "batchInferenceJobs", None)

    def forget(self, job_id: str) -> bool:
        """Delete the record of a job that has ended, and nothing else of it; whether it is gone, or goes.

        One that runs is never sent a DELETE: it would stop it.
        """
        try:
            if not observed_of(self._account.shown_job(job_id)).phase.has_ended:
                return False
            self._http.delete(self._account.job(job_id))
            return observed_of(self._account.shown_job(job_id)).phase in (Phase.CANCELLING, Phase.CANCELLED)
        except NotFound:
            return True

    def remains(self, job_id: str) -> Observed | None:
        """What a deleted job of ours left: its output dataset. None when there is none, or it is not of this job."""
        dataset_id = output_of(job_id)
        if dataset_id is None or not is_legal(dataset_id):
            return None
        try:
            raw = self._account.shown_dataset(dataset_id)
        except NotFound:
            return None
        source = last(text_in(raw, "sourceJobName"))
        if source not in ("", job_id):
            raise conflict(f"dataset `{dataset_id}`", {"sourceJobName": job_id}, {"sourceJobName": source})
        named = read(job_id)
        assert named is not None
        return Observed(
            remote_id=job_id,
            phase=Phase.CANCELLED,
            raw_status="gone",
            created_at=time_of(raw.get("createTime")),
            ended_at=time_of(raw.get("updateTime")) or self._http.now(),
            endpoint=CHAT,
            label={"runner_set": named.request_set, "runner_attempt": named.attempt},
            input_ref=input_of(job_id),
            result_files=self._files_of(dataset_id),
        )

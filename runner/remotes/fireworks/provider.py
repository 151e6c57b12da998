"""Fireworks behind the provider seams: datasets and batch inference jobs, all under names of ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from runner.clock import Clock
from runner.errors import NotFound
from runner.job.capabilities import Capabilities
from runner.job.observed import Found, Observed, Origin, ResultFile
from runner.job.stored import Inventory, Kept, Stored
from runner.remotes.fireworks import names
from runner.remotes.fireworks.account import Account
from runner.remotes.fireworks.creates import Creates
from runner.remotes.fireworks.datasets import Datasets
from runner.remotes.fireworks.files import Files
from runner.remotes.fireworks.jobs import ChainLink, Jobs
from runner.remotes.fireworks.names import is_project_of
from runner.remotes.fireworks.profile import Profile, capabilities_of
from runner.remotes.fireworks.wire import observed_of
from runner.remotes.transport.client import BatchClient
from runner.remotes.transport.gate import UrlGate
from runner.remotes.transport.http import Http
from runner.remotes.transport.replies import text_in
from runner.remotes.vendor import LARGEST_FILE, Input, LineageFile, Submission, Uploaded


class FireworksProvider(BatchClient):
    """Implements `remotes.vendor.Provider`. Safe to share between threads."""

    def __init__(
        self, *, http: Http, account: str, profile: Profile, gate: UrlGate, origin: Origin, clock: Clock
    ) -> None:
        super().__init__(http, origin)
        self.card: Capabilities = capabilities_of(profile)
        self.profile = profile
        owner = Account(http, account)
        self._files = Files(owner, gate)
        self._datasets = Datasets(owner, profile, gate, clock)
        self._jobs = Jobs(owner, self._files, clock)
        self._creates = Creates(owner, self._jobs)

    def upload(self, source: Path, submission: Submission) -> Uploaded:
        return self._datasets.upload(source, submission)

    def find_upload(self, submission: Submission, size_bytes: int) -> Uploaded | None:
        return self._datasets.find(submission, size_bytes)

    def submit(self, submission: Submission, content: Input | None) -> Observed:
        return self._creates.submit(submission, content)

    def find(self, submission: Submission, upload_ref: str, since: datetime) -> Found:
        """The job of the submission's own id, or what it left: there is at most one."""
        found = self._creates.find(submission)
        return Found((found,) if found else ())

    def revoke(self, upload_ref: str) -> bool:
        return self._datasets.delete(upload_ref)

    def stored(self, project: str) -> Inventory:
        """Jobs and datasets under the names of a project. Source: contract sections 2 and 3, read 2026-11-21."""
        raw_jobs = [raw for raw in self._jobs.all_raw() if is_project_of(project, names.last(text_in(raw, "name")))]
        jobs = [observed_of(raw) for raw in raw_jobs]
        users: dict[str, list[str]] = {}
        for seen, raw in zip(jobs, raw_jobs, strict=True):
            for dataset in {seen.input_ref, names.last(text_in(raw, "outputDatasetId"))} - {""}:
                users.setdefault(dataset, []).append(seen.remote_id)
        objects = [
            Stored(Kept.BATCH, seen.remote_id, seen.remote_id, None, seen.created_at, (seen.remote_id,))
            for seen in jobs
        ]
        return Inventory((*objects, *self._datasets.stored(project, users)), tuple(jobs))

    def delete(self, stored: Stored) -> bool:
        """Delete a dataset, or a job that has ended."""
        return self._jobs.forget(stored.ref) if stored.kind is Kept.BATCH else self._datasets.delete(stored.ref)

    def is_of(self, project: str, seen: Observed) -> bool:
        return seen.label.get("runner_project") == project or is_project_of(project, seen.remote_id)

    def look(self, remote_id: str) -> Observed:
        return self._jobs.look(remote_id)

    def batches(self, since: datetime | None = None) -> Iterator[Observed]:
        return self._jobs.listed(since)

    def download(self, file: ResultFile, to: Path, cap_bytes: int = LARGEST_FILE, *, in_one_go: bool = False) -> int:
        return self._files.download(file.ref, to, cap_bytes, can_resume=not in_one_go)

    def download_input(self, observed: Observed, to: Path) -> int:
        """The input of a job; of one that continues others, the whole input of the first."""
        dataset_id = observed.input_ref
        if observed.continued_from:
            dataset_id = self._jobs.root_input(observed.remote_id)
        if not dataset_id:
            raise NotFound(f"the remote does not say which dataset job `{observed.remote_id}` was made from")
        return self._files.download_whole(dataset_id, to)

    def lineage(self, remote_id: str) -> list[LineageFile]:
        links = self._jobs.links(remote_id)
        if not links:
            raise NotFound(f"job `{remote_id}` names no output dataset")
        by_dataset = {link.dataset: link for link in links}
        files = self._files.lineage(links[-1].dataset, by_dataset)
        unknown = ChainLink("", "", "")
        return [
            LineageFile(file, dataset, link.job, link.parent)
            for file in files
            for dataset in [file.ref.partition("/")[0]]
            for link in [by_dataset.get(dataset, unknown)]
        ]

    def cancel(self, remote_id: str) -> Observed:
        return self._jobs.cancel(remote_id)

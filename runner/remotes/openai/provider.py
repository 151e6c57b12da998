"""An OpenAI-style remote behind the provider seams. What differs between look-alikes is in the profile alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from runner.clock import Clock
from runner.errors import NotFound
from runner.job.capabilities import Capabilities
from runner.job.observed import Found, Observed, Origin, ResultFile
from runner.remotes.openai import batch, files, labels
from runner.remotes.openai.profiles import Profile, capabilities_of
from runner.remotes.transport.client import HttpClient
from runner.remotes.transport.gate import Gate
from runner.remotes.transport.http import Http
from runner.remotes.vendor import LARGEST_FILE, Advanced, Budget, Input, LineageFile, Submission, Uploaded, Work

LARGEST_UPLOAD = 2 * 10**9  # bytes: limits may have been wider when a file of ours was sent


class OpenAIProvider(HttpClient):
    """Implements `remotes.vendor.Provider`. Safe to share between threads."""

    def __init__(self, *, http: Http, profile: Profile, gate: Gate, origin: Origin, clock: Clock) -> None:
        super().__init__(http, origin)
        self.card: Capabilities = capabilities_of(profile)
        self.profile = profile
        self._gate = gate
        self._clock = clock
        self._names = files.FileNames(http, profile)

    def __repr__(self) -> str:
        return f"OpenAIProvider({self.origin}, profile={self.profile.name})"

    def upload(self, source: Path, submission: Submission) -> Uploaded:
        return files.upload(self._http, self.profile, self._clock, source, submission)

    def find_upload(self, submission: Submission, size_bytes: int) -> Uploaded | None:
        return files.find_upload(self._http, self.profile, self._clock, submission, size_bytes)

    def submit(self, submission: Submission, content: Input | None) -> Observed:
        assert isinstance(content, Uploaded), "the card says that all is uploaded, and nothing continued"
        return batch.submit(self._http, self.profile, submission, content)

    def find(self, submission: Submission, upload_ref: str, since: datetime) -> Found:
        listed = list(self.batches(since))
        ours = tuple(seen for seen in listed if labels.is_of(submission, upload_ref, seen))
        return Found(ours, tuple(seen for seen in listed if seen not in ours))

    def revoke(self, upload_ref: str) -> bool:
        return files.revoke(self._http, self.profile, self._clock, upload_ref)

    def is_of(self, project: str, seen: Observed) -> bool:
        return labels.is_of_project(project, seen)

    def identified(self, listed: Sequence[Observed]) -> list[Observed]:
        """Where a batch shows no label of ours, the name of its input file says whose it is."""
        unread = {seen.input_ref for seen in listed if seen.input_ref and "runner_project" not in seen.label}
        names = self._names.of(unread)
        return [
            labels.named(seen, names[seen.input_ref]) if seen.input_ref in names and seen.input_ref in unread else seen
            for seen in listed
        ]

    def advance(self, work: Work, budget: Budget) -> Advanced:
        return Advanced(self.look(work.batch.remote_id))

    def look(self, remote_id: str) -> Observed:
        return batch.look(self._http, self.profile, remote_id)

    def batches(self, since: datetime | None = None) -> Iterator[Observed]:
        return batch.listed(self._http, self.profile, since)

    def download(self, file: ResultFile, to: Path, cap_bytes: int = LARGEST_FILE, *, in_one_go: bool = False) -> int:
        return self._fetch(file.ref, to, cap_bytes, can_resume=not in_one_go)

    def lineage(self, remote_id: str) -> list[LineageFile]:
        """The batch's own files: nothing continues another batch here."""
        files = self.look(remote_id).result_files
        if not files:
            raise NotFound(f"batch `{remote_id}` names no result files")
        return [LineageFile(file, "", remote_id) for file in files]

    def download_input(self, observed: Observed, to: Path) -> int:
        if not observed.input_ref:
            raise NotFound(f"the remote does not say which file batch `{observed.remote_id}` was made from")
        return self._fetch(observed.input_ref, to, max(self.profile.limits.bytes, LARGEST_UPLOAD))

    def cancel(self, remote_id: str) -> Observed:
        return batch.cancel(self._http, self.profile, remote_id)

    def _fetch(self, file_id: str, to: Path, cap_bytes: int, *, can_resume: bool = True) -> int:
        path = files.path_to(self.profile.paths.file_content, file_id)
        can_resume = can_resume and self.profile.content.range
        return self._http.download(path, to, can_resume=can_resume, cap_bytes=cap_bytes, moved=self._gate.admit)

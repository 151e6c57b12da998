"""An OpenAI-style remote behind the provider seams. What differs between look-alikes is in the profile alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.clock import Clock
from runner.errors import NotFound, OutcomeUnknown, Refused
from runner.job.capabilities import Capabilities
from runner.job.observed import Found, Observed, Origin, Phase, ResultFile
from runner.job.stored import Inventory, Stored
from runner.remotes.openai import labels, pages
from runner.remotes.openai.files import Files, path_to
from runner.remotes.openai.profiles import Profile, capabilities_of
from runner.remotes.openai.wire import observed_of, speaks_of_unseen_file, window_of
from runner.remotes.transport.client import BatchClient
from runner.remotes.transport.gate import UrlGate
from runner.remotes.transport.http import Http
from runner.remotes.transport.listing import Order
from runner.remotes.transport.replies import must_be_about, object_in, shown, text_in
from runner.remotes.vendor import LARGEST_FILE, UNSEEN, Input, Submission, Uploaded

LARGEST_UPLOAD = 2 * 10**9  # bytes: limits may have been wider when a file of ours was sent


class OpenAIProvider(BatchClient):
    """Implements `remotes.vendor.Provider`. Safe to share between threads."""

    def __init__(self, *, http: Http, profile: Profile, gate: UrlGate, origin: Origin, clock: Clock) -> None:
        super().__init__(http, origin)
        self.card: Capabilities = capabilities_of(profile)
        self.profile = profile
        self._gate = gate
        self._files = Files(http, profile, clock)

    def __repr__(self) -> str:
        return f"OpenAIProvider({self.origin}, profile={self.profile.name})"

    # -- input files

    def upload(self, source: Path, submission: Submission) -> Uploaded:
        return self._files.upload(source, submission)

    def find_upload(self, submission: Submission, size_bytes: int) -> Uploaded | None:
        return self._files.find(submission, size_bytes)

    def revoke(self, upload_ref: str) -> bool:
        return self._files.revoke(upload_ref)

    # -- batches

    def submit(self, submission: Submission, content: Input | None) -> Observed:
        """Create the batch: sent once. A success that names no batch is unknown, not a failure."""
        assert isinstance(content, Uploaded), "the card says that all is uploaded, and nothing continued"
        body = create_body(self.profile, submission, content)
        try:
            answer = object_in(self._http.create(self.profile.paths.batches, body), "a create")
        except Refused as refused:
            if speaks_of_unseen_file(refused.words, self.profile):
                refused.code = UNSEEN
            raise
        if not text_in(answer, "id"):
            raise OutcomeUnknown(f"the answer to a create names no batch: {shown(answer)}")
        return observed_of(answer, self.profile)

    def find(self, submission: Submission, upload_ref: str, since: datetime) -> Found:
        listed = list(self.batches(since))
        ours = tuple(seen for seen in listed if labels.is_of(submission, upload_ref, seen))
        return Found(ours, tuple(seen for seen in listed if seen not in ours))

    def is_of(self, project: str, seen: Observed) -> bool:
        return labels.is_of_project(project, seen)

    def identified(self, listed: Sequence[Observed]) -> list[Observed]:
        """Where a batch shows no label of ours, the name of its input file says whose it is."""
        unread = {seen.input_ref for seen in listed if seen.input_ref and "runner_project" not in seen.label}
        names = self._files.names_of(unread)
        return [
            labels.named(seen, names[seen.input_ref]) if seen.input_ref in names and seen.input_ref in unread else seen
            for seen in listed
        ]

    def look(self, remote_id: str) -> Observed:
        seen = observed_of(self._http.get_json(path_to(self.profile.paths.batch, remote_id)), self.profile)
        must_be_about(remote_id, seen.remote_id)
        return seen

    def batches(self, since: datetime | None = None) -> Iterator[Observed]:
        """Page by page, until a whole page is older than `since` less ten minutes.

        No vendor promises newest first, so an old page ends it only once the order was seen to fall and never to rise.
        """
        order = Order(since)
        for page in pages.walk(self._http, self.profile.paths.batches, self.profile.list, "a list of batches"):
            found = [observed_of(raw, self.profile) for raw in page]
            yield from found
            if order.has_passed([seen.created_at for seen in found]):
                return

    def cancel(self, remote_id: str) -> Observed:
        """Make sure it stops. A refusal because it already ended, or is ending, is success."""
        try:
            answer = self._http.post_json(path_to(self.profile.paths.batch_cancel, remote_id))
        except Refused as refused:
            if refused.status not in (self.profile.cancel_terminal, 409):
                raise
            seen = self.look(remote_id)
            if not (seen.phase.has_ended or seen.phase is Phase.CANCELLING):
                raise
            return seen
        if isinstance(answer, dict) and text_in(answer, "id") == remote_id:
            return observed_of(answer, self.profile)
        return self.look(remote_id)

    # -- what it keeps

    def stored(self, project: str) -> Inventory:
        """Input and result files of the batches of a project, and its uploads that no batch was made of.

        A batch itself cannot be deleted. Source: contract section 2 and 4, read 2026-11-30.
        """
        ours = [seen for seen in self.identified(list(self.batches())) if self.is_of(project, seen)]
        return Inventory(tuple(self._files.stored(project, ours)), tuple(ours))

    def delete(self, stored: Stored) -> bool:
        return self._files.delete(stored.ref)

    # -- what they hold

    def download(self, file: ResultFile, to: Path, cap_bytes: int = LARGEST_FILE, *, in_one_go: bool = False) -> int:
        return self._fetch(file.ref, to, cap_bytes, can_resume=not in_one_go)

    def download_input(self, observed: Observed, to: Path) -> int:
        if not observed.input_ref:
            raise NotFound(f"the remote does not say which file batch `{observed.remote_id}` was made from")
        return self._fetch(observed.input_ref, to, max(self.profile.limits.bytes, LARGEST_UPLOAD))

    def _fetch(self, file_id: str, to: Path, cap_bytes: int, *, can_resume: bool = True) -> int:
        path = path_to(self.profile.paths.file_content, file_id)
        can_resume = can_resume and self.profile.content.range
        return self._http.download(path, to, can_resume=can_resume, cap_bytes=cap_bytes, moved=self._gate.admit)


def create_body(profile: Profile, submission: Submission, upload: Uploaded) -> dict[str, Any]:
    """What is sent to create a batch."""
    body: dict[str, Any] = {
        **profile.create_extra,
        "input_file_id": upload.ref,
        "endpoint": submission.endpoint,
        "completion_window": window_of(submission.window_hours, profile),
    }
    metadata = labels.metadata_of(submission.label, profile.metadata)
    if metadata:
        body["metadata"] = {**(profile.create_extra.get("metadata") or {}), **metadata}
    return body

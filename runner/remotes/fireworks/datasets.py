"""Input datasets: created under an id of ours, filled, waited for, and found again instead of created twice.

A dataset costs nothing, and its id names its content, so every step here may be repeated: on any doubt it is asked
for, compared, and either taken or filled with the same bytes again.
Source: contract sections 3.1 to 3.4 and 8, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from runner.clock import Clock, slept
from runner.errors import NotFound, OutcomeUnknown, Refused, RemoteError
from runner.job.stored import Kept, Stored
from runner.remotes.fireworks import pages
from runner.remotes.fireworks.account import Account
from runner.remotes.fireworks.names import ids_of, is_project_of, last, of_dataset, read
from runner.remotes.fireworks.profile import Profile
from runner.remotes.fireworks.wire import whole_in
from runner.remotes.reading.values import time_of
from runner.remotes.transport import parts
from runner.remotes.transport.content import MultipartForm, Signed
from runner.remotes.transport.gate import UrlGate
from runner.remotes.transport.replies import map_in, must_be_about, object_in, plain, text_in
from runner.remotes.vendor import Submission, Uploaded

FRESH_SECONDS = 45 * 60.0  # upload URLs live an hour; older ones are asked for again
SENDS = 3  # of the same bytes into a dataset that does not become READY
DOUBTFUL_SECONDS = 15.0  # a dataset whose upload got no answer becomes READY within this, or gets it again
POLL_SECONDS = 1.0  # READY comes about a second after a small upload
SLOWEST_POLL = 10.0
_FORMATS = ("", "FORMAT_UNSPECIFIED", "CHAT")
_PLAINTEXT = ("", "ENCRYPTION_STATE_UNSPECIFIED", "ENCRYPTION_STATE_PLAINTEXT")
_SENT_TYPE = "application/octet-stream"


class Datasets:
    """The input datasets of one account."""

    def __init__(self, account: Account, profile: Profile, gate: UrlGate, clock: Clock) -> None:
        self._account = account
        self._http = account.http
        self._profile = profile
        self._gate = gate
        self._clock = clock

    def find(self, submission: Submission, size_bytes: int) -> Uploaded | None:
        """The READY dataset of this very submission, or None. Raises Refused on other content under its id."""
        dataset_id = ids_of(submission.name).input_dataset_id
        try:
            seen = self._account.shown_dataset(dataset_id)
        except NotFound:
            return None
        self._check(seen, dataset_id, submission)
        return Uploaded(dataset_id, size_bytes) if _is_ready(seen) else None

    def upload(self, source: Path, submission: Submission) -> Uploaded:
        """A READY dataset with the bytes of `source`, streamed. Safe to repeat.

        Raises Refused when the remote holds something else under its id (`conflict`) or cannot read the file.
        """
        dataset_id = ids_of(submission.name).input_dataset_id
        upload = Uploaded(dataset_id, source.stat().st_size)
        seen = self._created(dataset_id, submission)
        self._check(seen, dataset_id, submission)
        if not _is_ready(seen):
            self._fill(dataset_id, source, submission)
        return upload

    def stored(self, project: str, users: Mapping[str, Sequence[str]]) -> Iterator[Stored]:
        """The datasets under the names of a project. users: the jobs that read or write one, by its id."""
        for raw in pages.walk(self._http, self._account.datasets, "datasets", None):
            dataset_id = last(text_in(raw, "name"))
            kind, job_id = of_dataset(dataset_id)
            if kind is not None and is_project_of(project, job_id):
                mark = read(job_id)
                jobs = dict.fromkeys([*users.get(dataset_id, ()), *([job_id] if kind is Kept.RESULTS else [])])
                key = mark.key if mark and kind is Kept.UPLOAD else ""
                made = time_of(raw.get("createTime"))
                yield Stored(kind, dataset_id, dataset_id, None, made, tuple(jobs), key)

    def delete(self, dataset_id: str) -> bool:
        """Delete an input dataset; whether it is gone. One that a job reads is refused, and stays."""
        try:
            self._http.delete(self._account.dataset(dataset_id))
        except NotFound:
            pass  # a try before this one
        except Refused:
            return False
        try:
            self._account.shown_dataset(dataset_id)
        except NotFound:
            return True
        return False

    def _created(self, dataset_id: str, submission: Submission) -> Mapping[str, Any]:
        """The dataset, new or not. Sent again on doubt: what exists answers 409."""
        body = {"datasetId": dataset_id, "dataset": {"userUploaded": {}, "exampleCount": str(submission.rows)}}
        try:
            made = object_in(self._http.post_json(self._account.datasets, body), "a create of a dataset")
            must_be_about(dataset_id, last(text_in(made, "name")))
            return made
        except (Refused, OutcomeUnknown) as error:
            if isinstance(error, Refused) and error.status != 409:
                raise
            return self._existing(dataset_id, error)

    def _existing(self, dataset_id: str, answer: RemoteError) -> Mapping[str, Any]:
        try:
            return self._account.shown_dataset(dataset_id)
        except NotFound as gone:
            words = f"dataset `{dataset_id}` could not be created, and is not there: {answer.message}"
            raise OutcomeUnknown(words, status=answer.status, hint="run `runner apply` again") from gone

    def _check(self, seen: Mapping[str, Any], dataset_id: str, submission: Submission) -> None:
        """Whether what stands under our id can be what we put there."""
        found = {
            "exampleCount": whole_in(seen, "exampleCount"),
            "source": "userUploaded" if isinstance(seen.get("userUploaded"), Mapping) else "not an upload",
            "format": text_in(seen, "format"),
        }
        wanted = {
            "exampleCount": submission.rows,
            "source": "userUploaded",
            "format": found["format"] if found["format"] in _FORMATS else _FORMATS[1],
        }
        if found != wanted:
            raise conflict(f"dataset `{dataset_id}`", wanted, found)

    def _fill(self, dataset_id: str, source: Path, submission: Submission) -> None:
        """Send the bytes until the dataset is READY; again where they seem to have been lost."""
        # Only READY says that the bytes arrived. The answer to an upload may be lost although they did, and may come
        # although nothing is made of them; the same bytes once more do no harm, since the dataset takes them in place
        # of the first. So an answer that was lost is waited for shortly, and then they are sent again. A refusal is
        # final, but for the one that means "it is READY already".
        for _ in range(SENDS):
            wait = self._profile.ready_s
            try:
                self._send(dataset_id, source, submission)
            except OutcomeUnknown:
                wait = min(DOUBTFUL_SECONDS, self._profile.ready_s)
            except Refused:
                # It may be READY from an upload whose answer was lost, and takes no second one.
                if not _is_ready(self._account.shown_dataset(dataset_id)):
                    raise
                return
            if self._wait(dataset_id, wait):
                return
        raise OutcomeUnknown(
            f"dataset `{dataset_id}` did not become READY after {SENDS} uploads",
            hint="run `runner apply` again later; the same dataset is filled again",
        )

    def _send(self, dataset_id: str, source: Path, submission: Submission) -> None:
        if source.stat().st_size <= self._profile.upload_bytes:
            form = MultipartForm(source, f"{submission.name}.jsonl", "application/jsonl", {})
            self._http.upload(self._account.dataset(dataset_id, "upload"), form)
        else:
            self._send_parts(dataset_id, source)

    def _send_parts(self, dataset_id: str, source: Path) -> None:
        """Every part to a signed URL of its own, then have the whole checked."""
        state = text_in(self._account.shown_dataset(dataset_id), "encryptionState")
        if state not in _PLAINTEXT:
            raise Refused(f"dataset `{dataset_id}` is encrypted (`{plain(state)}`); only plaintext can be uploaded")
        pieces = parts.cut(source, self._profile.part_bytes)
        sizes = {name: str(part.size_bytes) for name, part in pieces.items()}
        urls = _UploadUrls(self._account, dataset_id, sizes, self._gate, self._clock)
        for name, part in pieces.items():
            headers = {"content-type": _SENT_TYPE, "x-goog-content-length-range": f"{sizes[name]},{sizes[name]}"}
            self._http.put_signed(urls.signer(name), part, headers)
        self._http.post_json(self._account.dataset(dataset_id, "validateUpload"), {})

    def _wait(self, dataset_id: str, seconds: float) -> bool:
        """Whether it becomes READY in time. Raises Refused when the remote says that the file is bad."""
        until = self._clock.monotonic() + seconds
        pause, complaints = POLL_SECONDS, 0
        while True:
            seen = self._account.shown_dataset(dataset_id)
            if _is_ready(seen):
                return True
            complaint = _complaint_of(seen)
            complaints += bool(complaint)
            if complaints > 1:  # the first may be left over from an earlier upload
                raise Refused(f"the remote cannot use dataset `{dataset_id}`: {complaint}", code="bad_dataset")
            if self._clock.monotonic() + pause > until:
                return False
            if not slept(self._clock, pause):
                raise OutcomeUnknown(f"dataset `{dataset_id}` is not READY yet", hint="run `runner apply` again")
            pause = min(pause * 1.5, SLOWEST_POLL)


class _UploadUrls:
    """The signed URLs of all parts. Each call for them replaces the registered set, so all are asked for at once."""

    def __init__(
        self, account: Account, dataset_id: str, sizes: Mapping[str, str], gate: UrlGate, clock: Clock
    ) -> None:
        self._account = account
        self._dataset_id = dataset_id
        self._sizes = sizes
        self._gate = gate
        self._clock = clock
        self._urls: Mapping[str, Any] = {}
        self._asked_at = 0.0

    def signer(self, name: str) -> Callable[[], Signed]:
        """The URL of one part; a fresh one at every try but the first."""
        tries = count()
        return lambda: self._url(name, is_retry=next(tries) > 0)

    def _url(self, name: str, *, is_retry: bool) -> Signed:
        stale = self._clock.monotonic() - self._asked_at > FRESH_SECONDS
        if not self._urls or stale or is_retry:
            self._ask()
        url = self._urls.get(name)
        if not isinstance(url, str):
            raise OutcomeUnknown(f"the remote gave no upload URL for `{name}`")
        return self._gate.admit(url)

    def _ask(self) -> None:
        path = self._account.dataset(self._dataset_id, "getUploadEndpoint")
        self._asked_at = self._clock.monotonic()
        answer = object_in(self._account.http.post_json(path, {"filenameToSize": self._sizes}), "upload URLs")
        urls = map_in(answer, "filenameToSignedUrls")
        if urls.keys() != self._sizes.keys():
            raise OutcomeUnknown("the remote gave upload URLs for other files than it was asked about")
        self._urls = urls


def conflict(what: str, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Refused:
    """Something else stands under our name: both sides, and what to do."""
    differs = [key for key in wanted if wanted[key] != found.get(key)]
    ours = ", ".join(f"{key} `{plain(str(wanted[key]))}`" for key in differs)
    theirs = ", ".join(f"{key} `{plain(str(found.get(key, '')))}`" for key in differs)
    return Refused(
        f"{what} exists already with other content: wanted {ours}; the remote has {theirs}",
        status=409,
        code="conflict",
        hint="delete it on the remote, or give the project another name",
    )


def _is_ready(seen: Mapping[str, Any]) -> bool:
    return text_in(seen, "state").upper() == "READY"


def _complaint_of(seen: Mapping[str, Any]) -> str:
    """Why the remote does not like the file; empty while it says nothing."""
    status = map_in(seen, "status")
    code = text_in(status, "code")
    return f"{plain(text_in(status, 'message'))} (`{plain(code)}`)" if code not in ("", "OK") else ""

"""Input files at the remote: uploaded streamed, found again by name and size, known by their names, deleted."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runner.clock import Clock, slept
from runner.errors import NotFound, OutcomeUnknown, Refused, RemoteError
from runner.job.observed import Observed
from runner.job.stored import Kept, Stored
from runner.remotes.openai import pages
from runner.remotes.openai.labels import filename_of, mark_of
from runner.remotes.openai.profiles import Profile
from runner.remotes.reading.values import count_of, time_of
from runner.remotes.transport.content import MultipartForm
from runner.remotes.transport.http import Http
from runner.remotes.transport.listing import Incomplete
from runner.remotes.transport.replies import object_in, plain, shown, text_in, within
from runner.remotes.vendor import NO_LIST, Submission, Uploaded

PAGES = 50  # of a list of files; older uploads are not looked for, an orphan file costs nothing
MOST_LOOKS = 500  # at single files of one list
_POLL_SECONDS = 2.0
_USELESS = frozenset({"error", "deleted", "failed", "expired"})


def path_to(template: str, remote_id: str) -> str:
    """The path of one file or batch. A remote's id is data: it never becomes more than one segment."""
    if remote_id in ("", ".", "..") or not remote_id.isprintable():
        raise NotFound(f"`{plain(remote_id)}` is not the id of a file or batch")
    return template.replace("{id}", quote(remote_id, safe=""))


class Files:
    """The files of one account. Their names never change, so each is asked for once."""

    def __init__(self, http: Http, profile: Profile, clock: Clock) -> None:
        self._http = http
        self._profile = profile
        self._clock = clock
        self._known: dict[str, str] = {}  # names by id

    def upload(self, source: Path, submission: Submission) -> Uploaded:
        """Send `source`; the id under which a create may use it, waited for where the profile says so.

        The text fields stand before the file: one look-alike rejects the other order.
        """
        fields = {"purpose": self._profile.upload_purpose}
        form = MultipartForm(source, filename_of(submission), "application/jsonl", fields)
        size_bytes = source.stat().st_size
        answer = object_in(self._http.upload(self._profile.paths.upload, form), "an upload")
        file = _file_in(answer, self._profile.id_path)
        file_id = text_in(file, "id")
        if not file_id:
            raise OutcomeUnknown(f"the answer to an upload names no file: {shown(answer)}")
        if self._profile.wait_file_processed and text_in(file, "status") != "processed":
            self._wait_processed(file_id)
        return Uploaded(file_id, size_bytes)

    def _wait_processed(self, file_id: str) -> None:
        """Until the file reads `processed`. Raises Refused when it cannot, OutcomeUnknown when it takes too long."""
        for _ in range(math.ceil(self._profile.wait_file_timeout_s / _POLL_SECONDS)):
            status = self._status_of(file_id)
            if status == "processed":
                return
            if status in _USELESS:
                raise Refused(
                    f"the remote could not process the uploaded file `{plain(file_id)}`: its status is `{status}`"
                )
            if not slept(self._clock, _POLL_SECONDS):
                break
        raise OutcomeUnknown(
            f"the uploaded file `{plain(file_id)}` is still not processed", hint="run `runner apply` again later"
        )

    def _status_of(self, file_id: str) -> str:
        """Lower case. A file just uploaded may answer 404 for a while: that is not an end."""
        try:
            return text_in(object_in(self._look(file_id), "a look at a file"), "status").lower()
        except NotFound:
            return ""

    def _look(self, file_id: str) -> Any:
        return self._http.get_json(path_to(self._profile.paths.file, file_id))

    def find(self, submission: Submission, size_bytes: int) -> Uploaded | None:
        """The newest usable upload of this very submission, or None. Looks at no more than `PAGES` pages."""
        wanted = filename_of(submission)
        for raw in self._of_our_purpose():
            if text_in(raw, "filename") == wanted and raw.get("bytes") == size_bytes and self._is_usable(raw):
                return Uploaded(text_in(raw, "id"), size_bytes)
        return None

    def _of_our_purpose(self) -> Iterator[Mapping[str, Any]]:
        """One that shows no purpose may be ours."""
        try:
            for page in islice(self._pages(), PAGES):
                yield from (raw for raw in page if text_in(raw, "purpose") in ("", self._profile.upload_purpose))
        except Incomplete:
            return  # as good as a list that is longer than we look
        except RemoteError as error:
            if error.status not in NO_LIST:
                raise

    def _pages(self) -> Iterator[list[Mapping[str, Any]]]:
        """The list of files, newest first where the remote knows how."""
        query = {"purpose": self._profile.upload_purpose, "order": "desc"}
        return pages.walk(self._http, self._profile.paths.files, self._profile.list, "a list of files", query)

    def _is_usable(self, raw: Mapping[str, Any]) -> bool:
        expires_at = time_of(raw.get("expires_at"))
        status = text_in(raw, "status").lower()
        has_expired = expires_at is not None and expires_at <= self._clock.now()
        if not text_in(raw, "id") or status in _USELESS or has_expired:
            return False
        return status == "processed" or not self._profile.wait_file_processed

    def revoke(self, file_id: str) -> bool:
        """Delete a file; whether it reads as gone within `settle_s`.

        A remote without the verb answers 404 as well, so only a look that finds nothing says that it is gone.
        """
        try:
            self._http.delete(path_to(self._profile.paths.file, file_id))
        except RemoteError as error:
            if error.status not in NO_LIST:
                raise
        until = self._clock.monotonic() + self._profile.settle_s
        while True:
            try:
                raw = self._look(file_id)
            except NotFound:
                return True
            except RemoteError as error:
                if error.status not in NO_LIST:
                    raise
                return False  # it cannot be looked at, so nobody knows
            if isinstance(raw, Mapping) and text_in(raw, "status").lower() == "deleted":
                return True
            if self._clock.monotonic() >= until:
                return False
            self._clock.sleep(_POLL_SECONDS / 2)

    def stored(self, project: str, batches: Sequence[Observed]) -> Iterator[Stored]:
        """The files of these batches that are still there, and uploads that bear the project's name.

        What a list shows is taken; where there is none each file is looked at.
        """
        users: dict[tuple[Kept, str], list[str]] = {}
        for seen in batches:
            for file in seen.result_files:
                users.setdefault((Kept.RESULTS, file.ref), []).append(seen.remote_id)
            if seen.input_ref:
                users.setdefault((Kept.UPLOAD, seen.input_ref), []).append(seen.remote_id)
        for page in self._list_of_all():
            for raw in page:
                ref, mark = text_in(raw, "id"), mark_of(text_in(raw, "filename"))
                used = [kind for kind in (Kept.RESULTS, Kept.UPLOAD) if (kind, ref) in users]
                if not used and mark is not None and mark.is_of(project):
                    yield _stored(Kept.UPLOAD, raw, ())
                for kind in used:
                    yield _stored(kind, raw, tuple(users.pop((kind, ref))))
        if self._profile.list.style in ("cursor", "token"):
            return  # what is in no page is gone
        for (kind, ref), ids in users.items():
            with suppress(NotFound):
                yield _stored(kind, object_in(self._look(ref), "a look at a file"), tuple(ids))

    def _list_of_all(self) -> Iterator[list[Mapping[str, Any]]]:
        """Every file, uploads and results. Raises RemoteError where it cannot be read to its end."""
        return pages.walk(self._http, self._profile.paths.files, self._profile.list, "a list of files")

    def delete(self, file_id: str) -> bool:
        """Delete a file; whether the remote says that it is gone, now or before."""
        try:
            self._http.delete(path_to(self._profile.paths.file, file_id))
        except NotFound:  # gone before; a remote without the verb answers so too
            try:
                self._look(file_id)
            except NotFound:
                return True
            return False
        return True

    def names_of(self, file_ids: Collection[str]) -> dict[str, str]:
        """The names of these, empty for one that is gone; those that cannot be had are left out.

        Pages of the list first, then one by one what it did not show, no more than `MOST_LOOKS`.
        """
        missing = set(file_ids) - self._known.keys()
        is_whole = bool(missing) and self._has_listed(missing)
        for file_id in sorted(missing - self._known.keys())[:MOST_LOOKS]:
            name = "" if is_whole else self._name_of(file_id)
            if name is None:
                break  # the next one would be refused as well
            self._known[file_id] = name
        return {file_id: self._known[file_id] for file_id in file_ids if file_id in self._known}

    def _has_listed(self, missing: Collection[str]) -> bool:
        """Read the list until it has shown all of these; whether it came to its end."""
        if self._profile.list.style == "absent":
            return False
        try:
            for number, page in enumerate(self._pages()):
                self._known |= {text_in(raw, "id"): text_in(raw, "filename") for raw in page if raw.get("filename")}
                if number == PAGES or self._known.keys() >= set(missing):
                    return False
        except (Refused, OutcomeUnknown):
            return False
        return True

    def _name_of(self, file_id: str) -> str | None:
        try:
            raw = self._look(file_id)
        except NotFound:
            return ""
        except (Refused, OutcomeUnknown):
            return None
        return text_in(raw, "filename") or None if isinstance(raw, Mapping) else None


def _stored(kind: Kept, raw: Mapping[str, Any], batches: tuple[str, ...]) -> Stored:
    name = text_in(raw, "filename")
    mark = mark_of(name) if kind is Kept.UPLOAD else None
    made = time_of(raw.get("created_at"))
    return Stored(
        kind, text_in(raw, "id"), plain(name), count_of(raw.get("bytes")), made, batches, mark.key if mark else ""
    )


def _file_in(answer: Mapping[str, Any], id_path: str) -> Mapping[str, Any]:
    """The file object, nested as deep as the profile says, or at the top after all."""
    found = within(answer, id_path.rpartition(".")[0])
    return found if found is not None and text_in(found, "id") else answer

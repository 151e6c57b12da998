"""The files a dataset offers: which results there are, and their bytes by signed URLs that live for minutes.

A file is named `<dataset id>/<file name>` on our side. Names come from the remote: they are compared and shown, and
never become a path here. Source: contract sections 3.5 and 6, read 2026-11-21.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from runner.errors import NotFound, OutcomeUnknown, Refused
from runner.files import join_lines
from runner.job.observed import ResultFile
from runner.remotes.fireworks.account import Account
from runner.remotes.fireworks.names import last, segment
from runner.remotes.transport.content import Signed
from runner.remotes.transport.gate import UrlGate
from runner.remotes.transport.replies import map_in, object_in, plain

OUTPUT, ERROR = "output", "error"
LARGEST = 16_000_000_000  # bytes of one result file; a whole output dataset holds 8 GB
_ENDINGS = {OUTPUT: "bijoutputset.jsonl", ERROR: "error-data"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")


class Files:
    """What the datasets of one account offer for download."""

    def __init__(self, account: Account, gate: UrlGate) -> None:
        self._account = account
        self._gate = gate

    def results(self, dataset_id: str) -> tuple[ResultFile, ...]:
        """The result files of an output dataset, answers first. Raises NotFound when there is no dataset."""
        return _results_in(dataset_id, self._offered(dataset_id))

    def lineage(self, dataset_id: str, chain: Iterable[str]) -> list[ResultFile]:
        """The result files of a whole chain of output datasets, in its order (oldest first).

        chain: the ids that are known, `dataset_id` the youngest. The remote is asked for all of them at once; those
        it leaves out are asked for one by one. Files of ancestors that nobody knew come first.
        """
        told: dict[str, list[str]] = {}
        known = [*dict.fromkeys([*chain, dataset_id])]
        for key in self._told(dataset_id):
            told.setdefault(_dataset_in(key, known), []).append(_name_in(key))
        unknown = [found for found in told if found not in known]
        files: list[ResultFile] = []
        for one in (*unknown, *known):
            offered = self._own(one) if one in known and not _results_in(one, told.get(one, ())) else told[one]
            files += _results_in(one, offered)
        return files

    def _told(self, dataset_id: str) -> Mapping[str, str]:
        """What the remote says of a whole chain; nothing where it cannot."""
        try:
            return self._signed_urls(dataset_id, lineage=True)
        except Refused as refused:
            if refused.status not in (400, 404):
                raise
            return {}

    def _own(self, dataset_id: str) -> list[str]:
        try:
            return list(self._offered(dataset_id))
        except NotFound:
            return []  # a job that failed in validation never had one

    def download(self, ref: str, to: Path, cap_bytes: int = LARGEST, *, can_resume: bool = True) -> int:
        """A file onto the disk, whole; its size in bytes. A fresh URL is asked for at each try. Raises NotFound."""
        dataset_id, _, name = ref.partition("/")
        http = self._account.http
        return http.download_signed(
            lambda: self._sign(dataset_id, name), to, can_resume=can_resume, cap_bytes=min(cap_bytes, LARGEST)
        )

    def download_whole(self, dataset_id: str, to: Path) -> int:
        """All files of an input dataset as one, in the order of their names; its size in bytes. Raises NotFound."""
        inputs = sorted(name for name in self._offered(dataset_id) if not _kind_of(name))
        if not inputs:
            raise NotFound(f"the remote offers no file of dataset `{plain(dataset_id)}`")
        if len(inputs) == 1:
            return self.download(f"{dataset_id}/{inputs[0]}", to)
        pieces = [to.with_name(f"{to.name}.{number}") for number in range(len(inputs))]
        try:
            for name, piece in zip(inputs, pieces, strict=True):
                self.download(f"{dataset_id}/{name}", piece)
            return join_lines(pieces, to)
        finally:
            for piece in pieces:
                piece.unlink(missing_ok=True)

    def _sign(self, dataset_id: str, name: str) -> Signed:
        offered = self._offered(dataset_id)
        found = offered.get(name) or _only_of_kind(offered, _kind_of(name))
        if found is None:
            raise NotFound(f"dataset `{plain(dataset_id)}` does not offer `{plain(name)}` any more")
        return self._gate.admit(found)

    def _offered(self, dataset_id: str) -> Mapping[str, str]:
        """File name -> signed URL of one dataset. Two that end in the same name would be one file twice."""
        offered: dict[str, str] = {}
        for key, url in self._signed_urls(dataset_id).items():
            if offered.setdefault(_name_in(key), url) != url:
                raise OutcomeUnknown(f"dataset `{plain(dataset_id)}` offers `{plain(_name_in(key))}` twice")
        return offered

    def _signed_urls(self, dataset_id: str, lineage: bool = False) -> Mapping[str, str]:
        path = self._account.dataset(dataset_id, "getDownloadEndpoint")
        answer = self._account.http.get_json(path, {"downloadLineage": "true"} if lineage else None)
        urls = map_in(object_in(answer, "the files of a dataset"), "filenameToSignedUrls")
        return {str(key): url for key, url in urls.items() if isinstance(url, str)}


def _name_in(key: str) -> str:
    """The last segment of a path-like key. Raises Refused for one that no file of ours could have."""
    name = last(key)
    if not _NAME.match(name) or key.endswith("/"):
        raise Refused(f"the remote offers a file with the unsafe name `{plain(key)}`", code="unsafe_name")
    return name


def _dataset_in(key: str, known: list[str]) -> str:
    """Whose file it is: a known dataset id in the key, as a segment or within one, else the segment before the name."""
    exact = next((one for one in key.split("/") if one in known), "")
    if exact:
        return exact
    inside = max((one for one in known if one in key), key=len, default="")
    return inside or segment(last(key.rpartition("/")[0]))


def _results_in(dataset_id: str, offered: Iterable[str]) -> tuple[ResultFile, ...]:
    found = sorted((kind != OUTPUT, name, kind) for name in offered if (kind := _kind_of(name)))
    return tuple(ResultFile(f"{dataset_id}/{name}", kind) for _, name, kind in found)


def _kind_of(name: str) -> str:
    """`output`, `error`, or empty for what is neither. By the end of the name: a lineage puts ids before it."""
    return next((kind for kind, ending in _ENDINGS.items() if name.lower().endswith(ending)), "")


def _only_of_kind(offered: Mapping[str, str], kind: str) -> str | None:
    """The one file of a kind, under whatever name; None when there are more or none."""
    urls = [url for name, url in offered.items() if kind and _kind_of(name) == kind]
    return urls[0] if len(urls) == 1 else None

"""The calls of a pigeonhole: `POST /holes` with the rows, `GET /holes`, `GET /holes/N`, its slips, and a stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.errors import NotFound, OutcomeUnknown
from runner.job.capabilities import Capabilities
from runner.job.observed import Counts, Found, Observed, Origin, Phase, ResultFile
from runner.remotes.transport.client import BatchClient
from runner.remotes.transport.http import Http
from runner.remotes.transport.inline import joined
from runner.remotes.vendor import LARGEST_FILE, Inline, Input, Submission, Uploaded

_PHASES = {"filling": Phase.RUNNING, "full": Phase.COMPLETED, "stopped": Phase.CANCELLED}


class PigeonholeClient(BatchClient):
    """Implements `remotes.vendor.Provider`."""

    def __init__(self, http: Http, card: Capabilities, origin: Origin) -> None:
        super().__init__(http, origin)
        self.card = card

    def submit(self, submission: Submission, content: Input | None) -> Observed:
        assert isinstance(content, Inline), "the card says that the create carries its rows"
        return observed_of(self._http.create("/holes", joined(b'{"slips":[', content, b"]}")))

    def find(self, submission: Submission, upload_ref: str, since: datetime) -> Found:
        """Holes of as many slips: nothing else tells whose they are, before they are full."""
        return Found(candidates=tuple(seen for seen in self.batches(since) if seen.counts.total == submission.rows))

    def look(self, remote_id: str) -> Observed:
        return observed_of(self._http.get_json(f"/holes/{remote_id}"))

    def batches(self, since: datetime | None = None) -> Iterator[Observed]:
        for raw in self._http.get_json("/holes"):
            seen = observed_of(raw)
            if since is None or seen.created_at is None or seen.created_at >= since:
                yield seen

    def download(self, file: ResultFile, to: Path, cap_bytes: int = LARGEST_FILE, *, in_one_go: bool = False) -> int:
        return self._http.download(f"/holes/{file.ref}/slips", to, can_resume=not in_one_go, cap_bytes=cap_bytes)

    def cancel(self, remote_id: str) -> Observed:
        return observed_of(self._http.post_json(f"/holes/{remote_id}/stop"))

    # -- what it has not: uploads, labels, inputs to be read back

    def upload(self, source: Path, submission: Submission) -> Uploaded:
        raise AssertionError("the card says that nothing is uploaded")

    def find_upload(self, submission: Submission, size_bytes: int) -> Uploaded | None:
        return None

    def is_of(self, project: str, seen: Observed) -> bool:
        return False

    def revoke(self, upload_ref: str) -> bool:
        return False

    def download_input(self, observed: Observed, to: Path) -> int:
        raise NotFound("a pigeonhole does not give its slips back")


def observed_of(raw: Any) -> Observed:
    """Raises OutcomeUnknown for what is no hole."""
    if not isinstance(raw, Mapping) or not raw.get("hole"):
        raise OutcomeUnknown("the answer names no hole")
    phase = _PHASES.get(raw["state"], Phase.UNKNOWN)
    return Observed(
        raw["hole"],
        phase,
        raw["state"],
        Counts(raw["slips"], raw["answered"], 0),
        created_at=datetime.fromisoformat(raw["made"]),
        result_files=(ResultFile(raw["hole"], "output"),) if phase.has_ended else (),
    )

"""What every client of a remote that speaks HTTP says of itself, and what most clients with batches answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta

from runner.errors import NotFound
from runner.job.observed import Observed, Origin
from runner.job.stored import Inventory, Stored
from runner.remotes.transport.http import Http
from runner.remotes.vendor import Advanced, Budget, LineageFile, Work


class HttpClient:
    """Part of a `vendor.Provider`, or of a `calls.Caller`."""

    def __init__(self, http: Http, origin: Origin) -> None:
        self._http = http
        self._origin = origin

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._origin})"

    @property
    def origin(self) -> Origin:
        return self._origin

    @property
    def skew(self) -> timedelta:
        return self._http.skew

    def close(self) -> None:
        self._http.close()


class BatchClient(HttpClient, ABC):
    """Part of a `vendor.Provider` that runs batches by itself, and where no batch continues another.

    A client whose remote can more has answers of its own.
    """

    @abstractmethod
    def look(self, remote_id: str) -> Observed:
        """As `vendor.Provider` has it."""

    def advance(self, work: Work, budget: Budget) -> Advanced:
        return Advanced(self.look(work.batch.remote_id))

    def identified(self, listed: Sequence[Observed]) -> list[Observed]:
        """What a batch itself shows is all there is."""
        return list(listed)

    def stored(self, project: str) -> Inventory:
        """What its card does not speak of is not looked for."""
        return Inventory()

    def delete(self, stored: Stored) -> bool:
        return False

    def lineage(self, remote_id: str) -> list[LineageFile]:
        files = self.look(remote_id).result_files
        if not files:
            raise NotFound(f"batch `{remote_id}` names no result files")
        return [LineageFile(file, "", remote_id) for file in files]

"""Paths and full resource names of one account. Every path of the control plane lies below it."""

from __future__ import annotations

import msgspec

from runner.remotes.fireworks.names import segment
from runner.remotes.transport.http import Http


class Account(msgspec.Struct, frozen=True):
    """One account of one remote, ready to be asked."""

    http: Http
    name: str

    @property
    def datasets(self) -> str:
        return f"/v1/accounts/{segment(self.name)}/datasets"

    @property
    def jobs(self) -> str:
        return f"/v1/accounts/{segment(self.name)}/batchInferenceJobs"

    def dataset(self, dataset_id: str, verb: str = "") -> str:
        """The path of a dataset, or of one of its verbs. Raises NotFound for what cannot be an id."""
        return f"{self.datasets}/{segment(dataset_id)}" + (f":{verb}" if verb else "")

    def job(self, job_id: str) -> str:
        return f"{self.jobs}/{segment(job_id)}"

    def dataset_name(self, dataset_id: str) -> str:
        return f"accounts/{self.name}/datasets/{dataset_id}"

    def job_name(self, job_id: str) -> str:
        return f"accounts/{self.name}/batchInferenceJobs/{job_id}"

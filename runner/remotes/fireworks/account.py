"""Paths and full resource names of one account. Every path of the control plane lies below it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runner.remotes.fireworks.names import last, segment
from runner.remotes.transport.http import Http
from runner.remotes.transport.replies import must_be_about, object_in, text_in


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

    def shown_dataset(self, dataset_id: str) -> Mapping[str, Any]:
        """The dataset as the remote shows it. Raises NotFound, OutcomeUnknown for a reply about something else."""
        return self._shown(self.dataset(dataset_id), dataset_id)

    def shown_job(self, job_id: str) -> Mapping[str, Any]:
        """The same of a job."""
        return self._shown(self.job(job_id), job_id)

    def _shown(self, path: str, resource_id: str) -> Mapping[str, Any]:
        raw = object_in(self.http.get_json(path), "a look at a dataset or job")
        must_be_about(resource_id, last(text_in(raw, "name")))
        return raw

    def dataset_name(self, dataset_id: str) -> str:
        return f"accounts/{self.name}/datasets/{dataset_id}"

    def job_name(self, job_id: str) -> str:
        return f"accounts/{self.name}/batchInferenceJobs/{job_id}"

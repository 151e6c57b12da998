"""What a remote is told of a batch, and what it means when other work stands under the same name."""

from __future__ import annotations

from runner.errors import BlockedError, Refused, RunnerError
from runner.job.recorded import Batch
from runner.remotes import naming, vendor

CONFLICT = "conflict"


def submission_of(batch: Batch) -> vendor.Submission:
    """The same at every try: names, labels and settings follow from the record alone."""
    return vendor.Submission(
        name=naming.name_of(batch.project, batch.key),
        model=batch.model,
        endpoint=batch.endpoint,
        window_hours=batch.window_hours,
        label={
            "runner_project": batch.project[:500],
            "runner_set": batch.keys_sha256[:32],
            "runner_attempt": str(batch.attempt),
            "runner_rows": str(batch.rows),
            "runner_job": batch.owner[:500],
            "runner_generation": str(batch.generation),
            "runner_parent": ",".join(batch.parents)[:500],
        },
        rows=batch.rows,
        params=batch.params,
        options=batch.options,
        system_prompt=batch.system_prompt,
        continued_from=batch.continued_from,
    )


def as_met(error: RunnerError) -> RunnerError:
    """The error as a user meets it: where other work stands under our name, a person decides which of the two stays."""
    if isinstance(error, Refused) and error.code == CONFLICT:
        return BlockedError(error.message, hint=error.hint)
    return error

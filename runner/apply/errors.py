"""What went wrong in a pass, each with what it is about. A pass collects them anew; none outlives its cause."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from runner.errors import RunnerError


class StepError(msgspec.Struct, frozen=True):
    """One step that did not succeed. It stops what it is about, and nothing else.

    job: the address that the step was for. batch: the key of the one batch it was about; empty where it was about
    the job as a whole: a search for it, a submission, its results file.
    """

    error: RunnerError
    job: str
    batch: str = ""


def jobs_in(errors: Iterable[StepError], but_of: Collection[str] = ()) -> set[str]:
    """The addresses of the jobs something went wrong with. but_of: keys of batches that are not their business."""
    return {one.job for one in errors if one.batch not in but_of}

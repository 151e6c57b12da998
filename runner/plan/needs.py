"""Jobs that wait for others: nothing of them is sent before those are settled, and as good as was expected of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.job.address import name_of
from runner.job.desired import Desired
from runner.plan.chains import Chains
from runner.plan.change import Action, Change, Reason
from runner.plan.remaining import JobRows, Row

_SETTLED = (Row.OK, Row.ERROR, Row.EQUAL)
_NAMED = 3


class Standing:
    """Where the jobs stand that others wait for."""

    def __init__(
        self, desired: Sequence[Desired], rows: Sequence[JobRows], meets: Mapping[str, bool], chains: Chains
    ) -> None:
        """meets: by address, whether a job is as good as expected; without those that were not scored as they are."""
        names = {name_of(job.address) for job in desired}
        needed = {name for job in desired for name in job.needs}
        self._lacking: dict[str, dict[Reason, list[str]]] = {
            # one that is not here cannot have settled, as far as anybody can tell
            name: {} if name in names else {Reason.NEED_UNSETTLED: [name]}
            for name in needed
        }
        for job, of_job in zip(desired, rows, strict=True):
            lacking = self._lacking.get(name_of(job.address))
            if lacking is None:
                continue
            if chains.waits(job):  # the rows there are may be settled, and more may come
                lacking.setdefault(Reason.NEED_UNSETTLED, []).append(job.address)
            elif reason := _why(job, of_job, meets):
                lacking.setdefault(reason, []).append(job.address)

    def waits(self, job: Desired) -> bool:
        return any(self._lacking[name] for name in job.needs)

    def first_unmet(self, job: Desired, rows: int) -> Change | None:
        """Why a job is not sent yet; None where nothing it needs is missing. rows: that would be sent."""
        lacking = [self._lacking[name] for name in job.needs]
        for reason in (Reason.NEED_UNSETTLED, Reason.NEED_UNSCORED, Reason.NEED_UNMET):
            found = [address for of_one in lacking for address in of_one.get(reason, ())]
            if found:
                more = f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
                shown = ", ".join(f"`{address}`" for address in found[:_NAMED])
                return Change(Action.AFTER, reason, rows=rows, detail=shown + more)
        return None


def _why(job: Desired, rows: JobRows, meets: Mapping[str, bool]) -> Reason | None:
    """What keeps those back that need this job; None where nothing does."""
    if sum(rows.counts[row] for row in _SETTLED) != len(rows.states):
        return Reason.NEED_UNSETTLED
    if not job.evals.expect:
        return None
    if job.address not in meets:
        return Reason.NEED_UNSCORED
    return None if meets[job.address] else Reason.NEED_UNMET

"""Jobs that wait for others: nothing of them is sent before those are settled, and as good as was expected of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.job.desired import Desired
from runner.plan.change import Action, Change, Reason
from runner.plan.remaining import JobRows, Row

_SETTLED = (Row.OK, Row.ERROR, Row.EQUAL)
_NAMED = 3


def ordered(desired: Sequence[Desired]) -> list[int]:
    """The places of jobs in `desired`, those that wait behind those they wait for.

    Of requests that two jobs want the first one asks. A job that waits must not be the one, or the other would wait for
    it as well; and where it waits for the other, both would wait for ever.
    """
    if not any(job.needs for job in desired):
        return list(range(len(desired)))
    depths: dict[str, int] = {}
    by_address = {job.address: job for job in desired}
    for job in desired:
        waiting = [job.address]
        while waiting:
            address = waiting[-1]
            before = [one for one in by_address[address].needs if one in by_address]
            unknown = [one for one in before if one not in depths and one not in waiting]
            if unknown:
                waiting.extend(unknown)
            else:
                depths[address] = 1 + max((depths.get(one, 0) for one in before), default=-1)
                waiting.pop()
    return sorted(range(len(desired)), key=lambda place: (depths[desired[place].address], place))


class Standing:
    """Where the jobs stand that others wait for."""

    def __init__(self, desired: Sequence[Desired], rows: Sequence[JobRows], meets: Mapping[str, bool]) -> None:
        """meets: by address, whether a job is as good as expected; without those that were not scored as they are."""
        self._jobs = {job.address: (job, of_job) for job, of_job in zip(desired, rows, strict=True)}
        self._meets = meets

    def first_unmet(self, job: Desired, rows: int) -> Change | None:
        """Why a job is not sent yet; None where nothing it needs is missing. rows: that would be sent."""
        found: dict[Reason, list[str]] = {}
        for address in job.needs:
            if reason := self._why(address):
                found.setdefault(reason, []).append(f"`{address}`")
        for reason in (Reason.NEED_UNSETTLED, Reason.NEED_UNSCORED, Reason.NEED_UNMET):
            if names := found.get(reason):
                more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
                return Change(Action.AFTER, reason, rows=rows, detail=", ".join(names[:_NAMED]) + more)
        return None

    def _why(self, address: str) -> Reason | None:
        if address not in self._jobs:
            return Reason.NEED_UNSETTLED
        job, rows = self._jobs[address]
        if sum(rows.counts[row] for row in _SETTLED) != len(rows.states):
            return Reason.NEED_UNSETTLED
        if not job.evals.expect:
            return None
        if address not in self._meets:
            return Reason.NEED_UNSCORED
        return None if self._meets[address] else Reason.NEED_UNMET

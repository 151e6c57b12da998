"""Held to what was reviewed: before anything is sent, the plan is made anew and compared with it.

It is found out as `runner plan` does, in a memory that is thrown away, so that both come to the same. What is more
than was reviewed ends the command; the passes that follow leave alone what is not among it (`Guards.reviewed`).
"""

from __future__ import annotations

from runner.apply.session import Session
from runner.errors import Stale
from runner.plan import review
from runner.plan.change import at_most_usd
from runner.plan.guard import Guards
from runner.plan.paid import paid_by
from runner.plan.places import Reviewed
from runner.plan.review import Differs, Review

MOST_JOBS = 20  # that are named


def would_send(session: Session, guards: Guards) -> Review:
    """What an apply would send now. The session's memory must be one that is thrown away."""
    from runner.apply.preview import preview  # only a plan that is kept, or held to, looks ahead

    seen = preview(session, guards)
    return paid_by(session.project.namespace, session.desired, seen.plan, seen.recorded, guards)


def as_in_file(session: Session, guards: Guards, then: Review) -> Reviewed:
    """What may be sent by a plan that was read. Raises Stale, which says what changed."""
    now = would_send(session, guards)
    if then.project != now.project:
        raise Stale(
            f"the plan is of the project `{then.project}`, and the specs are of `{now.project}`",
            hint="apply it in the project it was made in",
            details=(),
        )
    found = review.differences(then, now)
    more = [one for one in found if one.more]
    if not more:
        return then.reviewed
    jobs = f"{len(more)} job{'s' * (len(more) != 1)}"
    raise Stale(
        f"the plan is stale: {jobs} would send requests that were not reviewed",
        hint=f"nothing was sent; review what would be sent now: `runner plan`, digest {now.digest}",
        details=[*map(_line, more[:MOST_JOBS]), *_and_more(more)],
    )


def under_digest(session: Session, guards: Guards, digest: str) -> Reviewed:
    """The same, where no more than the digest of what was reviewed is known. Raises Stale."""
    now = would_send(session, guards)
    history = session.recorded().batches
    found = review.reviewed_under(digest, now, session.desired, history)
    if found is not None:
        return found
    jobs = [
        Differs(address, mine.rows, 0, mine.usd, 0.0)
        for address in sorted({part.address for part in now.parts})
        for mine in [Review("", tuple(part for part in now.parts if part.address == address))]
    ]
    reviewed = review.rows_in(digest) or 0
    raise Stale(
        f"the plan is stale: {_requests(now.rows)} would be sent now, and not all of that is among the "
        f"{reviewed:,} that {'was' if reviewed == 1 else 'were'} reviewed",
        hint=f"nothing was sent; review what would be sent now: `runner plan`, digest {now.digest}",
        details=[*(f"{one.address}: {_requests(one.more)}, {_cost(one.usd)}" for one in jobs[:MOST_JOBS]),
                 *_and_more(jobs)],
    )  # fmt: skip


def _line(one: Differs) -> str:
    parts = [f"{_requests(one.more)} more", f"{one.less:,} less"]
    return f"{one.address}: {', '.join(parts[: 1 + bool(one.less)])}; {_cost(one.usd)}, was {_cost(one.usd_then)}"


def _and_more(jobs: list[Differs]) -> list[str]:
    return [f"and {len(jobs) - MOST_JOBS} more jobs"] if len(jobs) > MOST_JOBS else []


def _requests(number: int) -> str:
    return f"{number:,} request{'s' * (number != 1)}"


def _cost(usd: float | None) -> str:
    if usd == 0.0:
        return "free"
    return "at a cost that is not known" if usd is None else f"at most {at_most_usd(usd)}"

"""What became of the jobs of a plan since they were asked, for every command that shows one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.apply.session import Session
    from runner.plan.compared import Compared
    from runner.plan.plan import Plan
    from runner.spec.chosen import Chosen


def compared(
    session: Session,
    plan: Plan,
    *,
    against: str | None = None,
    chosen: Chosen | None = None,
    requests: int = 0,
    asks_remotes: bool = False,
) -> tuple[Mapping[str, Compared], list[str]]:
    """By address, jobs with new requests; and what cannot be told of them.

    against: a git revision, of whose specs those of `chosen` are meant; without one, what is on record is what they
    are compared with. requests: so many of each
    job side by side. asks_remotes: whether their older text may be fetched. Raises UsageError for a revision that there
    is not.
    """
    from runner.plan.remaining import Row

    if against is None and not any(rows.counts[Row.NEW] for rows in plan.rows):
        return {}, []
    import tempfile
    from pathlib import Path

    from runner.apply.asked import Committed, Records
    from runner.apply.compare import compare
    from runner.apply.older import Older
    from runner.spec.chosen import NOTHING

    older = Older(session, session.recorded(), asks_remotes=asks_remotes)
    if against is None:
        return compare(session, plan, Records(session), older, requests=requests), []
    with tempfile.TemporaryDirectory(prefix="runner-against-") as folder:
        committed = Committed(session, against, Path(folder), chosen or NOTHING)
        notes = [committed.note] if committed.note else []
        return compare(session, plan, committed, older, requests=requests), notes

"""What an apply would do, found out without changing anything: the same planner, fresh looks, no writes."""

from __future__ import annotations

from msgspec.structs import replace

from runner.apply import readback
from runner.apply.outputs import Rewrite, rewrites
from runner.apply.refresh import look
from runner.apply.session import Session
from runner.plan.guard import Guards
from runner.plan.plan import Plan, make


def preview(session: Session, guards: Guards, *, offline: bool = False) -> tuple[Plan, list[Rewrite], list[str]]:
    """The plan, the files it would write, and what could not be looked into."""
    recorded = session.recorded()
    is_first = session.records.project() is None
    if is_first and readback.has_outputs(session):  # an apply reads them before it says that nobody knows anything
        guards = replace(guards, first_run=True)
    active = [entry.batch for entry in recorded.batches if entry.batch.is_active]
    sights = {} if offline else look(session, active).sights
    plan = make(session.desired, recorded, sights, guards, session.project.paths)
    notes = [note for compiled in session.compiled.values() for note in compiled.notes]
    if is_first and plan.submissions:
        notes.append(
            "This is the first plan here: `runner apply` looks for earlier answers in the outputs "
            "and on the remotes before it sends anything"
        )
    return plan, rewrites(session, plan, recorded), notes

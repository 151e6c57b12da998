"""What is paid for twice, counted anew when a batch is brought home: from then on its answers count."""

from __future__ import annotations

from runner.apply.session import Session
from runner.job.outcomes import answered
from runner.job.packed import common
from runner.job.recorded import Batch
from runner.plan import duplicates


def brought_home(session: Session, batch: Batch, entries: bytes) -> Batch:
    """A batch with these outcomes, and what it has in common with those of other clones.

    One that was adopted is counted with the batches of our own that answered the same.
    """
    mine, counted = answered(entries), dict(batch.overlaps)
    project = session.records.project()
    for one, before in batch.overlaps.items():
        if project and (name := project.met_answers.get(one)):
            counted[one] = common(mine, session.objects.read_set(name))
            if counted[one] != before:
                text = f"{batch.owner}: of what `{one}` answered, `{batch.remote_id}` answered {counted[one]:,} too"
                session.reporter.step(text)
    for other in session.records.batches():
        ours, theirs = (batch, other) if batch.is_sent_from_here else (other, batch)
        if not other.index_sha256 or other.origin != batch.origin or not _may_be_twice(ours, theirs):
            continue
        twice = common(mine, answered(session.objects.read(f"{other.key}/index", other.index_sha256)))
        if not twice or ours.overlaps.get(theirs.remote_id) == twice:
            continue
        tell(session, ours, theirs.remote_id, twice)
        if ours is batch:
            counted[theirs.remote_id] = twice
        else:
            session.records.save(ours.but(overlaps={**ours.overlaps, theirs.remote_id: twice}))
    return batch.but(overlaps=counted)


def tell(session: Session, batch: Batch, other: str, twice: int) -> None:
    """Say what a batch of another clone holds of ours."""
    session.reporter.warn(
        f"{batch.owner}: `{other}`, which was not sent from here, holds {twice:,} of the requests of "
        f"`{batch.remote_id}` too: they are paid for twice"
    )


def _may_be_twice(ours: Batch, theirs: Batch) -> bool:
    """Whether answers to the same requests, in a batch of our own and in one that was adopted, are one too many.

    What was adopted before ours was sent was known then: what ours asks of it, a person wanted anew.
    """
    if not ours.is_sent_from_here or theirs.is_sent_from_here or not theirs.is_adopted:
        return False
    is_known = theirs.sequence < ours.sequence and not ours.is_adopted
    return not is_known and not duplicates.is_asked_again(ours, theirs.submitted_at, theirs.generation)

"""The plan as things stand: what is wanted, what is recorded and seen, and how good the jobs are that others need."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from msgspec.structs import replace

from runner.apply.answers import made_of, spec_of
from runner.apply.judging import Judging, judging_of
from runner.apply.session import Session
from runner.job.address import name_of
from runner.job.desired import Desired
from runner.job.scored import Scores, Verdict
from runner.plan.decide import Observation
from runner.plan.guard import Guards
from runner.plan.plan import Plan, Recorded, make
from runner.plan.remaining import JobRows


def planned(
    session: Session, recorded: Recorded, observations: Mapping[str, Observation], guards: Guards = Guards()
) -> Plan:
    """Decide everything. Where a job waits for another, what was scored of that one is looked at as well."""
    plan = make(session.desired, recorded, observations, guards, session.project.scope)
    if not any(job.waits for job in plan.jobs):
        return plan
    known = replace(recorded, meets=_meets(session, plan, recorded))
    return make(session.desired, known, observations, guards, session.project.scope)


def _meets(session: Session, plan: Plan, recorded: Recorded) -> Mapping[str, bool]:
    """By address of a job that others need and that is scored as it stands: whether all is as expected."""
    names = {name for job in session.desired for name in job.needs}
    needed = {job.address for job in session.desired if name_of(job.address) in names}
    if session.sandbox is not None:  # answers of a rehearsal are made up: the rest of it goes on
        return dict.fromkeys(needed, True)
    jobs = {job.address: (job, rows) for job, rows in zip(session.desired, plan.rows, strict=True)}
    found = {}
    for address in needed:
        scores = current(session, *jobs[address], plan, recorded)
        if scores is None:
            continue
        others = {one.not_worse_than for one in jobs[address][0].evals.expect} & jobs.keys()
        known = {other: current(session, *jobs[other], plan, recorded) for other in others}
        if others and scores.gated_by != gated_by(scores, known):
            continue
        verdicts = {gate.verdict for gate in scores.gates}
        if Verdict.NOT_YET not in verdicts:
            found[address] = verdicts <= {Verdict.MET}
    return found


def is_scored(session: Session) -> bool:
    """Whether any job has something to be scored, or was scored before."""
    has_checks = any(job.evals.checks or job.evals.expect for job in session.desired)
    return has_checks or any(record.scores for record in session.records.jobs().values())


def current(session: Session, job: Desired, rows: JobRows, plan: Plan, recorded: Recorded) -> Scores | None:
    """What was scored of a job, if its results and its checks are still what they were then."""
    record, _ = recorded.jobs.get(job.address, (None, b""))
    if record is None or record.scores is None or record.output != job.output:
        return None
    results = made_of(session, job, rows, recorded)
    judging = judging_of(session, job, plan, recorded)
    if record.written_sha256 != results or record.scores.made_of != scores_made_of(session, job, results, judging):
        return None
    return record.scores


def scores_made_of(session: Session, job: Desired, results: str, judging: Judging) -> str:
    """Hex digest of all that scores are made of: results, checks, references beside the dataset, and verdicts."""
    from runner.apply import pairs  # all of these bring what most jobs have no use for
    from runner.checks.program import digest_of
    from runner.compile import references

    spec = spec_of(session, job.address)
    evals = spec.evals
    beside = references.made_of(evals.references, session.project.root, session.digests.of) if evals.references else ""
    of_pairs = pairs.made_of(session, spec)
    told = f"scores/1 {results} {digest_of(evals)} {beside} {job.bad}{f' {of_pairs}' if of_pairs else ''}\n"
    if judging.made_of:
        told += f"{judging.made_of}\n"
    return hashlib.sha256(told.encode()).hexdigest()


def gated_by(scores: Scores, others: Mapping[str, Scores | None]) -> str:
    """What gates are made of: the scores of a job, and those of the ones it is compared with, by address."""
    known = [f"{address} {one.made_of}" for address, one in sorted(others.items()) if one is not None]
    return " ".join([scores.made_of, *known])

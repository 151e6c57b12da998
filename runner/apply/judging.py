"""Checks that have a judge: whether its verdicts are all there, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from runner.apply import chains
from runner.apply.answers import is_quiet, made_of, spec_of
from runner.apply.session import Session
from runner.errors import DataError
from runner.job.desired import Desired
from runner.job.project import Job
from runner.job.scored import judge_address
from runner.plan.plan import Plan, Recorded


class Judging(msgspec.Struct, frozen=True):
    """Of one job."""

    verdicts: Mapping[str, Path]  # check -> the results of its judge's job
    waits_for: Mapping[str, str]  # check -> the address of a judge's job that is not settled, or not written
    made_of: str  # empty where no check has a judge


def judging_of(session: Session, job: Desired, plan: Plan, recorded: Recorded) -> Judging:
    """Where the judges of a job stand. Verdicts count once all that can be is there: never those of some rows."""
    spec = spec_of(session, job.address)
    verdicts, waits_for, made = dict[str, Path](), dict[str, str](), list[str]()
    for check in spec.evals.checks:
        if check.judge is None:
            continue
        address = judge_address(spec, check.name)
        results = _results_of(session, address, plan, recorded)
        if results is None:
            waits_for[check.name] = address
            made.append(f"{check.name} waits")
        else:
            verdicts[check.name] = session.outputs_root / spec_of(session, address).output
            made.append(f"{check.name} {results}")
    return Judging(verdicts, waits_for, " ".join(made))


def _is_of_these(session: Session, address: str, plan: Plan, recorded: Recorded) -> bool:
    """Whether a judge's job asks about the answers as they stand: it is compiled anew after they came."""
    spec = spec_of(session, address)
    assert isinstance(spec, Job) and spec.chain is not None, "it was made of a check"
    (parent,) = spec.chain.parents
    at = next(at for at, job in enumerate(session.desired) if job.address == parent)
    try:
        path = chains.answers_of(session, session.desired[at], plan.rows[at], spec.chain, recorded)
    except (DataError, OSError):  # whoever asks it says so
        return False
    return spec.dataset.files == (str(path),)


def _results_of(session: Session, address: str, plan: Plan, recorded: Recorded) -> str | None:
    """What the results of a judge's job are made of; None where they are not all there, or not written."""
    jobs = {job.address: at for at, job in enumerate(session.desired)}
    if address not in jobs:
        return None
    job, part, rows = session.desired[jobs[address]], plan.jobs[jobs[address]], plan.rows[jobs[address]]
    record, _ = recorded.jobs.get(address, (None, b""))
    record = session.records.jobs().get(address, record)  # it may have been written just now
    if not is_quiet(rows) or part.is_held_back or part.waits or not _is_of_these(session, address, plan, recorded):
        return None
    results = made_of(session, job, rows, recorded)
    return results if record is not None and (record.written_sha256, record.output) == (results, job.output) else None

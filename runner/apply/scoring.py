"""Scoring: answers of settled jobs held to the checks of their specs. It costs no request.

Results are written before, and a check that fails on a row stops nothing but the scores of its job. What scores were
made of is on record, so that an apply with nothing new scores nothing: edit a check, and only scoring runs again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from msgspec.structs import replace

from runner.apply import keep, pairs
from runner.apply.answers import is_quiet, lines_to, made_of, spec_of
from runner.apply.errors import StepError
from runner.apply.judging import Judging, judging_of
from runner.apply.outputs import Drift, Rewrite, drift_of
from runner.apply.planning import gated_by, scores_made_of
from runner.apply.result import Awaited, Scoring
from runner.apply.session import Session
from runner.checks import gates
from runner.checks.paired import Paired
from runner.checks.program import Program
from runner.checks.sheet import Sheet
from runner.checks.tally import Form
from runner.errors import Conflict, DataError, RunnerError
from runner.files import whole
from runner.job.desired import Desired
from runner.job.expect import Expectation
from runner.job.project import AnyJob, Evals
from runner.job.recorded import JobRecord
from runner.job.scored import CheckSummary, Gate, Pooled, Scores, scores_path
from runner.job.written import Written
from runner.plan.change import Action
from runner.plan.plan import Plan, Recorded
from runner.plan.remaining import JobRows
from runner.results import scores as files
from runner.results.alike import Differs, lines_against
from runner.results.scorer import Scorer, score_all
from runner.results.wholefile import target_of

_AT_ONCE = 1000  # rows


class _Settled(NamedTuple):
    """A job whose rows have their outcome, and what its answers are scored with."""

    session: Session
    job: Desired
    rows: JobRows
    recorded: Recorded
    judging: Judging
    results: str  # what they are made of


def score(session: Session, plan: Plan, recorded: Recorded, scoring: Scoring) -> None:
    """Score what is settled and was not scored as it is now, and hold it to what is expected."""
    if session.sandbox is not None:  # answers of a rehearsal are made up
        return
    records = session.records.jobs()
    scoring.current, scoring.gates, scoring.waits = {}, {}, {}
    for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
        evals, record = job.evals, records.get(job.address)
        if record is None:
            continue
        if not evals.checks:
            record = _forgotten(session, job, record, scoring)
        if (evals.checks or evals.expect) and is_quiet(rows) and not part.is_held_back and not part.waits:
            settled = _settled(session, job, plan, rows, recorded)
            _score(settled, record, scoring)
            scoring.waits[job.address] = {
                check: _awaited(plan, address) for check, address in settled.judging.waits_for.items()
            }
    _judge(session, scoring)
    _pool(session, scoring)


def due(session: Session, plan: Plan, recorded: Recorded, notes: list[str]) -> list[Rewrite]:
    """The scores files that an apply would write, of settled jobs, and those that it would remove.

    notes: takes what an apply would warn of, or fail with.

    The session's memory must be one that is thrown away: where a file of which no record speaks holds just what scoring
    gives, that is recorded, as by an apply.
    """
    found, known, records = [], Scoring(), session.records.jobs()
    is_needed = any(job.waits for job in plan.jobs)
    for job, part, rows in zip(session.desired, plan.jobs, plan.rows, strict=True):
        evals, record = job.evals, records.get(job.address)
        if not evals.checks and record and record.scores and _is_to_go(session, record.scores, job.address, notes):
            found.append(Rewrite(job, rows, Drift.UNCHECKED, scores=record.scores.path, removes=True))
        if not is_quiet(rows) or part.is_held_back or part.waits:
            continue
        # Expectations without checks have no file: they are looked at where the plan goes by them
        if not (evals.checks or (evals.expect and is_needed)):
            continue
        with suppress(RunnerError, OSError):  # who scores says what is wrong with it
            one = _due(_settled(session, job, plan, rows, recorded), record, notes)
            if isinstance(one, Rewrite):
                found.append(one)
            elif record is not None:
                if one is not record.scores:
                    session.records.save(replace(record, scores=one))
                known.current[job.address] = one
    if is_needed:
        _judge(session, known)
    return found


def _settled(session: Session, job: Desired, plan: Plan, rows: JobRows, recorded: Recorded) -> _Settled:
    judging = judging_of(session, job, plan, recorded)
    return _Settled(session, job, rows, recorded, judging, made_of(session, job, rows, recorded))


def _awaited(plan: Plan, address: str) -> Awaited:
    """A judge's job that is not settled, and what is left to be asked of it."""
    changes = [change for part in plan.jobs if part.address == address for change in part.changes]
    ahead = [change for change in changes if change.action in (Action.SUBMIT, Action.AFTER)]
    costs = [change.usd for change in ahead]
    usd = None if None in costs else sum(filter(None, costs))
    return Awaited(address, sum(change.rows for change in ahead), usd)


def _due(settled: _Settled, record: JobRecord | None, notes: list[str]) -> Rewrite | Scores:
    """The file that is to be written, or the scores as they are. Raises RunnerError, OSError."""
    job = settled.job
    made, drift = _drift(settled, record)
    if drift is None:
        assert record is not None and record.scores is not None
        return record.scores
    there: Scores | str = ""
    try:
        there = _there(settled, made, drift)
    except RunnerError as error:
        notes.append(f"{job.address}: {error.message}")
    if isinstance(there, Scores):
        return there
    path = scores_path(job.output)
    keeps = keep.foretold_of_table(settled.session, path, _written(record), files.are_as_written)
    return Rewrite(job, settled.rows, drift, there, keeps, scores=path)


def _drift(settled: _Settled, record: JobRecord | None) -> tuple[str, Drift | None]:
    """What scores would be made of now, and why they have to be made; None where they are as they are to be."""
    job, scores = settled.job, record.scores if record else None
    results = settled.results
    made = scores_made_of(settled.session, job, results, settled.judging)
    if not job.evals.checks:
        return made, None if scores and not scores.path and scores.made_of == made else Drift.UNSCORED
    drift = drift_of(settled.session, scores_path(job.output), _written(record), made)
    if drift is Drift.NEW:
        return made, Drift.UNSCORED
    # the results may have been written just now: what counts is what these scores were made of
    if drift is Drift.ANSWERS and record and scores and (scores.results or record.written_sha256) == results:
        said, says = scores.verdicts, settled.judging.made_of
        has_these_judges = said.split()[::2] == says.split()[::2]  # names and what each has said, in turn
        return made, Drift.VERDICTS if said != says and has_these_judges else Drift.CHECKS
    return made, drift


def _written(record: JobRecord | None) -> Written | None:
    return record.scores.written if record and record.scores else None


def _score(settled: _Settled, record: JobRecord, scoring: Scoring) -> None:
    """One job. What goes wrong stops its scores, and nothing else."""
    session, job = settled.session, settled.job
    if record.written_sha256 != settled.results or record.output != job.output:
        return  # its results could not be written, which is told
    try:
        made, drift = _drift(settled, record)
        if drift is None and record.scores:
            scoring.current[job.address] = record.scores
        elif drift is not None and scoring.failed_of.get(job.address) != made:
            scoring.failed_of[job.address] = made
            there = _there(settled, made, drift)
            found = there if isinstance(there, Scores) else _write(settled, record, made)
            session.records.save(replace(record, scores=found))
            scoring.current[job.address] = found
            scoring.made.add(job.address)
            scoring.errors.pop(job.address, None)
            if not isinstance(there, Scores):
                why = Rewrite(job, settled.rows, drift, there).why
                session.reporter.step(f"{job.address}: scored, wrote `{found.path}` ({why})")
    except Conflict:
        raise
    except OSError as error:
        path = scores_path(job.output)
        words = f"{job.address}: `{path}` cannot be written: {error.strerror or error}"
        scoring.errors[job.address] = StepError(
            RunnerError(words, hint="put the path right, and run the command again"), job.address
        )
    except RunnerError as error:
        scoring.errors[job.address] = StepError(error, job.address)


def _there(settled: _Settled, made: str, drift: Drift) -> Scores | str:
    """What is to be recorded of scores that are there as they would be written; else how they differ, in words.

    Raises DataError for a file of somebody else, and for a check that fails on rows; RunnerError, OSError.
    """
    session, job = settled.session, settled.job
    if not job.evals.checks:  # there is no file
        return _summed_up(settled, _all_scored(settled, None), made)
    path = session.output_file(scores_path(job.output))
    _refuse_strangers(path)
    # an edited expectation leaves the file as it is: what is in it may be all that comes of the edited checks
    if drift not in (Drift.THERE, Drift.MOVED, Drift.CHECKS) or not path.is_file():
        return ""
    try:
        with lines_against(path) as out:
            scorer = _all_scored(settled, out)
    except Differs as differs:
        return str(differs) if drift is Drift.THERE else ""
    return _summed_up(settled, scorer, made, session.digests.of(path).hex())


def _write(settled: _Settled, record: JobRecord, made: str) -> Scores:
    """Write the scores file; it appears whole or not at all. Raises as `_there` does."""
    session, job = settled.session, settled.job
    name = scores_path(job.output)
    path = session.outputs_root / name
    with (
        keep.keeping(session, name, _written(record), files.are_as_written) as kept,
        whole(target_of(path, session.outputs_root), keeps_equal=True) as out,
    ):
        scorer = _all_scored(settled, out)
    for told in kept:
        session.reporter.warn(f"{job.address}: {told}")
    return _summed_up(settled, scorer, made, session.digests.of(path, is_ours=True).hex())


def _all_scored(settled: _Settled, out: IO[bytes] | None) -> Scorer:
    """By all checks but those whose judge is awaited."""
    session, job, rows, recorded, judging, _ = settled

    def feed(scorer: Scorer) -> None:
        lines_to(scorer, session, job, rows, recorded)

    evals, views = job.evals.without(judging.waits_for), session.compiled[job.address].rows()
    scorer = score_all(evals, session.project.root, views, feed, out, judging.verdicts)
    scorer.check(job.address, job.declared_at)
    return scorer


def _summed_up(settled: _Settled, scorer: Scorer, made: str, sha256: str = "") -> Scores:
    """sha256: of the file; empty where there is none."""
    job, sheet, judging, waits_for = settled.job, scorer.sheet, settled.judging, settled.judging.waits_for
    evals = job.evals
    sheet.add_bad(job.bad)
    pairs.add_to(sheet, settled.session, spec_of(settled.session, job.address))
    return Scores(
        path=scores_path(job.output) if sha256 else "",
        sha256=sha256,
        made_of=made,
        results=settled.results,
        verdicts=judging.made_of,
        wanted=sheet.wanted,
        checks=tuple(
            sheet.summary(held.name, better=held.better, signature=held.signature(_n_of(sheet, held.name), _by(evals)))
            for held in scorer.program.checks
        ),
        gates=tuple(
            gates.judged(one, sheet, is_said=_is_said(evals, one))
            if one.bound and one.check not in waits_for
            else gates.not_yet(one)
            for one in evals.expect
        ),
        waits_for=waits_for,
    )


def _refuse_strangers(path: Path) -> None:
    if path.is_file() and path.stat().st_size and not files.is_ours(path):
        raise DataError(
            f"`{path.name}` is there already, and runner did not write it",
            hint="move it away: scores go beside the results",
        )


def _forgotten(session: Session, job: Desired, record: JobRecord, scoring: Scoring) -> JobRecord:
    """The specs check nothing any more: the file of what was scored before goes, unless somebody changed it."""
    scores = record.scores
    if scores is None or (job.evals.expect and not scores.path):  # expectations alone have no file
        return record
    notes: list[str] = []
    if _is_to_go(session, scores, record.address, notes):
        (session.outputs_root / scores.path).unlink()
        scoring.removed[record.address] = scores.path
        session.reporter.step(f"{record.address}: removed `{scores.path}` ({Drift.UNCHECKED})")
    for note in notes:
        session.reporter.warn(note)
    record = replace(record, scores=None)
    session.records.save(record)
    return record


def _is_to_go(session: Session, scores: Scores, address: str, notes: list[str]) -> bool:
    """Whether the scores file of a job is there, and nobody changed it. notes: takes it that one stays."""
    path = session.output_file(scores.path)
    if not scores.path or not path.is_file():
        return False
    if not keep.is_as_left(session, path, scores.written):
        notes.append(f"{address}: `{scores.path}` was changed since it was written, and stays as it is")
        return False
    return True


def _n_of(sheet: Sheet, check: str) -> int:
    return sheet.columns[check].tally.numbers().n


def _by(evals: Evals) -> str:
    """What rows are clustered by, in a word; empty for nothing."""
    if evals.cluster is None:
        return ""
    return evals.cluster.column or "template"


def _is_said(evals: Evals, expected: Expectation) -> bool:
    return any(check.name == expected.check and check.unanswered is not None for check in evals.checks)


# --- gates --------------------------------------------------------------------------------------------------------


def _judge(session: Session, scoring: Scoring) -> None:
    """The gates of every job: of those that are settled as they came out, comparisons once both sides are."""
    for job in session.desired:
        evals, mine = job.evals, scoring.current.get(job.address)
        if not evals.expect or job.address in scoring.errors:
            continue
        if mine is None:
            scoring.gates[job.address] = tuple(map(gates.not_yet, evals.expect))
            continue
        others = {one.not_worse_than for one in evals.expect if one.not_worse_than}
        known = {address: scoring.current[address] for address in others if address in scoring.current}
        made_of_them = gated_by(mine, known)
        if others and mine.gated_by != made_of_them:
            found = tuple(
                _compared(session, evals, one, mine, known.get(one.not_worse_than)) if one.not_worse_than else gate
                for one, gate in zip(evals.expect, mine.gates, strict=True)
            )
            mine = replace(mine, gates=found, gated_by=made_of_them)
            scoring.current[job.address] = mine
            session.records.save(replace(session.records.jobs()[job.address], scores=mine))
        scoring.gates[job.address] = mine.gates


def _compared(session: Session, evals: Evals, expected: Expectation, mine: Scores, other: Scores | None) -> Gate:
    """An expectation against another cell, on the rows that both were asked."""
    if other is None or expected.check in mine.waits_for or expected.check in other.waits_for:
        return gates.not_yet(expected)
    held = next(held for held in Program(evals).checks if held.name == expected.check)
    paired = Paired(held.counting)
    root = session.outputs_root
    try:
        paired.add_all(
            (one.checks[expected.check], two.checks[expected.check], one.cluster)
            for one, two in files.paired(root / mine.path, root / other.path)
            if expected.check in one.checks and expected.check in two.checks and held.is_counted_by(one.custom_id)
        )
    except (OSError, RunnerError):
        return gates.not_yet(expected)
    is_said = held.check.unanswered is not None
    without = paired.difference().figure
    with_them = without if is_said else paired.difference(unanswered_is_wrong=True).figure
    return gates.of_difference(
        expected,
        without,
        with_them,
        paired.unanswered,
        better=held.better,
        is_share=held.form is not Form.NUMBER,
    )


# --- replicates ---------------------------------------------------------------------------------------------------


def _pool(session: Session, scoring: Scoring) -> None:
    """Cells that differ in `replicate` alone are asked the same rows: together they say more, and rows are clusters."""
    groups: dict[tuple[str, str], list[str]] = {}
    for spec in session.project.jobs:
        if "replicate" in spec.cell and spec.evals.checks and spec.evals.cluster is None:
            others = sorted((axis, value) for axis, value in spec.cell.items() if axis != "replicate")
            groups.setdefault((spec.name, repr(others)), []).append(spec.address)
    for addresses in groups.values():
        if len(addresses) > 1 and all(address in scoring.current for address in addresses):
            first, cells = addresses[0], [scoring.current[address] for address in addresses]
            made = " ".join(one.made_of for one in cells)
            if cells[0].pooled is None or cells[0].pooled.made_of != made:
                try:
                    paths = [session.outputs_root / one.path for one in cells]
                    spec = spec_of(session, first)
                    awaited = {name for one in cells for name in one.waits_for}
                    spec = replace(spec, evals=spec.evals.without(awaited))
                    pooled = Pooled(made, len(cells), pooled_in(session, spec, paths))
                except (OSError, RunnerError):
                    continue  # a file of scores that is gone is made again by the next apply
                scoring.current[first] = replace(cells[0], pooled=pooled)
                session.records.save(replace(session.records.jobs()[first], scores=scoring.current[first]))


def pooled_in(session: Session, spec: AnyJob, paths: Sequence[Path]) -> tuple[CheckSummary, ...]:
    """The checks over the scores of several replicates, of which this is one; each row is a cluster.

    Raises DataError, StateError, OSError.
    """
    evals = spec.evals
    program = Program(replace(evals, expect=()), {held.name: () for held in Program(evals).checks})
    sheet = program.sheet()
    for path in paths:
        rows = files.read(path)
        while some := list(islice(rows, _AT_ONCE)):
            scored = {held.name: [row.checks[held.name] for row in some] for held in program.checks}
            answered = [True] * len(some)  # how many are, each cell says for itself
            ids = [row.custom_id for row in some]
            sheet.add(scored, answered, ids, ids=ids)
        pairs.add_to(sheet, session, spec, is_pooled=True)
    return tuple(
        sheet.summary(held.name, better=held.better, signature=held.signature(_n_of(sheet, held.name), "row"))
        for held in program.checks
    )
